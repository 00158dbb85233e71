"""Cases send together, and nobody scores beside them."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from agents.sound_scores.quiet import LOOK_S, quiet, sending

SOON_S = 10 * LOOK_S


class Holder:
    """Somebody who takes a lock and holds it until told."""

    def __init__(self, lock: AbstractAsyncContextManager[None]) -> None:
        self.has = asyncio.Event()
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._hold(lock))

    async def _hold(self, lock: AbstractAsyncContextManager[None]) -> None:
        async with lock:
            self.has.set()
            await self._enough.wait()

    async def let_go(self) -> None:
        self._enough.set()
        await self._task

    async def waits(self) -> bool:
        await asyncio.sleep(SOON_S)
        return not self.has.is_set()


async def test_cases_send_together_and_quiet_waits_for_all_of_them(tmp_path: Path) -> None:
    first, second = Holder(sending(tmp_path)), Holder(sending(tmp_path))
    await asyncio.gather(first.has.wait(), second.has.wait())
    scorer = Holder(quiet(tmp_path))

    await first.let_go()
    assert await scorer.waits()
    await second.let_go()
    await scorer.has.wait()
    await scorer.let_go()


async def test_a_case_that_comes_later_waits_for_who_wants_quiet_before_it(tmp_path: Path) -> None:
    sender = Holder(sending(tmp_path))
    await sender.has.wait()
    scorer = Holder(quiet(tmp_path))
    assert await scorer.waits()
    later = Holder(sending(tmp_path))
    assert await later.waits()

    await sender.let_go()
    await scorer.has.wait()
    assert await later.waits()
    await scorer.let_go()
    await later.has.wait()
    await later.let_go()
