"""In the virtual machine: the cable of the virtual headset. Attaches it whenever it is offered, until it is stopped.

``python -m agents.simulated.headset.machine.guest.cable HOST PORT BUSID``. A plug that is put in on the host reaches
the kernel so without anybody's doing, as on a real port; a headset that comes back to the bus is attached again.
"""

import sys
import time  # noqa: TID251 - the guest waits for its own kernel

from agents.simulated.headset.machine.guest.attach import CONTROLLER, NotAttached, attach

LOOK_S = 0.02
_FREE = 4


def in_use() -> int:
    """How many ports of vhci-hcd have something attached."""
    rows = (row.split() for row in (CONTROLLER / "status").read_text().splitlines()[1:])
    return sum(int(row[2]) != _FREE for row in rows)


def main(host: str, port: int, busid: str) -> None:
    """Look and attach, without end."""
    while True:
        try:
            if not in_use():
                attach(host, port, busid)
        except (NotAttached, OSError):
            pass
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
