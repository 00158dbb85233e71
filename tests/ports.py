"""Ports of the loopback for what tests start: one place, so that no two of them are given the same one."""

import itertools
import os
import socket

FIRST, LAST = 21000, 31998
"""Below the kernel's own range: an outgoing connection of anybody takes none of these by chance."""

_offsets = itertools.count(os.getpid() * 1009 % 5000 * 2, 2)


def free_ports(count: int) -> list[int]:
    """Even ports, free for UDP and TCP, each with the next odd one as well (TLS, RTCP); none is given twice."""
    found: list[int] = []
    for _ in range(LAST - FIRST):
        if len(found) == count:
            return found
        port = FIRST + next(_offsets) % (LAST - FIRST)
        if _is_free(port) and _is_free(port + 1):
            found.append(port)
    raise RuntimeError(f"no {count} ports of 127.0.0.1 are free between {FIRST} and {LAST}")


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def free_row(count: int) -> int:
    """The first of so many ports in a row that are free, an even one."""
    for _ in range(LAST - FIRST):
        pairs = free_ports((count + 1) // 2)
        if pairs[-1] - pairs[0] == 2 * (len(pairs) - 1):
            return pairs[0]
    raise RuntimeError(f"no {count} ports in a row are free between {FIRST} and {LAST}")


def _is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        # As servers do: a port whose last connections are only waiting to be forgotten is free.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
