"""HID report descriptors, read item by item (HID 1.11, 6.2.2) into fields with their place in each report. Pure.

Nothing is guessed: a field's usages, size, range and flags are what the items before it set. Breaches are collected
with their clause; :class:`UnreadableDescriptor` is raised only where there is not one item.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from agents.instruments.usb.raw import Problems, Read, UnreadableDescriptor

DESCRIPTOR_BYTES_MAX = 65_535
REPORT_BITS_MAX = 65_536
"""8 KiB: far more than any headset's report, and a bound on what a forged one can ask for."""

DEPTH_MAX = 64
USAGES_MAX = 4_096
INPUT, OUTPUT, FEATURE = "input", "output", "feature"

_MAIN, _GLOBAL, _LOCAL = 0, 1, 2
_KINDS = {0x8: INPUT, 0x9: OUTPUT, 0xB: FEATURE}
_APPLICATION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """One collection: ``kind`` 0 physical, 1 application, 2 logical; ``parent`` is an index, None at the top."""

    kind: int
    usage: int | None
    parent: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportField:
    """``count`` values of ``size_bits`` each, from ``bit_offset`` of the report's data (its id not counted).

    Variable: value number i belongs to ``usages[i]``. Array: a value v names ``usages[v - logical_min]``.
    ``collection`` is an index into the descriptor's collections, None outside of all.
    """

    kind: str
    report_id: int
    bit_offset: int
    size_bits: int
    count: int
    usages: tuple[int, ...]
    logical_min: int
    logical_max: int
    constant: bool
    variable: bool
    relative: bool
    no_preferred: bool
    collection: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDescriptor:
    """All fields in their order. ``uses_ids``: each report begins with a byte that is its id."""

    collections: tuple[Collection, ...]
    fields: tuple[ReportField, ...]
    uses_ids: bool

    def report_bytes(self, kind: str, report_id: int) -> int:
        """The length of a report's data in bytes, without its id; 0 where there is no such report."""
        of_it = [one for one in self.fields if one.kind == kind and one.report_id == report_id]
        return (max((one.bit_offset + one.size_bits * one.count for one in of_it), default=0) + 7) // 8

    def within(self, index: int | None, usage: int) -> bool:
        """Whether the collection at ``index``, or one around it, is an application collection of ``usage``."""
        while index is not None:
            one = self.collections[index]
            if one.kind == _APPLICATION and one.usage == usage:
                return True
            index = one.parent
        return False


@dataclass(frozen=True, slots=True)
class _Globals:
    """The item state table's global part (HID 1.11, 6.2.2.7); what push keeps and pop gives back."""

    page: int = 0
    logical_min: int = 0
    logical_max: int = 0
    logical_max_unsigned: int = 0
    size_bits: int = 0
    report_id: int = 0
    count: int = 0


@dataclass(slots=True)
class _Locals:
    """What holds for the next main item only (HID 1.11, 6.2.2.8)."""

    usages: list[int] = field(default_factory=list)
    low: int | None = None
    in_delimiter: bool = False
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class _Item:
    offset: int
    kind: int
    tag: int
    data: bytes

    @property
    def unsigned(self) -> int:
        return int.from_bytes(self.data, "little")

    @property
    def signed(self) -> int:
        return int.from_bytes(self.data, "little", signed=True)


def read_report_descriptor(raw: bytes, declared_bytes: int | None = None) -> Read[ReportDescriptor]:
    """Read a report descriptor; raises UnreadableDescriptor where it is empty, too long, or has no whole item.

    ``declared_bytes`` is the length that the HID descriptor tells, where it is to be held to it.
    """
    if not raw or len(raw) > DESCRIPTOR_BYTES_MAX:
        raise UnreadableDescriptor(f"a report descriptor of {len(raw)} bytes; expected 1 to {DESCRIPTOR_BYTES_MAX}")
    problems = Problems()
    right = declared_bytes in (None, len(raw))
    problems.check(right, 0, f"the HID descriptor tells {declared_bytes} bytes, {len(raw)} came", "HID 1.11, 6.2.1")
    reader = _Reader(problems)
    items = 0
    for item in _items(raw, problems):
        items += 1
        reader.take(item)
    if not items:
        raise UnreadableDescriptor("a report descriptor without one whole item (HID 1.11, 6.2.2.2)")
    return Read(found=reader.end(len(raw)), problems=tuple(problems.found))


