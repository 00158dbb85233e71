"""Device, configuration and string descriptors (USB 2.0, chapter 9), with the rules that hold within each. Pure.

Takes the bytes a device answers to GET_DESCRIPTOR; gives :class:`Read` with typed data and every breach with its
clause. What belongs to a class (0x24, 0x25) is kept as it stands for ``audio`` to read.
"""

from dataclasses import dataclass

from agents.instruments.usb.raw import CHAIN_BYTES_MAX, Problems, RawDescriptor, Read, UnreadableDescriptor, cut

DEVICE, CONFIGURATION, STRING, INTERFACE, ENDPOINT = 1, 2, 3, 4, 5
ASSOCIATION, HID, CLASS_INTERFACE, CLASS_ENDPOINT = 0x0B, 0x21, 0x24, 0x25
AUDIO_CLASS, HID_CLASS = 1, 3
CONTROL, ISOCHRONOUS, BULK, INTERRUPT = 0, 1, 2, 3

_AUDIO_ENDPOINT_BYTES = 9
"""In the audio class a standard endpoint descriptor has bRefresh and bSynchAddress besides (UAC1, 4.6.1.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceDescriptor:
    """USB 2.0, table 9-8. Versions are BCD: 0x0123 is 1.23. An index of 0 means that there is no such string."""

    usb_version: int
    device_class: int
    device_subclass: int
    device_protocol: int
    control_packet_bytes_max: int
    vendor: int
    product: int
    release: int
    manufacturer_index: int
    product_index: int
    serial_index: int
    configurations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """USB 2.0, table 9-13; ``class_specific`` are the descriptors of type 0x25 that follow it."""

    address: int
    attributes: int
    packet_bytes_max: int
    interval: int
    class_specific: tuple[RawDescriptor, ...] = ()

    @property
    def is_in(self) -> bool:
        """Whether it carries data from the device to the host."""
        return bool(self.address & 0x80)

    @property
    def transfer(self) -> int:
        """0 control, 1 isochronous, 2 bulk, 3 interrupt."""
        return self.attributes & 3


@dataclass(frozen=True, kw_only=True, slots=True)
class HidDescriptor:
    """HID 1.11, 6.2.1: the lengths of the report descriptors in bytes, in their order."""

    version: int
    country: int
    report_descriptor_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceSetting:
    """One alternate setting of one interface (USB 2.0, table 9-12) with what follows it."""

    number: int
    alternate: int
    interface_class: int
    interface_subclass: int
    protocol: int
    string_index: int
    offset: int
    endpoints: tuple[Endpoint, ...]
    class_specific: tuple[RawDescriptor, ...]
    hid: HidDescriptor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """An interface association (the engineering change to USB 2.0, table 9-Z): interfaces that are one function."""

    first: int
    count: int
    function_class: int
    function_subclass: int
    function_protocol: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """USB 2.0, table 9-10, with all its interfaces. ``power_ma_max`` is bMaxPower in milliamperes."""

    value: int
    attributes: int
    power_ma_max: int
    associations: tuple[Association, ...]
    settings: tuple[InterfaceSetting, ...]


def read_device(raw: bytes) -> Read[DeviceDescriptor]:
    """Read a device descriptor (USB 2.0, 9.6.1); raises UnreadableDescriptor below 18 bytes or with another type."""
    if len(raw) < 18 or raw[1] != DEVICE:
        raise UnreadableDescriptor("not a device descriptor: expected 18 bytes of type 1 (USB 2.0, 9.6.1)")
    one, problems = RawDescriptor(offset=0, raw=bytes(raw[:18])), Problems()
    clause = "USB 2.0, 9.6.1"
    device = DeviceDescriptor(
        usb_version=one.u16(2), device_class=one.u8(4), device_subclass=one.u8(5), device_protocol=one.u8(6),
        control_packet_bytes_max=one.u8(7), vendor=one.u16(8), product=one.u16(10), release=one.u16(12),
        manufacturer_index=one.u8(14), product_index=one.u8(15), serial_index=one.u8(16), configurations=one.u8(17),
    )  # fmt: skip
    problems.check(raw[0] == 18, 0, f"bLength is {raw[0]}, not 18", clause)
    problems.check(len(raw) == 18, 18, f"{len(raw) - 18} bytes follow the descriptor", clause)
    problems.check(_is_bcd(device.usb_version), 2, f"bcdUSB 0x{device.usb_version:04x} is no BCD", clause)
    problems.check(_is_bcd(device.release), 12, f"bcdDevice 0x{device.release:04x} is no BCD", clause)
    size = device.control_packet_bytes_max
    problems.check(size in (8, 16, 32, 64), 7, f"bMaxPacketSize0 is {size}, not 8, 16, 32 or 64", clause)
    named = device.device_class != 0 or device.device_subclass == 0
    problems.check(named, 5, "bDeviceSubClass is set though bDeviceClass is 0", clause)
    problems.check(device.configurations > 0, 17, "bNumConfigurations is 0", clause)
    return Read(found=device, problems=tuple(problems.found))


def read_string(raw: bytes) -> Read[str]:
    """Read a string descriptor (USB 2.0, 9.6.7) as text; raises UnreadableDescriptor if it is none."""
    if len(raw) < 2 or raw[1] != STRING:
        raise UnreadableDescriptor("not a string descriptor: expected length and type 3 (USB 2.0, 9.6.7)")
    problems, clause = Problems(), "USB 2.0, 9.6.7"
    problems.check(raw[0] == len(raw), 0, f"bLength is {raw[0]} and {len(raw)} bytes came", clause)
    body = raw[2 : max(2, raw[0])]
    problems.check(len(body) % 2 == 0, 0, f"{len(body)} bytes are no whole UTF-16 units", clause)
    body = body[: len(body) & ~1]
    try:
        text = body.decode("utf-16-le")
    except UnicodeDecodeError as error:
        problems.add(2 + error.start, "a surrogate stands alone, so this is no UTF-16", clause)
        text = body.decode("utf-16-le", "replace")
    problems.check("\0" not in text, 2, "the text has a null character: strings are not null-terminated", clause)
    return Read(found=text, problems=tuple(problems.found))


def read_languages(raw: bytes) -> Read[tuple[int, ...]]:
    """Read string descriptor 0, the language codes (USB 2.0, 9.6.7); raises UnreadableDescriptor if it is none."""
    if len(raw) < 2 or raw[1] != STRING:
        raise UnreadableDescriptor("not a string descriptor: expected length and type 3 (USB 2.0, 9.6.7)")
    problems, clause = Problems(), "USB 2.0, 9.6.7"
    problems.check(raw[0] == len(raw), 0, f"bLength is {raw[0]} and {len(raw)} bytes came", clause)
    body = raw[2 : max(2, raw[0])]
    problems.check(len(body) >= 2 and len(body) % 2 == 0, 0, f"{len(body)} bytes of language codes", clause)
    codes = tuple(int.from_bytes(body[at : at + 2], "little") for at in range(0, len(body) - 1, 2))
    return Read(found=codes, problems=tuple(problems.found))


def read_configuration(raw: bytes) -> Read[Configuration]:
    """Read a whole configuration (USB 2.0, 9.6.3); raises UnreadableDescriptor where its header cannot be read."""
    if len(raw) < 9 or raw[1] != CONFIGURATION or raw[0] < 9:
        raise UnreadableDescriptor("not a configuration: expected at least 9 bytes of type 2 (USB 2.0, 9.6.3)")
    if len(raw) > CHAIN_BYTES_MAX:
        raise UnreadableDescriptor(f"{len(raw)} bytes are more than wTotalLength can tell (USB 2.0, 9.6.3)")
    problems, clause = Problems(), "USB 2.0, 9.6.3"
    head = RawDescriptor(offset=0, raw=bytes(raw[:9]))
    problems.check(raw[0] == 9, 0, f"bLength is {raw[0]}, not 9", clause)
    total = head.u16(2)
    problems.check(total == len(raw), 2, f"wTotalLength is {total} and {len(raw)} bytes came", clause)
    problems.check(head.u8(5) != 0, 5, "bConfigurationValue is 0, which means not configured", clause)
    problems.check(
        head.u8(7) & 0x9F == 0x80, 7, f"bmAttributes 0x{head.u8(7):02x}: bit 7 must be 1, 4 to 0 be 0", clause
    )
    problems.check(head.u8(8) <= 250, 8, f"bMaxPower asks for {2 * head.u8(8)} mA, 500 is the most", "USB 2.0, 7.2.1.4")
    associations, settings = _Chain(problems).read(raw)
    numbers = {setting.number for setting in settings}
    problems.check(head.u8(4) == len(numbers), 4, f"bNumInterfaces is {head.u8(4)}, found {len(numbers)}", clause)
    _check_settings(settings, problems)
    for one in associations:
        known = one.count > 0 and numbers.issuperset(range(one.first, one.first + one.count))
        wrong = f"an association names interfaces {one.first} to {one.first + one.count - 1}, not all of which exist"
        problems.check(known, 0, wrong, "USB ECN interface association, 9.X.Y")
    found = Configuration(
        value=head.u8(5),
        attributes=head.u8(7),
        power_ma_max=2 * head.u8(8),
        associations=tuple(associations),
        settings=tuple(settings),
    )
    return Read(found=found, problems=tuple(problems.found))


class _Chain:
    """Puts endpoints and class-specific descriptors where they belong: to what stands before them."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._settings: list[InterfaceSetting] = []
        self._associations: list[Association] = []
        self._head: RawDescriptor | None = None
        self._of_class: list[RawDescriptor] = []
        self._endpoints: list[tuple[RawDescriptor, list[RawDescriptor]]] = []
        self._hid: HidDescriptor | None = None

    def read(self, raw: bytes) -> tuple[list[Association], list[InterfaceSetting]]:
        for number, one in enumerate(cut(raw, self._problems)):
            if number == 0:
                continue
            if one.kind == INTERFACE:
                self._close()
                if one.long_enough(9, "an interface descriptor", "USB 2.0, 9.6.5", self._problems):
                    self._head = one
            elif one.kind == ASSOCIATION:
                self._close()
                self._associate(one)
            elif self._head is None:
                self._problems.add(
                    one.offset, f"a descriptor of type 0x{one.kind:02x} before any interface", "USB 2.0, 9.4.3"
                )
            else:
                self._follow(one, self._head)
        self._close()
        return self._associations, self._settings

    def _associate(self, one: RawDescriptor) -> None:
        if one.long_enough(8, "an interface association", "USB ECN interface association, 9.X.Y", self._problems):
            self._associations.append(
                Association(
                    first=one.u8(2),
                    count=one.u8(3),
                    function_class=one.u8(4),
                    function_subclass=one.u8(5),
                    function_protocol=one.u8(6),
                )
            )

    def _follow(self, one: RawDescriptor, head: RawDescriptor) -> None:
        if one.kind == ENDPOINT:
            if one.long_enough(7, "an endpoint descriptor", "USB 2.0, 9.6.6", self._problems):
                self._endpoints.append((one, []))
        elif one.kind == CLASS_ENDPOINT and self._endpoints:
            self._endpoints[-1][1].append(one)
        elif one.kind == HID and head.u8(5) == HID_CLASS:
            self._problems.check(self._hid is None, one.offset, "a second HID descriptor", "HID 1.11, 6.2.1")
            self._hid = _read_hid(one, self._problems) or self._hid
        elif one.kind in (DEVICE, CONFIGURATION, STRING):
            self._problems.add(one.offset, f"a descriptor of type {one.kind} within a configuration", "USB 2.0, 9.6.3")
        else:
            self._of_class.append(one)

    def _close(self) -> None:
        if self._head is None:
            return
        head, problems = self._head, self._problems
        problems.check(len(head.raw) == 9, head.offset, f"bLength is {len(head.raw)}, not 9", "USB 2.0, 9.6.5")
        is_audio = head.u8(5) == AUDIO_CLASS and head.u8(7) == 0
        endpoints = tuple(_read_endpoint(one, rest, is_audio, problems) for one, rest in self._endpoints)
        said = f"bNumEndpoints is {head.u8(4)}, found {len(endpoints)}"
        problems.check(head.u8(4) == len(endpoints), head.offset + 4, said, "USB 2.0, 9.6.5")
        if head.u8(5) == HID_CLASS:
            problems.check(self._hid is not None, head.offset, "a HID interface has no HID descriptor", "HID 1.11, 7.1")
        self._settings.append(
            InterfaceSetting(
                number=head.u8(2),
                alternate=head.u8(3),
                interface_class=head.u8(5),
                interface_subclass=head.u8(6),
                protocol=head.u8(7),
                string_index=head.u8(8),
                offset=head.offset,
                endpoints=endpoints,
                class_specific=tuple(self._of_class),
                hid=self._hid,
            )
        )
        self._head, self._of_class, self._endpoints, self._hid = None, [], [], None


