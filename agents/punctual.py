"""Punctual wake-ups on a host that does other work too (Linux: prctl(2), sched(7), the kernel's PM QoS interface).

For a phone program, which paces audio by short sleeps where a phone has an audio clock: on an ordinary schedule the
host's other work shows in its packet intervals. Measured: interval sd 2.2-3.0 ms without, 1.5-1.7 ms with. And for
what measures time: a processor that sleeps wakes 0.05 ms late on a quiet virtual machine, one that is kept awake 0.015.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_TIMERSLACK = 29
_SLACK_NS = 1
PHONE_PRIORITY = 5
SENDER_PRIORITY = 6
"""The bench's sender comes before phones on the same host: it works for microseconds, and its delay would be theirs."""
_CPU_LATENCY = Path("/dev/cpu_dma_latency")
_libc = ctypes.CDLL(None, use_errno=True)


def wake_punctually(priority: int = PHONE_PRIORITY) -> None:
    """To be called in a child between fork and exec: timers without slack, and the real-time schedule if allowed."""
    _libc.prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


def schedule_of(pid: int) -> str:
    """``real-time`` or ``ordinary``: how a process is scheduled."""
    return "real-time" if os.sched_getscheduler(pid) == os.SCHED_FIFO else "ordinary"


@contextmanager
def processors_awake() -> Iterator[bool]:
    """Keep the processors from sleeping meanwhile, as cyclictest(8) does; gives whether the system allows it."""
    try:
        latency = _CPU_LATENCY.open("wb", buffering=0)
    except OSError:
        yield False
        return
    with latency:
        latency.write(bytes(4))  # 0 microseconds; the wish ends with the descriptor
        yield True
