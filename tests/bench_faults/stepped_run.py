"""The run's process on a machine whose wall clock is set now and then: ``python stepped_run.py STEP_FILE RUN_DIR``.

``STEP_FILE`` holds by how many seconds the wall clock is off; what is written there counts at once. The kernel's stamps
of datagrams are of the wall clock: one that came before a step keeps the old time, one that came after it has the new.
CLOCK_BOOTTIME stays what it is. The product's code is the product's.
"""

import socket
import struct
import sys
import time  # noqa: TID251 - it is this module's matter
from pathlib import Path

STEPS = Path(sys.argv[1])
_TIMESPEC = struct.Struct("@ll")
SO_TIMESTAMPNS = 35
_gettime_ns = time.clock_gettime_ns
_gettime = time.clock_gettime
_recvmsg = socket.socket.recvmsg
_known: list[tuple[int, int]] = [(0, 0)]
_written = 0


def steps() -> list[tuple[int, int]]:
    """(real time from which on, by how many ns the wall clock is off), the latest last."""
    global _written  # noqa: PLW0603
    written = STEPS.stat().st_mtime_ns
    if written != _written:
        _written = written
        off_ns = int(float(STEPS.read_text()) * 1e9)
        _known.append((_gettime_ns(time.CLOCK_REALTIME), off_ns))
    return _known


def stepped_ns(clock: int) -> int:
    off_ns = steps()[-1][1] if clock == time.CLOCK_REALTIME else 0
    return _gettime_ns(clock) + off_ns


def stepped_recvmsg(self, *arguments):  # type: ignore[no-untyped-def]
    data, ancillary, flags, peer = _recvmsg(self, *arguments)
    moved = []
    for level, kind, content in ancillary:
        is_stamp = level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS
        moved.append((level, kind, _moved(content) if is_stamp else content))
    return data, moved, flags, peer


def _moved(stamp: bytes) -> bytes:
    seconds, nanoseconds = _TIMESPEC.unpack(stamp[: _TIMESPEC.size])
    at_ns = seconds * 10**9 + nanoseconds
    at_ns += next(off for since, off in reversed(steps()) if at_ns >= since)
    return _TIMESPEC.pack(*divmod(at_ns, 10**9))


if __name__ == "__main__":
    time.clock_gettime_ns = stepped_ns
    time.clock_gettime = lambda clock: stepped_ns(clock) / 1e9
    time.time = lambda: stepped_ns(time.CLOCK_REALTIME) / 1e9
    socket.socket.recvmsg = stepped_recvmsg  # type: ignore[method-assign]
    from agents.run import main

    sys.exit(main(Path(sys.argv[2])))
