"""Torture messages, each followed by a call that must still work.

Every message goes out with a mark of its own; what comes back with that mark is its answer. A request that is not
answered is sent again, as any request over UDP is. Then its transaction or call is ended properly, and a short call
(INVITE, ringing, CANCEL, 487) shows that the phone is still there; now and then a whole one.
At last the phone calls the bench, and is answered oddly.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agents.instruments.arrivals import Arrivals
from agents.instruments.dialog import SilentLeg
from agents.instruments.sip_answers import answer_peer
from agents.instruments.sip_message import MalformedMessage, Request, Response, parse
from agents.instruments.sip_streams import Transport, transport_of
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.sip_transport import TraceEntry
from agents.instruments.sip_values import address, contacts, cseq
from agents.instruments.torture import ANSWERS, MESSAGES, Scene, TortureAnswer, TortureMessage
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.torture_watch import CALL_WITHIN_S, Watch, whole_call
from lab_inventory.measurement import Unit

SENT_AT_S = (0.0, 0.5)
ANSWER_WITHIN_S = 1.5
SILENT_FOR_S = 0.4
WHOLE_CALL_EVERY = 10
CALLS_MAX = 64
INVITE_WITHIN_S = 5.0
WORDS_CHARACTERS_MAX = 1800
"""Of the 2000 that a note has; the rest is for what stands before."""
_STATUS = re.compile(rb"SIP/2\.0 ([0-9]{3})(?![0-9])")


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came for one message or answer, beside what was due; ``taken``: it had to be refused and was not."""

    message: TortureMessage | TortureAnswer
    due: str
    came: str
    as_said: bool
    taken: bool = False

    def __str__(self) -> str:
        return f"{self.message.slug}: {self.due} was due, {self.came} came ({self.message.clause})"


@procedure(
    "torture-messages",
    measures={"no_crash": Unit.BOOL, "handled_as_said_percent": Unit.PERCENT, "invalid_taken": Unit.COUNT},
)
async def torture_messages(bench: PhoneBench, recorder: Recorder) -> None:
    """Every torture message in turn, and after each a call."""
    if transport_of(bench.registered().peer) is not Transport.UDP:
        for quantity in torture_messages.measures:
            bench.leave_unmeasured(quantity, "the phone is registered over a stream, and the messages are for UDP")
        return
    if not await whole_call(bench):
        bench.measure_rest(torture_messages, "the phone took no call before the first message")
        return
    watch = Watch(bench)
    came: list[Came] = []
    for place, message in enumerate(MESSAGES, 1):
        came.append(await _send(bench, message))
        await watch.look(message.slug, whole=place % WHOLE_CALL_EVERY == 0)
        if watch.over:
            break
    else:
        async for answered in _answer_calls(bench, watch):
            came.append(answered)
    _measure(bench, came, watch.crashes)
    recorder.attach("torture messages", "application/jsonl", _table(came))


def _measure(bench: PhoneBench, came: Sequence[Came], crashes: Sequence[str]) -> None:
    bench.measure("no_crash", not crashes, "; ".join(crashes))
    wrong = [found for found in came if not found.as_said]
    words = in_words(wrong)
    whole = len(MESSAGES) + len(ANSWERS)
    if unsent := whole - len(came):
        note = f"{unsent} of {whole} messages were not sent, because the phone was gone or too slow; {words}"
        bench.measure("handled_as_said_percent", None, note)
        bench.measure("invalid_taken", None, note)
        return
    taken = [found for found in wrong if found.taken]
    bench.measure("invalid_taken", len(taken), in_words(taken))
    right = whole - len(wrong)
    bench.measure("handled_as_said_percent", 100 * right / whole, f"{right} of {whole} messages; {words}")


