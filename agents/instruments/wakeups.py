"""The process of :mod:`agents.instruments.host_pace`: wakes every 4 ms until standard input ends.

Says one empty line when it begins; then, at the end, how late each wake-up was, as a JSON list in ns.
"""

import json
import os
import sys
import time  # noqa: TID251 - holds the clock against its own sleeps

from agents.punctual import wake_punctually

TICK_NS = 4_000_000


def main() -> None:
    """Wake until told to end."""
    wake_punctually()
    os.set_blocking(0, False)
    _say("")
    late_ns: list[int] = []
    due_ns = time.monotonic_ns() + TICK_NS
    while not _told_to_end():
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        late_ns.append(max(0, time.monotonic_ns() - due_ns))
        due_ns += TICK_NS
    _say(json.dumps(late_ns))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _told_to_end() -> bool:
    """Whether the other end has closed standard input; does not wait."""
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main()
