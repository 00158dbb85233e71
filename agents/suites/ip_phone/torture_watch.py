"""Whether a phone is still there between torture messages: calls that must work, and signs of a restart."""

import asyncio
from collections.abc import Awaitable, Sequence

from agents.instruments.registrar import RegisterRecord
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import AssayError

CALL_WITHIN_S = 2.0
BACK_WITHIN_S = 10.0
BUDGET_S = 75.0
CRASHES_MAX = 3


class Watch:
    """Whether the phone is still there, and whether there is time: that of presses of a key is not counted."""

    def __init__(self, bench: PhoneBench) -> None:
        self.crashes: list[str] = []
        self._bench = bench
        self._booted = 0
        self._seen = len(bench.registrar.records)
        self._until_ns = boottime_ns() + int(BUDGET_S * 1e9)

    @property
    def over(self) -> bool:
        """Whether no more can be sent."""
        return self._bench.phone_gone or len(self.crashes) >= CRASHES_MAX or boottime_ns() > self._until_ns

    async def press(self, verb: Awaitable[None]) -> None:
        """Press a key; a person may take as long as they need."""
        pressed = await self._bench.press(verb)
        self._until_ns += pressed.returned_ns - pressed.called_ns

    async def look(self, after: str, *, whole: bool) -> None:
        """Make a call, and see whether the phone has registered anew."""
        bench = self._bench
        works = await (whole_call(bench, self) if whole else short_call(bench)) or await short_call(bench)
        records = bench.registrar.records.all()
        if restarts(records[self._booted :], self._seen - self._booted):
            self._booted = self._seen  # what came before it booted says nothing of the next time
            self.crashes.append(f"after {after} the phone registered as after a restart")
        elif not works:
            self.crashes.append(f"after {after} a call no longer worked")
        self._seen = len(records)
        bench.phone_gone = not works and not await _back(bench)


def restarts(records: Sequence[RegisterRecord], since: int) -> bool:
    """Whether a REGISTER from index ``since`` on is that of a phone that began anew: another Call-ID and a low CSeq.

    A phone keeps its Call-ID until it boots (RFC 3261, 10.2). Of one that had several before, nothing is said.
    """
    before = {record.call_id for record in records[:since]}
    return len(before) == 1 and any(record.call_id not in before and record.cseq <= 2 for record in records[since:])


async def short_call(bench: PhoneBench) -> bool:
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


async def whole_call(bench: PhoneBench, watch: Watch | None = None) -> bool:
    """Whether a call is taken by the key and ended by the bench."""
    call, invite = bench.call_phone()
    try:
        rang = await invite.responses.first(lambda seen: seen.message.status > 100, timeout_s=CALL_WITHIN_S)
        if rang is None:  # nobody is there whose keys could be pressed
            return False
        if rang.message.status < 200:
            pressing = bench.press_answer(invite)
            await (watch.press(pressing) if watch else pressing)
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
        if await short_call(bench):
            return True
    return False
