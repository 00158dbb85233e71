"""In the virtual machine: plugs a USB/IP device into the kernel's vhci-hcd, without the usbip tool.

``python -m agents.simulated.headset.machine.guest.attach HOST PORT BUSID``. The kernel keeps the connection, so the
program may end. Status 1 with a sentence: the device is not to be had.
"""

import socket
import struct
import sys
from pathlib import Path

VERSION, IMPORT, IMPORTED = 0x0111, 0x8003, 0x0003
_FREE = 4
"""VDEV_ST_NULL of the kernel: nothing is attached to this port."""

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")


class NotAttached(Exception):
    """The device could not be attached"""


def attach(host: str, port: int, busid: str, controller: Path = CONTROLLER, *, at: int | None = None) -> int:
    """Import ``busid`` and hand the connection to vhci-hcd; gives the port of the virtual hub, which is ``at``, or the
    first that is free.

    Raises NotAttached where the device or a free port is not to be had, OSError where the server or vhci-hcd is not.
    """
    with socket.create_connection((host, port), timeout=10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(struct.pack(">HHI", VERSION, IMPORT, 0) + busid.encode().ljust(32, b"\0"))
        _, operation, status = struct.unpack(">HHI", _read(line, 8))
        if operation != IMPORTED or status:
            raise NotAttached(f"{busid} is not to be had: status {status}")
        bus, number, speed = struct.unpack(">III", _read(line, 312)[288:300])
        line.settimeout(None)
        free = _free_port(controller, at)
        (controller / "attach").write_text(f"{free} {line.fileno()} {bus << 16 | number} {speed}")
        return free


def _read(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = line.recv(count - len(got))
        if not more:
            raise NotAttached("the server ended the connection")
        got += more
    return got


def is_free(at: int, controller: Path = CONTROLLER) -> bool:
    """Whether nothing is attached to this port of the high-speed hub."""
    return at in _free_ports(controller)


def _free_port(controller: Path, at: int | None) -> int:
    free = _free_ports(controller)
    if not free or (at is not None and at not in free):
        raise NotAttached("vhci-hcd has no free port" if at is None else f"port {at} of vhci-hcd is not free")
    return free[0] if at is None else at


def _free_ports(controller: Path) -> list[int]:
    """The free ports of the high-speed hub: a full-speed device goes there too."""
    found = []
    for row in (controller / "status").read_text().splitlines()[1:]:
        kind, number, state, *_ = row.split()
        if kind == "hs" and int(state) == _FREE:
            found.append(int(number))
    return found


if __name__ == "__main__":
    try:
        sys.stdout.write(f"attached to port {attach(sys.argv[1], int(sys.argv[2]), sys.argv[3])}\n")
    except (NotAttached, OSError) as error:
        sys.exit(f"not attached: {error}")
