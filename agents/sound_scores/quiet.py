"""Who sends on this host now: cases of any run may send together; whoever scores here does so while none does.

Two locks on files of the agent's work directory, which the kernel lets go of with the process that holds them. Whoever
wants quiet holds the gate while it waits, so that new cases do not keep it waiting for ever.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LOOK_S = 0.05
GATE, SENDING = "quiet.gate", "sending.lock"


@asynccontextmanager
async def sending(work: Path) -> AsyncIterator[None]:
    """Hold this around whatever may send; waits while somebody has quiet, or waits for it. Raises OSError."""
    async with _locked(work / GATE, fcntl.LOCK_SH):
        held = await _lock(work / SENDING, fcntl.LOCK_SH)
    try:
        yield
    finally:
        os.close(held)


@asynccontextmanager
async def quiet(work: Path) -> AsyncIterator[None]:
    """Waits until nothing sends here, and keeps it so. Raises OSError."""
    async with _locked(work / GATE, fcntl.LOCK_EX), _locked(work / SENDING, fcntl.LOCK_EX):
        yield


@asynccontextmanager
async def _locked(path: Path, kind: int) -> AsyncIterator[None]:
    held = await _lock(path, kind)
    try:
        yield
    finally:
        os.close(held)


async def _lock(path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                await asyncio.sleep(LOOK_S)
    except BaseException:
        os.close(descriptor)
        raise
