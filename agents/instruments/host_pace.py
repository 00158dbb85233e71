"""What this host does to a program on it that must send in time: a sender that could not be better, in a process.

A phone that is a program on the bench's own host suffers what the host suffers, and so does this sender: it wakes every
4 ms by an absolute clock, on the schedule that such phones get. How late it woke says what a perfect phone's packet
intervals would have been here. A phone that has a host of its own is not concerned.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from statistics import pstdev

from agents.instruments.wakeups import TICK_NS
from lab_inventory.errors import Unavailable

ANSWER_TIMEOUT_S = 10.0
ENDS_S = 2.0
LINE_BYTES_MAX = 2**24  # half an hour
STANDSTILL_NS = 20_000_000
"""A wake-up that is later by more than a packet time than the one before it, is no matter of schedule any more."""


class HostPace:
    """Wakes while it is entered. Raises Unavailable where the process does not start or does not answer."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._late_ns: Sequence[int] = ()

    async def __aenter__(self) -> "HostPace":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agents.instruments.wakeups",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
        )
        await self._line(self._process)
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            self._late_ns = json.loads(await self._line(process))
        finally:
            await self._ended(process)

    @staticmethod
    async def _ended(process: asyncio.subprocess.Process) -> None:
        """It ends by itself once it has answered; killed in that moment it would be waited for twice."""
        try:
            await asyncio.wait_for(process.wait(), ENDS_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    @staticmethod
    async def _line(process: asyncio.subprocess.Process) -> bytes:
        line = b""
        if process.stdout is not None:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), ANSWER_TIMEOUT_S)
            except TimeoutError:
                process.kill()
        if not line:
            raise Unavailable("the process that measures the host's pace does not answer")
        return line

    def interval_sd_ms(self, packet_time_ms: float) -> float:
        """The standard deviation of the intervals of a perfect sender on this host in the window, in ms."""
        return interval_sd_ms(self._late_ns, max(1, round(packet_time_ms * 1e6 / TICK_NS)))

    def latest_ms(self) -> float:
        """By how much the latest wake-up was late, in ms: by so much a perfect sender's packet would have been."""
        return max(self._late_ns, default=0) / 1e6

    def standstill_share(self) -> float:
        """The share of the window in which nothing here was woken: for as long, a perfect sender sends nothing."""
        return standstill_share(self._late_ns)


def standstill_share(late_ns: Sequence[int]) -> float:
    """The same from how late each wake-up was: what is later than one that went before is time that was lost."""
    if not late_ns:
        return 0.0
    lost_ns = sum(max(0, after - before) for before, after in pairwise((0, *late_ns)) if after - before > STANDSTILL_NS)
    return lost_ns / (len(late_ns) * TICK_NS)


def interval_sd_ms(late_ns: Sequence[int], ticks: int) -> float:
    """The same from how late each wake-up was, for one who sends at every ``ticks``-th: the worst of their phases."""
    spreads = []
    for phase in range(ticks):
        intervals = [after - before for before, after in pairwise(late_ns[phase::ticks])]
        spreads.append(pstdev(intervals) / 1e6 if len(intervals) > 1 else 0.0)
    return max(spreads)


def shares_this_host(address: str) -> bool:
    """Whether an IP address is one of this host's own: then the phone there is a program on this host."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True
