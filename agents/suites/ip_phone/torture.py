"""Torture messages, each followed by a call that must still work.

Every message goes out with a mark of its own; what comes back with that mark is its answer. A request that is not
answered is sent again, as any request over UDP is. Then its transaction or call is ended properly, and a short call
(INVITE, ringing, CANCEL, 487) shows that the phone is still there; after every tenth and the last message a whole one.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.instruments.arrivals import Arrivals
from agents.instruments.registrar import RegisterRecord
from agents.instruments.sip_message import MalformedMessage, Request, Response, parse
from agents.instruments.sip_transport import TraceEntry
from agents.instruments.sip_values import address, contacts, cseq
from agents.instruments.torture import MESSAGES, Scene, TortureMessage
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import AssayError
from lab_inventory.measurement import Unit

SENT_AT_S = (0.0, 0.5)
ANSWER_WITHIN_S = 1.5
SILENT_FOR_S = 0.4
CALL_WITHIN_S = 2.0
BACK_WITHIN_S = 10.0
BUDGET_S = 75.0
WHOLE_CALL_EVERY = 10
CRASHES_MAX = 3
_STATUS = re.compile(rb"SIP/2\.0 ([0-9]{3})(?![0-9])")


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came for one message: the first status above 100 (None: nothing), and which of its headers were missing."""

    message: TortureMessage
    status: int | None
    lacks: tuple[str, ...] = ()

    @property
    def as_said(self) -> bool:
        """Whether the phone did what was due."""
        return self.message.due.allows(self.status) and not self.lacks

    def __str__(self) -> str:
        came = "no answer" if self.status is None else str(self.status)
        if self.lacks:
            came += f" without {' and '.join(self.lacks)}"
        return f"{self.message.slug}: {self.message.due} was due, {came} came ({self.message.clause})"


@procedure(
    "torture-messages",
    measures={"no_crash": Unit.BOOL, "handled_as_said_percent": Unit.PERCENT, "invalid_taken": Unit.COUNT},
)
async def torture_messages(bench: PhoneBench, recorder: Recorder) -> None:
    """Every torture message in turn, and after each a call."""
    until_ns = boottime_ns() + int(BUDGET_S * 1e9)
    came: list[Came] = []
    crashes: list[str] = []
    seen = len(bench.registrar.records)
    if not await _whole_call(bench):
        bench.measure_rest(torture_messages, "the phone took no call before the first message")
        return
    for place, message in enumerate(MESSAGES, 1):
        came.append(await _send(bench, message))
        whole = place % WHOLE_CALL_EVERY == 0 or place == len(MESSAGES)
        works = await (_whole_call(bench) if whole else _short_call(bench)) or await _short_call(bench)
        records = bench.registrar.records.all()
        if restarts(records, seen):
            crashes.append(f"after {message.slug} the phone registered as after a restart")
        elif not works:
            crashes.append(f"after {message.slug} a call no longer worked")
        seen = len(records)
        bench.phone_gone = not works and not await _back(bench)
        if bench.phone_gone or len(crashes) >= CRASHES_MAX or boottime_ns() > until_ns:
            break
    _measure(bench, came, crashes)
    recorder.attach("torture messages", "application/jsonl", _table(came))


def restarts(records: Sequence[RegisterRecord], since: int) -> bool:
    """Whether a REGISTER from index ``since`` on is that of a phone that began anew: another Call-ID and a low CSeq.

    A phone keeps its Call-ID until it boots (RFC 3261, 10.2). Of one that had several before, nothing is said.
    """
    before = {record.call_id for record in records[:since]}
    return len(before) == 1 and any(record.call_id not in before and record.cseq <= 2 for record in records[since:])


def _measure(bench: PhoneBench, came: Sequence[Came], crashes: Sequence[str]) -> None:
    bench.measure("no_crash", not crashes, "; ".join(crashes))
    wrong = [found for found in came if not found.as_said]
    words = "; ".join(map(str, wrong))
    unsent = len(MESSAGES) - len(came)
    if unsent:
        note = f"{unsent} of {len(MESSAGES)} messages were not sent, because the phone was gone or too slow; {words}"
        bench.measure("handled_as_said_percent", None, note)
        bench.measure("invalid_taken", None, note)
        return
    taken = [found for found in wrong if not found.message.valid and found.status is not None and found.status < 300]
    bench.measure("invalid_taken", len(taken), "; ".join(map(str, taken)))
    right = len(came) - len(wrong)
    bench.measure("handled_as_said_percent", 100 * right / len(came), f"{right} of {len(came)} messages; {words}")


def _table(came: Sequence[Came]) -> bytes:
    """One line for each message that was sent: a note holds only so much."""
    lines = (
        json.dumps(
            {
                "slug": found.message.slug,
                "odd": found.message.odd,
                "clause": found.message.clause,
                "valid": found.message.valid,
                "due": str(found.message.due),
                "came": found.status,
                "lacks": found.lacks,
                "as_said": found.as_said,
            },
            ensure_ascii=False,
        )
        for found in came
    )
    return "".join(f"{line}\n" for line in lines).encode()