def _read_endpoint(one: RawDescriptor, rest: list[RawDescriptor], is_audio: bool, problems: Problems) -> Endpoint:
    clause = "USB 2.0, 9.6.6"
    endpoint = Endpoint(
        address=one.u8(2),
        attributes=one.u8(3),
        packet_bytes_max=one.u16(4) & 0x7FF,
        interval=one.u8(6),
        class_specific=tuple(rest),
    )
    if is_audio:
        said = f"an endpoint of the audio class has {len(one.raw)} bytes, not {_AUDIO_ENDPOINT_BYTES}"
        problems.check(len(one.raw) == _AUDIO_ENDPOINT_BYTES, one.offset, said, "UAC1, 4.6.1.1")
    else:
        problems.check(len(one.raw) == 7, one.offset, f"bLength is {len(one.raw)}, not 7", clause)
    problems.check(endpoint.address & 0x0F != 0, one.offset + 2, "endpoint number 0 is the control pipe's", clause)
    problems.check(endpoint.address & 0x70 == 0, one.offset + 2, "reserved bits of bEndpointAddress are set", clause)
    reserved = 0xC0 if endpoint.transfer == ISOCHRONOUS else 0xFC
    problems.check(endpoint.attributes & reserved == 0, one.offset + 3, "reserved bits of bmAttributes are set", clause)
    problems.check(one.u16(4) & 0xE000 == 0, one.offset + 4, "reserved bits of wMaxPacketSize are set", clause)
    if endpoint.transfer == ISOCHRONOUS:
        in_range = 1 <= endpoint.interval <= 16
        problems.check(in_range, one.offset + 6, f"bInterval is {endpoint.interval}, not 1 to 16", clause)
    elif endpoint.transfer == INTERRUPT:
        problems.check(endpoint.interval > 0, one.offset + 6, "bInterval of an interrupt endpoint is 0", clause)
    return endpoint


