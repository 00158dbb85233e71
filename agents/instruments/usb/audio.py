"""The audio class's own descriptors (USB Audio 1.0, chapter 4; of 2.0 the terminals and units) and their rules. Pure.

Takes a configuration that ``standard`` read; gives what the audio function declares, and every breach with its
clause. A unit that is not known to the standard is a problem and is left out; reading goes on.
"""

from dataclasses import dataclass

from agents.instruments.usb.raw import Problems, RawDescriptor, Read
from agents.instruments.usb.standard import (
    AUDIO_CLASS,
    CLASS_ENDPOINT,
    CLASS_INTERFACE,
    ISOCHRONOUS,
    Configuration,
    Endpoint,
    InterfaceSetting,
)

AUDIO_CONTROL, AUDIO_STREAMING = 1, 2
UAC1, UAC2 = 0x00, 0x20
USB_STREAMING = 0x0101
PCM = 0x0001
MUTE_CONTROL, VOLUME_CONTROL = 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """An input or output terminal (UAC1, 4.3.2.1 and 4.3.2.2). ``source`` is None for an input terminal."""

    number: int
    terminal_type: int
    associated: int
    source: int | None
    channels: int | None
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A mixer, selector, feature, processing or extension unit (UAC1, 4.3.2.3 to 4.3.2.7).

    ``controls`` of a feature unit: the bitmap of the master channel first, then one for each channel.
    """

    number: int
    name: str
    sources: tuple[int, ...]
    controls: tuple[int, ...]
    offset: int

    def has(self, control: int) -> bool:
        """Whether any channel has the control (1 mute, 2 volume: UAC1, A.10.2)."""
        return any(bitmap >> control - 1 & 1 for bitmap in self.controls)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One alternate setting that carries audio (UAC1, 4.5 and 4.6). Rates in hertz.

    ``rates`` are the discrete ones; ``rate_range`` is (lowest, highest) of a continuous declaration, else None.
    """

    interface: int
    alternate: int
    terminal: int
    format_tag: int
    channels: int
    subframe_bytes: int
    bits: int
    rates: tuple[int, ...]
    rate_range: tuple[int, int] | None
    endpoint: Endpoint
    sets_rate: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFunction:
    """What all audio interfaces of a configuration declare. ``version`` is bcdADC: 0x0100 or 0x0200, 0 if unread."""

    version: int
    terminals: tuple[Terminal, ...]
    units: tuple[Unit, ...]
    streams: tuple[Stream, ...]


def read_audio(configuration: Configuration) -> Read[AudioFunction]:
    """Read the audio function of a configuration; empty where it has none. Never raises."""
    problems = Problems()
    control = _Control(problems)
    settings = [one for one in configuration.settings if one.interface_class == AUDIO_CLASS]
    streaming = {one.number for one in settings if one.interface_subclass == AUDIO_STREAMING}
    for one in settings:
        if one.interface_subclass == AUDIO_CONTROL:
            control.read(one, streaming)
    streams: list[Stream] = []
    for one in settings:
        if one.interface_subclass == AUDIO_STREAMING and one.protocol == UAC1:
            streams += _stream(one, problems)
    audio_control = any(one.interface_subclass == AUDIO_CONTROL for one in settings)
    problems.check(audio_control or not settings, 0, "audio interfaces without AudioControl", "UAC1, 4.3.1")
    _check_topology(control.terminals, control.units, streams, problems)
    found = AudioFunction(
        version=control.version,
        terminals=tuple(control.terminals),
        units=tuple(control.units),
        streams=tuple(streams),
    )
    return Read(found=found, problems=tuple(problems.found))