async def _send(bench: PhoneBench, message: TortureMessage) -> Came:
    """Send one message, wait for what comes, and end what it began."""
    binding = bench.registered()
    port, audio = bench.open_call_audio()
    mark = bench.clock.new_id("torture")
    scene = Scene(target=binding.uri, own=bench.endpoint.address, mark=mark, offer=audio.describe(version=1))
    raw = message.build(scene)
    transport = bench.endpoint.transport
    try:
        with transport.trace.watching(mark) as arrived:
            first = None
            waits_s = (SILENT_FOR_S,) if message.due.silence and not message.due.statuses else _waits_s()
            for wait_s in waits_s:
                transport.send(raw, binding.peer)
                first = await arrived.first(_decides, timeout_s=wait_s)
                if first is not None:
                    break
            status = None if first is None else _status(first)
            lacks = () if first is None or status not in message.due.statuses else _lacks(first, message.brings)
            if raw.lstrip().startswith(b"INVITE"):
                await _end(bench, scene, raw, arrived)
    finally:
        port.close()
    return Came(message=message, status=status, lacks=lacks)


def _waits_s() -> tuple[float, ...]:
    """How long to wait after each sending."""
    until_s = (*SENT_AT_S[1:], ANSWER_WITHIN_S)
    return tuple(until - at for at, until in zip(SENT_AT_S, until_s, strict=True))


def _status(entry: TraceEntry) -> int | None:
    match = _STATUS.match(entry.raw)
    return None if match is None else int(match[1])


def _decides(entry: TraceEntry) -> bool:
    return (_status(entry) or 0) > 100


def _lacks(entry: TraceEntry, names: Sequence[str]) -> tuple[str, ...]:
    try:
        answer = parse(entry.raw)
    except MalformedMessage:
        return tuple(names)
    return tuple(name for name in names if answer.get(name) is None)


async def _end(bench: PhoneBench, scene: Scene, raw: bytes, arrived: Arrivals[TraceEntry]) -> None:
    """Leave nothing of an INVITE: acknowledge its final answer, give it up without one, hang up what was taken."""
    final = arrived.find(_is_final)
    if final is None:
        bench.endpoint.transport.send(_cancel(scene, raw), bench.registered().peer)
        final = await arrived.first(_is_final, timeout_s=CALL_WITHIN_S if len(arrived) else SILENT_FOR_S)
    if final is None:
        return
    try:
        response = parse(final.raw)
        number = cseq(response).sequence
        target = str((contacts(response) or (address(response, "To"),))[0].uri)
    except MalformedMessage:  # what cannot be read cannot be acknowledged; the phone gives up by itself (timer H)
        return
    if not isinstance(response, Response):
        return
    copied = [(name, response.get(name) or "") for name in ("From", "To", "Call-ID")]
    taken = response.status < 300
    via = bench.endpoint.via() if taken else response.get("Via") or scene.via
    ack = [("Via", via), ("Max-Forwards", "70"), *copied, ("CSeq", f"{number} ACK")]
    bench.endpoint.send_ack(target if taken else scene.target, ack, peer=bench.registered().peer)
    if taken:
        bye = [("Via", bench.endpoint.via()), ("Max-Forwards", "70"), *copied, ("CSeq", f"{number + 1} BYE")]
        asked = bench.endpoint.send_request("BYE", target, bye, peer=bench.registered().peer)
        await asked.final(timeout_s=CALL_WITHIN_S)


def _is_final(entry: TraceEntry) -> bool:
    """A final answer to the INVITE itself and not to its CANCEL."""
    return (_status(entry) or 0) >= 200 and b"CANCEL" not in entry.raw


def _cancel(scene: Scene, raw: bytes) -> bytes:
    """CANCEL with the Request-URI, Via, From, To, Call-ID and CSeq number of the INVITE (RFC 3261, 9.1), and where they
    cannot be read with what they should have been.
    """
    values = {"Via": scene.via, "From": scene.sender, "To": f"<{scene.target}>", "Call-ID": scene.mark}
    uri, number = scene.target, 1
    try:
        invite = parse(raw)
        values = {name: invite.get(name) or value for name, value in values.items()}
        number = cseq(invite).sequence
        if isinstance(invite, Request):
            uri = invite.uri
    except MalformedMessage:
        pass
    lines = [f"CANCEL {uri} SIP/2.0", *(f"{name}: {value}" for name, value in values.items())]
    lines += ["Max-Forwards: 70", f"CSeq: {number} CANCEL", "Content-Length: 0"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


async def _short_call(bench: PhoneBench) -> bool:
    """Whether a call rings and can be given up."""
    call, invite = bench.call_phone()
    try:
        rang = await invite.responses.first(lambda seen: seen.message.status > 100, timeout_s=CALL_WITHIN_S)
        if rang is None or rang.message.status >= 200:
            return False
        call.dialog.cancel()
        final = await invite.final(timeout_s=CALL_WITHIN_S)
        return final is not None and final.message.status == 487
    finally:
        invite.stop()
        call.end()


async def _whole_call(bench: PhoneBench) -> bool:
    """Whether a call is taken by the key and ended by the bench."""
    call, invite = bench.call_phone()
    try:
        rang = await invite.responses.first(lambda seen: seen.message.status > 100, timeout_s=CALL_WITHIN_S)
        if rang is None:  # nobody is there whose keys could be pressed
            return False
        if rang.message.status < 200:
            await bench.driver.answer()
        final = await invite.final(timeout_s=ANSWER_TIMEOUT_S)
        if final is None or final.message.status != 200:
            return False
        ended = await call.dialog.bye().final(timeout_s=CALL_WITHIN_S)
        return ended is not None and ended.message.status == 200
    finally:
        invite.stop()
        call.end()


async def _back(bench: PhoneBench) -> bool:
    """Whether a phone that did not take a call takes one again, all keys released, before it is given up."""
    until_ns = boottime_ns() + int(BACK_WITHIN_S * 1e9)
    while boottime_ns() < until_ns:
        try:
            await bench.driver.reset()
        except AssayError:
            await asyncio.sleep(0.5)
            continue
        if await _short_call(bench):
            return True
    return False