def _read_hid(one: RawDescriptor, problems: Problems) -> HidDescriptor | None:
    clause = "HID 1.11, 6.2.1"
    if not one.long_enough(9, "a HID descriptor", clause, problems):
        return None
    count = one.u8(5)
    said = f"{count} class descriptors make {6 + 3 * count} bytes, bLength is {len(one.raw)}"
    problems.check(len(one.raw) == 6 + 3 * count, one.offset, said, clause)
    problems.check(_is_bcd(one.u16(2)), one.offset + 2, f"bcdHID 0x{one.u16(2):04x} is no BCD", clause)
    listed = [(one.u8(at), one.u16(at + 1)) for at in range(6, min(len(one.raw), 6 + 3 * count) - 2, 3)]
    lengths = tuple(length for kind, length in listed if kind == 0x22)
    problems.check(bool(lengths), one.offset, "no report descriptor is listed", clause)
    return HidDescriptor(version=one.u16(2), country=one.u8(4), report_descriptor_bytes=lengths)


def _check_settings(settings: list[InterfaceSetting], problems: Problems) -> None:
    seen: set[tuple[int, int]] = set()
    owners: dict[int, int] = {}
    for one in settings:
        place = (one.number, one.alternate)
        said = f"interface {one.number} has alternate setting {one.alternate} twice"
        problems.check(place not in seen, one.offset, said, "USB 2.0, 9.6.5")
        seen.add(place)
        addresses = [endpoint.address for endpoint in one.endpoints]
        said = f"interface {one.number} names one endpoint twice"
        problems.check(len(addresses) == len(set(addresses)), one.offset, said, "USB 2.0, 9.6.6")
        for address in addresses:
            owner = owners.setdefault(address, one.number)
            said = f"interfaces {owner} and {one.number} share endpoint 0x{address:02x}"
            problems.check(owner == one.number, one.offset, said, "USB 2.0, 9.6.5")
        idle = one.alternate != 0 or all(
            endpoint.transfer != ISOCHRONOUS or endpoint.packet_bytes_max == 0 for endpoint in one.endpoints
        )
        said = f"interface {one.number} takes isochronous bandwidth in its default setting"
        problems.check(idle, one.offset, said, "USB 2.0, 5.6.3")
    for number in sorted({one.number for one in settings}):
        problems.check((number, 0) in seen, 0, f"interface {number} has no alternate setting 0", "USB 2.0, 9.6.5")


def _is_bcd(value: int) -> bool:
    return all((value >> shift) & 0xF <= 9 for shift in (0, 4, 8, 12))