def in_words(wrong: Sequence[Came]) -> str:
    """Each with what was due, what came and the clause; where a note cannot hold that, without clauses, and in the end
    by name: the evidence has it all.
    """
    whole = "; ".join(map(str, wrong))
    shorter = "; ".join(f"{found.message.slug}: {found.came}, due {found.due}" for found in wrong)
    shortest = ", ".join(found.message.slug for found in wrong)
    hint = " (clauses: see the evidence, torture messages)"
    told = (whole, shorter + hint, shortest + hint)
    return next((words for words in told if len(words) <= WORDS_CHARACTERS_MAX), told[-1])


def _table(came: Sequence[Came]) -> bytes:
    """One line for each message that was sent: a note holds only so much."""
    lines = (
        json.dumps(
            {
                "slug": found.message.slug,
                "odd": found.message.odd,
                "clause": found.message.clause,
                "valid": found.message.valid,
                "due": found.due,
                "came": found.came,
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
    came = "no answer" if status is None else str(status)
    return Came(
        message=message,
        due=str(message.due),
        came=f"{came} without {' and '.join(lacks)}" if lacks else came,
        as_said=message.due.allows(status) and not lacks,
        taken=status is not None and status < 300 and message.due.refuses,
    )


async def _answer_calls(bench: PhoneBench, watch: Watch) -> AsyncIterator[Came]:
    """Let the phone call the bench, as often as is needed, and answer it oddly."""
    arrived: Arrivals[ServerTransaction] = Arrivals(most=CALLS_MAX)

    def on_call(invitation: ServerTransaction) -> SilentLeg:
        arrived.add(invitation)
        return SilentLeg()

    host, port = bench.endpoint.address
    waiting: ServerTransaction | None = None
    with bench.endpoint.expecting_calls(on_call):
        for place, answer in enumerate(ANSWERS, 1):
            if waiting is None:
                known = len(arrived)
                await watch.press(bench.driver.dial(f"sip:bench@{host}:{port}"))
                waiting = await arrived.first(lambda _: True, timeout_s=INVITE_WITHIN_S, skip=known)
                if waiting is None:  # a phone that does not call is found by another case
                    return
                bench.endpoint.respond(waiting, 100)
            acknowledged = await _answer_oddly(bench, waiting, answer)
            words = {True: "ACK", False: "no ACK"}
            yield Came(
                message=answer,
                due=words[answer.taken],
                came=words[acknowledged],
                as_said=acknowledged is answer.taken,
            )
            if acknowledged or answer.taken:
                if not acknowledged:
                    bench.endpoint.respond(waiting, 486)
                    await waiting.acknowledged(timeout_s=CALL_WITHIN_S)
                waiting.stop()
                waiting = None
                with suppress(LabError):  # of a phone that has died of the answer; the call that follows shows it
                    await watch.press(bench.driver.reset())
                await watch.look(answer.slug, whole=place == len(ANSWERS))
            if watch.over:
                return


async def _answer_oddly(bench: PhoneBench, waiting: ServerTransaction, answer: TortureAnswer) -> bool:
    """Whether the phone acknowledges this answer; one that it should take is sent again, as over UDP it is."""
    raw, peer = answer.build(waiting.request), answer_peer(waiting.received)
    for wait_s in _waits_s() if answer.taken else (SILENT_FOR_S,):
        bench.endpoint.transport.send(raw, peer)
        if await waiting.acknowledged(timeout_s=wait_s) is not None:
            return True
    return False


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
    bench.endpoint.send_ack(target if taken else _uri(scene, raw), ack, peer=bench.registered().peer)
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
    number = 1
    with suppress(MalformedMessage):
        invite = parse(raw)
        values = {name: invite.get(name) or value for name, value in values.items()}
        number = cseq(invite).sequence
    lines = [f"CANCEL {_uri(scene, raw)} SIP/2.0", *(f"{name}: {value}" for name, value in values.items())]
    lines += ["Max-Forwards: 70", f"CSeq: {number} CANCEL", "Content-Length: 0"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _uri(scene: Scene, raw: bytes) -> str:
    """The Request-URI of a request, which its ACK and CANCEL have too; where it cannot be read the phone's contact."""
    with suppress(MalformedMessage):
        request = parse(raw)
        if isinstance(request, Request):
            return request.uri
    return scene.target
