import asyncio
import os
import signal
import sys

from agents.processes import ProcessMark, mark_of

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


def mark(pid: int) -> ProcessMark:
    found = mark_of(pid)
    assert found is not None
    return found


def test_a_process_knows_itself() -> None:
    assert mark(os.getpid()).is_alive()


def test_an_id_alone_does_not_make_a_process_the_same() -> None:
    own = mark(os.getpid())
    assert not own.model_copy(update={"start_ticks": own.start_ticks + 1}).is_alive()
    assert not own.model_copy(update={"boot": "another"}).is_alive()


def test_a_signal_for_a_process_that_is_gone_reaches_nobody_else() -> None:
    own = mark(os.getpid())
    assert not own.model_copy(update={"start_ticks": own.start_ticks + 1}).signal(signal.SIGKILL)


async def test_the_end_of_a_process_is_waited_for_and_a_zombie_counts_as_ended() -> None:
    process = await asyncio.create_subprocess_exec(*SLEEP)
    marked = mark(process.pid)
    waiting = asyncio.create_task(marked.ended())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert marked.signal(signal.SIGKILL)
    async with asyncio.timeout(5):
        await waiting
    assert not marked.is_alive()
    assert await process.wait() == -signal.SIGKILL


def test_a_name_with_spaces_and_parentheses_does_not_confuse_the_reading() -> None:
    own = mark(os.getpid())
    with open("/proc/self/comm", "r+") as comm:  # noqa: PTH123
        before = comm.read().strip()
        comm.seek(0)
        comm.write("x) Z 1 (y")
        comm.flush()
        try:
            assert mark(os.getpid()) == own
        finally:
            comm.seek(0)
            comm.write(before)
