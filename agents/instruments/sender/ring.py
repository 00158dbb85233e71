"""Packets on their way from a run to its sender: memory that both processes have, a ring of slots for each audio port.

The run writes packets behind each other with the time each is due, and how far the sender may go (``limit``); the
sender writes when each left and how far it has come (``done``). Each word has one writer, so there is no lock. What is
not due yet can be taken back by lowering ``limit``: the sender takes nothing that is not due, so what it was allowed a
moment before is either sent already or not begun.
"""

import mmap
import os
import socket
from collections.abc import Callable

SLOTS = 256
PACKET_BYTES_MAX = 1472
"""What an IPv4 datagram holds on an Ethernet without being cut in pieces."""

_WORD = 8
_HEADER_WORDS = 8  # a cache line
_SLOT_WORDS = _HEADER_WORDS + PACKET_BYTES_MAX // _WORD
_BYTES = _WORD * (_HEADER_WORDS + SLOTS * _SLOT_WORDS)
_LIMIT, _DONE = 0, 1
_DUE, _LEFT, _TARGET, _PAYLOAD = 0, 1, 2, _HEADER_WORDS

Send = Callable[[memoryview, tuple[str, int]], int]
"""Sends one datagram; gives when it left (ns of CLOCK_BOOTTIME), or an error number below zero."""


class Ring:
    """One end of a ring. ``descriptor`` is of the memory; it is the caller's to close."""

    def __init__(self, descriptor: int) -> None:
        self._memory = memoryview(mmap.mmap(descriptor, _BYTES))
        self._words = self._memory.cast("q")
        self._targets: dict[int, tuple[str, int]] = {}

    @property
    def done(self) -> int:
        """How many packets have been dealt with."""
        return self._words[_DONE]

    @property
    def limit(self) -> int:
        """How many packets there are altogether."""
        return self._words[_LIMIT]

    def put(self, data: bytes, target: tuple[bytes, int], due_ns: int) -> None:
        """Add a packet for an IPv4 address (4 bytes) and port; the caller sees to it that a slot is free."""
        words, limit = self._words, self._words[_LIMIT]
        base = _base(limit)
        start = (base + _PAYLOAD) * _WORD
        self._memory[start : start + len(data)] = data
        words[base + _TARGET] = int.from_bytes(target[0]) | target[1] << 32 | len(data) << 48
        words[base + _DUE] = due_ns
        words[_LIMIT] = limit + 1

    def take_back(self, limit: int) -> None:
        """Allow the sender no packet from this one on."""
        self._words[_LIMIT] = limit

    def left(self, index: int) -> int:
        """When a packet that was dealt with left (ns of CLOCK_BOOTTIME); below zero the error why it did not."""
        return self._words[_base(index) + _LEFT]

    def due_ns(self) -> int | None:
        """When the next packet is due; None where there is none."""
        words = self._words
        done = words[_DONE]
        return None if done >= words[_LIMIT] else words[_base(done) + _DUE]

    def send_next(self, send: Send) -> None:
        """Deal with the next packet, which has to be due."""
        words = self._words
        done = words[_DONE]
        base = _base(done)
        start, packed = (base + _PAYLOAD) * _WORD, words[base + _TARGET]
        words[base + _LEFT] = send(
            self._memory[start : start + (packed >> 48)], self._target(packed & 0xFFFF_FFFF_FFFF)
        )
        words[_DONE] = done + 1

    def _target(self, packed: int) -> tuple[str, int]:
        found = self._targets.get(packed)
        if found is None:
            found = (socket.inet_ntoa((packed & 0xFFFF_FFFF).to_bytes(4)), packed >> 32)
            self._targets[packed] = found
        return found


def new_memory() -> int:
    """A descriptor of memory for one ring, empty. Raises OSError."""
    descriptor = os.memfd_create("assay-sender", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _BYTES)
    return descriptor


def _base(index: int) -> int:
    return _HEADER_WORDS + index % SLOTS * _SLOT_WORDS