class _Control:
    """Reads the class-specific descriptors of one AudioControl interface."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self.version = 0
        self.terminals: list[Terminal] = []
        self.units: list[Unit] = []

    def read(self, setting: InterfaceSetting, streaming: set[int]) -> None:
        own = [one for one in setting.class_specific if one.kind == CLASS_INTERFACE]
        clause = "UAC1, 4.3.2"
        if not self._problems.check(bool(own) and own[0].subtype == 1, setting.offset, "no AC header first", clause):
            return
        second = setting.protocol == UAC2
        if not own[0].long_enough(
            9 if second else 8, "the AC header", "UAC2, 4.7.2" if second else clause, self._problems
        ):
            return
        self._read_header(own[0], own, second, streaming)
        for one in own[1:]:
            if one.long_enough(4, "a unit or terminal", "UAC1, 4.3.2", self._problems):
                (self._read_second if second else self._read_first)(one)

    def _read_header(self, head: RawDescriptor, own: list[RawDescriptor], second: bool, streaming: set[int]) -> None:
        self.version = head.u16(3)
        problems, clause = self._problems, "UAC2, 4.7.2" if second else "UAC1, 4.3.2"
        right = 0x0200 if second else 0x0100
        problems.check(self.version == right, head.offset + 3, f"bcdADC is 0x{self.version:04x}", clause)
        total, found = head.u16(6 if second else 5), sum(len(one.raw) for one in own)
        said = f"wTotalLength is {total}, header and units have {found}"
        problems.check(total == found, head.offset + 5, said, clause)
        if second:
            return
        listed = set(head.raw[8 : 8 + head.u8(7)])
        said = f"bInCollection is {head.u8(7)} and bLength {len(head.raw)}"
        problems.check(len(head.raw) == 8 + head.u8(7), head.offset + 7, said, clause)
        said = f"baInterfaceNr names {sorted(listed)}, the streaming interfaces are {sorted(streaming)}"
        problems.check(listed >= streaming, head.offset + 8, said, clause)

    def _read_first(self, one: RawDescriptor) -> None:
        """UAC1, table A-5."""
        if one.subtype == 2:
            if self._exactly(one, 12, "an input terminal", "UAC1, 4.3.2.1"):
                self._terminal(one, source=None, channels=one.u8(7))
        elif one.subtype == 3:
            if self._exactly(one, 9, "an output terminal", "UAC1, 4.3.2.2"):
                self._terminal(one, source=one.u8(7), channels=None)
        elif one.subtype == 6:
            self._feature(one)
        elif one.subtype in (4, 5, 7, 8):
            name = {4: "mixer", 5: "selector", 7: "processing", 8: "extension"}[one.subtype]
            self._pins(one, name, 6 if one.subtype in (7, 8) else 4, f"UAC1, 4.3.2.{one.subtype - 1}")
        else:
            self._problems.add(one.offset, f"unit of the undefined subtype {one.subtype}", "UAC1, A.5")

    def _read_second(self, one: RawDescriptor) -> None:
        """UAC2, table A-9: what the rows about a headset need."""
        if one.subtype == 2 and self._exactly(one, 17, "an input terminal", "UAC2, 4.7.2.4"):
            self._terminal(one, source=None, channels=one.u8(8))
        elif one.subtype == 3 and self._exactly(one, 12, "an output terminal", "UAC2, 4.7.2.5"):
            self._terminal(one, source=one.u8(7), channels=None)
        elif one.subtype == 6 and one.long_enough(10, "a feature unit", "UAC2, 4.7.2.8", self._problems):
            bitmaps = [int.from_bytes(one.raw[at : at + 4], "little") for at in range(5, len(one.raw) - 4, 4)]
            controls = tuple((word >> 0 & 1) | (word >> 2 & 1) << 1 for word in bitmaps)
            self._add(one, "feature", (one.u8(4),), controls)
        elif one.subtype in (0x0A, 0x0B, 0x0C):
            self._add(one, "clock", (), ())
        elif one.subtype in (4, 5, 8, 9):
            self._pins(one, "unit", {4: 4, 5: 4, 8: 6, 9: 6}[one.subtype], "UAC2, 4.7.2")
        elif one.subtype in (7, 0x0D):  # an effect unit and a rate converter have one source each
            self._add(one, "unit", tuple(one.raw[6:7] if one.subtype == 7 else one.raw[4:5]), ())
        elif one.subtype not in (2, 3, 6):
            self._problems.add(one.offset, f"unit of the undefined subtype {one.subtype}", "UAC2, A.9")

    def _exactly(self, one: RawDescriptor, length: int, name: str, clause: str) -> bool:
        said = f"{name} has {len(one.raw)} bytes, not {length}"
        self._problems.check(len(one.raw) <= length, one.offset, said, clause)
        return one.long_enough(length, name, clause, self._problems)

    def _terminal(self, one: RawDescriptor, *, source: int | None, channels: int | None) -> None:
        self.terminals.append(
            Terminal(
                number=one.u8(3),
                terminal_type=one.u16(4),
                associated=one.u8(6),
                source=source,
                channels=channels,
                offset=one.offset,
            )
        )

    def _feature(self, one: RawDescriptor) -> None:
        clause = "UAC1, 4.3.2.5"
        if not one.long_enough(8, "a feature unit", clause, self._problems):
            return
        size = one.u8(5)
        whole = size > 0 and (len(one.raw) - 7) % size == 0
        said = f"{len(one.raw)} bytes are no whole number of controls of {size} bytes"
        if self._problems.check(whole, one.offset, said, clause):
            body = one.raw[6:-1]
            controls = tuple(int.from_bytes(body[at : at + size], "little") for at in range(0, len(body), size))
            self._add(one, "feature", (one.u8(4),), controls)

    def _pins(self, one: RawDescriptor, name: str, at: int, clause: str) -> None:
        """A unit with a number of input pins at ``at`` and as many sources behind it."""
        if not one.long_enough(at + 2, f"a {name} unit", clause, self._problems):
            return
        pins = one.u8(at)
        if one.long_enough(at + 2 + pins, f"a {name} unit of {pins} pins", clause, self._problems):
            self._add(one, name, tuple(one.raw[at + 1 : at + 1 + pins]), ())

    def _add(self, one: RawDescriptor, name: str, sources: tuple[int, ...], controls: tuple[int, ...]) -> None:
        self.units.append(Unit(number=one.u8(3), name=name, sources=sources, controls=controls, offset=one.offset))


def _stream(setting: InterfaceSetting, problems: Problems) -> list[Stream]:
    own = [one for one in setting.class_specific if one.kind == CLASS_INTERFACE]
    if setting.alternate == 0 and not own:
        return []  # the setting without bandwidth (UAC1, 4.5.1)
    general = next((one for one in own if one.subtype == 1), None)
    layout = next((one for one in own if one.subtype == 2), None)
    endpoint = next((one for one in setting.endpoints if one.transfer == ISOCHRONOUS), None)
    place = f"interface {setting.number}, setting {setting.alternate}"
    here = setting.offset
    has = problems.check(general is not None, here, f"{place} has no AS_GENERAL", "UAC1, 4.5.2")
    has &= problems.check(layout is not None, here, f"{place} has no FORMAT_TYPE", "UAC1, 4.5.3")
    has &= problems.check(endpoint is not None, here, f"{place} has no isochronous endpoint", "UAC1, 4.6.1.1")
    if not has or general is None or layout is None or endpoint is None:
        return []
    clause = "Audio Data Formats 1.0, 2.2.5"
    if not general.long_enough(7, "AS_GENERAL", "UAC1, 4.5.2", problems):
        return []
    if not layout.long_enough(8, "FORMAT_TYPE", clause, problems):
        return []
    if layout.u8(3) != 1:
        return []  # types II and III are compressed: allowed, and no stream of samples
    rates, span = _rates(layout, problems)
    channels, subframe, bits = layout.u8(4), layout.u8(5), layout.u8(6)
    problems.check(1 <= subframe <= 4, layout.offset + 5, f"bSubframeSize is {subframe}, not 1 to 4", clause)
    problems.check(bits <= 8 * subframe, layout.offset + 6, f"{bits} bits in {subframe} bytes", clause)
    fastest = max((*rates, *(span or ())), default=0)
    needed = -(-fastest // 1000) * channels * subframe
    said = f"packets of {endpoint.packet_bytes_max} bytes cannot carry {fastest} Hz, which needs {needed}"
    problems.check(endpoint.packet_bytes_max >= needed, here, said, "USB 2.0, 5.6.3")
    return [
        Stream(
            interface=setting.number,
            alternate=setting.alternate,
            terminal=general.u8(3),
            format_tag=general.u16(5),
            channels=channels,
            subframe_bytes=subframe,
            bits=bits,
            rates=rates,
            rate_range=span,
            endpoint=endpoint,
            sets_rate=_sets_rate(endpoint, place, here, problems),
        )
    ]


def _rates(layout: RawDescriptor, problems: Problems) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    clause, count = "Audio Data Formats 1.0, 2.2.5", layout.u8(7)
    length = 8 + 3 * (count or 2)
    said = f"{count or 'a range of'} rates make {length} bytes, bLength is {len(layout.raw)}"
    problems.check(len(layout.raw) == length, layout.offset, said, clause)
    listed = tuple(layout.u24(at) for at in range(8, min(length, len(layout.raw)) - 2, 3))
    problems.check(all(listed), layout.offset + 8, "a rate of 0 Hz", clause)
    if count:
        return listed, None
    if len(listed) < 2:
        return (), None
    problems.check(listed[0] <= listed[1], layout.offset + 8, "the lowest rate lies above the highest", clause)
    return (), (listed[0], listed[1])


def _sets_rate(endpoint: Endpoint, place: str, here: int, problems: Problems) -> bool:
    clause = "UAC1, 4.6.1.2"
    own = [one for one in endpoint.class_specific if one.kind == CLASS_ENDPOINT]
    if not problems.check(len(own) == 1, here, f"{place}: {len(own)} class-specific endpoint descriptors", clause):
        return False
    if not own[0].long_enough(7, "the class-specific endpoint", clause, problems):
        return False
    problems.check(len(own[0].raw) == 7, own[0].offset, f"bLength is {len(own[0].raw)}, not 7", clause)
    return bool(own[0].u8(3) & 1)


def _check_topology(terminals: list[Terminal], units: list[Unit], streams: list[Stream], problems: Problems) -> None:
    """Ids are unique, every source exists, and every stream ends at a USB streaming terminal (UAC1, 3.5 and 4.3.2)."""
    known: set[int] = set()
    nodes: list[Terminal | Unit] = [*terminals, *units]
    for one in nodes:
        problems.check(one.number != 0, one.offset + 3, "id 0 is reserved", "UAC1, 4.3.2")
        problems.check(one.number not in known, one.offset + 3, f"id {one.number} stands twice", "UAC1, 4.3.2")
        known.add(one.number)
    ends = {one.number for one in terminals}
    for terminal in terminals:
        if terminal.source is not None:
            said = f"terminal {terminal.number} is fed by {terminal.source}, which does not exist"
            problems.check(terminal.source in known, terminal.offset + 7, said, "UAC1, 4.3.2.2")
        if terminal.associated:
            said = f"terminal {terminal.number} is associated with {terminal.associated}, which is no terminal"
            problems.check(terminal.associated in ends, terminal.offset + 6, said, "UAC1, 4.3.2.1")
    for unit in units:
        for source in unit.sources:
            said = f"unit {unit.number} is fed by {source}, which does not exist"
            problems.check(source in known, unit.offset + 4, said, "UAC1, 3.5")
    usb = {one.number: one for one in terminals if one.terminal_type == USB_STREAMING}
    for stream in streams:
        said = f"interface {stream.interface} links to {stream.terminal}, which is no USB streaming terminal"
        if problems.check(stream.terminal in usb, 0, said, "UAC1, 4.5.2"):
            gives = usb[stream.terminal].source is not None
            said = f"interface {stream.interface} and its terminal point in different directions"
            problems.check(gives == stream.endpoint.is_in, 0, said, "UAC1, 4.5.2")