def _items(raw: bytes, problems: Problems) -> Iterator[_Item]:
    offset = 0
    while offset < len(raw):
        prefix = raw[offset]
        if prefix == 0xFE:  # a long item (6.2.2.3): none is defined, so it is passed over
            size = 3 + (raw[offset + 1] if offset + 1 < len(raw) else 0)
            if offset + size > len(raw):
                problems.add(offset, "a long item goes past the end", "HID 1.11, 6.2.2.3")
                return
            problems.add(offset, "a long item, and none is defined", "HID 1.11, 6.2.2.3")
            offset += size
            continue
        size = (0, 1, 2, 4)[prefix & 3]
        if offset + 1 + size > len(raw):
            problems.add(offset, f"an item of {size} data bytes goes past the end", "HID 1.11, 6.2.2.2")
            return
        yield _Item(offset, prefix >> 2 & 3, prefix >> 4, bytes(raw[offset + 1 : offset + 1 + size]))
        offset += 1 + size


class _Reader:
    """The parser of HID 1.11, 5.4: item state table in, fields out."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._global = _Globals()
        self._stack: list[_Globals] = []
        self._local = _Locals()
        self._collections: list[Collection] = []
        self._open: list[int] = []
        self._fields: list[ReportField] = []
        self._bits: dict[tuple[str, int], int] = {}
        self._usages = 0

    def take(self, item: _Item) -> None:
        if item.kind == _MAIN:
            self._take_main(item)
            self._local = _Locals()
        elif item.kind == _GLOBAL:
            self._take_global(item)
        elif item.kind == _LOCAL:
            self._take_local(item)
        else:
            self._problems.add(item.offset, "an item of the reserved type 3", "HID 1.11, 6.2.2.2")

    def end(self, length: int) -> ReportDescriptor:
        said = f"{len(self._open)} collections are not ended"
        self._problems.check(not self._open, length, said, "HID 1.11, 6.2.2.6")
        ids = {one.report_id for one in self._fields}
        mixed = "some reports have an id and others have none"
        self._problems.check(0 not in ids or len(ids) == 1, 0, mixed, "HID 1.11, 6.2.2.7")
        return ReportDescriptor(
            collections=tuple(self._collections), fields=tuple(self._fields), uses_ids=bool(ids - {0})
        )

    def _take_main(self, item: _Item) -> None:
        if item.tag in _KINDS:
            self._add_field(item, _KINDS[item.tag])
        elif item.tag == 0xA:
            self._begin_collection(item)
        elif item.tag == 0xC:
            if self._problems.check(bool(self._open), item.offset, "an end without a collection", "HID 1.11, 6.2.2.6"):
                self._open.pop()
        else:
            self._problems.add(item.offset, f"main item with the reserved tag {item.tag}", "HID 1.11, 6.2.2.4")

    def _begin_collection(self, item: _Item) -> None:
        clause = "HID 1.11, 6.2.2.6"
        if not self._problems.check(len(self._open) < DEPTH_MAX, item.offset, f"more than {DEPTH_MAX} deep", clause):
            return
        usage = self._local.usages[0] if self._local.usages else None
        top = not self._open
        if top:
            said = "the outermost collection is no application collection"
            self._problems.check(item.unsigned == _APPLICATION, item.offset, said, "HID 1.11, 6.2.2.6")
        self._problems.check(usage is not None, item.offset, "a collection has no usage", clause)
        parent = None if top else self._open[-1]
        self._open.append(len(self._collections))
        self._collections.append(Collection(kind=item.unsigned & 0xFF, usage=usage, parent=parent))

    def _add_field(self, item: _Item, kind: str) -> None:
        now, flags, problems = self._global, item.unsigned, self._problems
        said = "a field outside of every collection"
        problems.check(bool(self._open), item.offset, said, "HID 1.11, 6.2.2.4")
        sized = 1 <= now.size_bits <= 32 or (flags & 1 and now.size_bits >= 1)
        said = f"report size {now.size_bits} and count {now.count} make no field"
        if not problems.check(bool(sized) and now.count >= 1, item.offset, said, "HID 1.11, 6.2.2.7"):
            return
        place = (kind, now.report_id)
        offset = self._bits.get(place, 0)
        bits = offset + now.size_bits * now.count
        said = f"{kind} report {now.report_id} would have {bits} bits; at most {REPORT_BITS_MAX} are read"
        if not problems.check(bits <= REPORT_BITS_MAX, item.offset, said, "HID 1.11, 6.2.2.7"):
            return
        self._bits[place] = bits
        constant, variable = bool(flags & 1), bool(flags & 2)
        usages = tuple(self._local.usages)
        low, high = now.logical_min, now.logical_max
        if not constant:
            problems.check(bool(usages), item.offset, "a data field has no usage", "HID 1.11, 6.2.2.8")
            if low > high and now.logical_max_unsigned >= low >= 0:
                said = f"logical maximum {high} is meant as {now.logical_max_unsigned}: it needs another byte"
                problems.add(item.offset, said, "HID 1.11, 6.2.2.7")
                high = now.logical_max_unsigned
            problems.check(low <= high, item.offset, f"logical minimum {low} above {high}", "HID 1.11, 6.2.2.7")
            room = -(1 << now.size_bits - 1) <= low and high < (1 << now.size_bits)
            said = f"{low} to {high} does not fit into {now.size_bits} bits"
            problems.check(room, item.offset, said, "HID 1.11, 6.2.2.7")
        if variable and usages:  # the last usage holds for all values that are left (6.2.2.8)
            usages = usages[: now.count] + usages[-1:] * min(now.count - len(usages), USAGES_MAX)
        self._usages += len(usages)
        said = f"more than {USAGES_MAX} usages; this field is read without"
        if not problems.check(self._usages <= USAGES_MAX, item.offset, said, "HID 1.11, 6.2.2.8"):
            usages = ()
        self._fields.append(
            ReportField(
                kind=kind,
                report_id=now.report_id,
                bit_offset=offset,
                size_bits=now.size_bits,
                count=now.count,
                usages=usages,
                logical_min=low,
                logical_max=high,
                constant=constant,
                variable=variable,
                relative=bool(flags & 4),
                no_preferred=bool(flags & 0x20),
                collection=self._open[-1] if self._open else None,
            )
        )

    def _take_global(self, item: _Item) -> None:
        clause, now = "HID 1.11, 6.2.2.7", self._global
        if item.tag == 0x0:
            self._problems.check(0 < item.unsigned <= 0xFFFF, item.offset, "usage page out of range", clause)
            self._global = replace(now, page=item.unsigned & 0xFFFF)
        elif item.tag == 0x1:
            self._global = replace(now, logical_min=item.signed)
        elif item.tag == 0x2:
            self._global = replace(now, logical_max=item.signed, logical_max_unsigned=item.unsigned)
        elif item.tag == 0x7:
            self._global = replace(now, size_bits=item.unsigned)
        elif item.tag == 0x8:
            said = f"report id {item.unsigned} is not 1 to 255"
            if self._problems.check(1 <= item.unsigned <= 255, item.offset, said, clause):
                self._global = replace(now, report_id=item.unsigned)
        elif item.tag == 0x9:
            self._global = replace(now, count=item.unsigned)
        elif item.tag == 0xA:
            if self._problems.check(len(self._stack) < DEPTH_MAX, item.offset, "too many pushes", clause):
                self._stack.append(now)
        elif item.tag == 0xB:
            if self._problems.check(bool(self._stack), item.offset, "pop without push", clause):
                self._global = self._stack.pop()
        elif item.tag > 0xB:
            self._problems.add(item.offset, f"global item with the reserved tag {item.tag}", clause)
        # 3 to 6 are the physical range and its unit, which no headset row needs

    def _take_local(self, item: _Item) -> None:
        clause, local = "HID 1.11, 6.2.2.8", self._local
        if item.tag == 0xA:
            self._delimit(item)
        elif item.tag in (0x0, 0x1, 0x2):
            whole = item.unsigned if len(item.data) == 4 else self._global.page << 16 | item.unsigned
            if item.tag == 0x0:
                self._use(whole)
            elif item.tag == 0x1:
                local.low = whole
            elif self._problems.check(local.low is not None, item.offset, "a usage maximum without minimum", clause):
                low, local.low = local.low or 0, None
                fits = low <= whole and low >> 16 == whole >> 16 and whole - low < USAGES_MAX
                said = f"usages 0x{low:x} to 0x{whole:x} are no range"
                if self._problems.check(fits, item.offset, said, clause):
                    self._use(*range(low, whole + 1))
        elif item.tag > 0xA or item.tag == 0x6:
            self._problems.add(item.offset, f"local item with the reserved tag {item.tag}", clause)
        # 3 to 5 are designators, 7 to 9 strings: nothing that is measured

    def _use(self, *codes: int) -> None:
        if self._local.in_delimiter:  # of alternative usages the first is the preferred one (6.2.2.8)
            self._local.alternatives += 1
            if self._local.alternatives > 1:
                return
        self._local.usages += codes[: USAGES_MAX - len(self._local.usages)]

    def _delimit(self, item: _Item) -> None:
        opens = item.unsigned == 1
        right = item.unsigned in (0, 1) and opens != self._local.in_delimiter
        self._problems.check(right, item.offset, "a delimiter that does not fit", "HID 1.11, 6.2.2.8")
        self._local.in_delimiter, self._local.alternatives = opens, 0
