"""Cuts a chain of descriptors into single ones (USB 2.0, 9.5): each begins with its length and its type. Pure.

Bytes come from outside and may be anything. What is wrong is collected as :class:`DescriptorProblem`, each with its
clause, and reading goes on; :class:`UnreadableDescriptor` is raised only where nothing at all can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lab_inventory.errors import BadInput

CHAIN_BYTES_MAX = 65_535
"""wTotalLength has 16 bits (USB 2.0, 9.6.3), so no configuration is longer."""

PROBLEMS_MAX = 256
"""Broken bytes have no end of problems; after so many the rest says nothing new."""

Found = TypeVar("Found")


class UnreadableDescriptor(BadInput):
    """The bytes hold no USB descriptor that can be read"""

    slug = "unreadable-usb-descriptor"


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptorProblem:
    """One breach: the byte where it stands, what is wrong there, and the clause that forbids it."""

    offset: int
    wrong: str
    clause: str

    def __str__(self) -> str:
        return f"byte {self.offset}: {self.wrong} ({self.clause})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Read(Generic[Found]):
    """What was read, and everything that was wrong with it."""

    found: Found
    problems: tuple[DescriptorProblem, ...]


@dataclass(slots=True)
class Problems:
    """Collects problems in the order of finding, at most :data:`PROBLEMS_MAX`."""

    found: list[DescriptorProblem] = field(default_factory=list)

    def add(self, offset: int, wrong: str, clause: str) -> None:
        """Note one breach at ``offset`` (bytes from the start of what is read)."""
        if len(self.found) < PROBLEMS_MAX:
            self.found.append(DescriptorProblem(offset=offset, wrong=wrong, clause=clause))

    def check(self, holds: bool, offset: int, wrong: str, clause: str) -> bool:
        """Note the breach unless ``holds``; gives ``holds``."""
        if not holds:
            self.add(offset, wrong, clause)
        return holds


@dataclass(frozen=True, kw_only=True, slots=True)
class RawDescriptor:
    """One descriptor as it stands: ``raw`` is all of it with length and type; ``offset`` is where it began."""

    offset: int
    raw: bytes

    @property
    def kind(self) -> int:
        """bDescriptorType."""
        return self.raw[1]

    @property
    def subtype(self) -> int | None:
        """bDescriptorSubtype, the third byte of class-specific descriptors; None where there is none."""
        return self.raw[2] if len(self.raw) > 2 else None

    def u8(self, at: int) -> int:
        """The byte at ``at``; the caller has checked the length."""
        return self.raw[at]

    def u16(self, at: int) -> int:
        """Two bytes, little-endian (USB 2.0, 8.1)."""
        return int.from_bytes(self.raw[at : at + 2], "little")

    def u24(self, at: int) -> int:
        """Three bytes, little-endian."""
        return int.from_bytes(self.raw[at : at + 3], "little")

    def long_enough(self, bytes_min: int, name: str, clause: str, problems: Problems) -> bool:
        """Whether the descriptor has its fixed part; notes the breach otherwise."""
        wrong = f"{name} has {len(self.raw)} bytes and needs at least {bytes_min}"
        return problems.check(len(self.raw) >= bytes_min, self.offset, wrong, clause)


def cut(chain: bytes, problems: Problems) -> Iterator[RawDescriptor]:
    """The descriptors of a chain, one after the other; ends where a length makes no sense, and notes that."""
    offset = 0
    while offset < len(chain):
        left = len(chain) - offset
        length = chain[offset]
        if length < 2:
            problems.add(offset, f"bLength is {length}, so the next descriptor cannot be found", "USB 2.0, 9.5")
            return
        if length > left:
            problems.add(offset, f"bLength is {length} and {left} bytes are left", "USB 2.0, 9.5")
            return
        yield RawDescriptor(offset=offset, raw=bytes(chain[offset : offset + length]))
        offset += length
