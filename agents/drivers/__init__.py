"""The port of phone drivers: they press keys, and nothing else. What a phone did is for the instruments to see.

Drivers are found through the entry-point group ``assay.drivers``: a name, and a class that meets :class:`PhoneDriver`.
What a driver says of itself stands in members of its class; :func:`traits_of` reads them.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

from agents.measure import LabError
from agents.words import as_label, describe
from lab_inventory.device import TRIED_ON_MAX, DriverFacts, Product
from lab_inventory.lab import Slot

PRESS_TIMEOUT_S = 5.0
"""Within which a verb returns or raises, where its driver does not say otherwise."""

PRESS_TIMEOUT_S_MAX = 600.0
PRESSES_MAX = 12
"""So many presses a case is given time for, where a press may take longer than ``PRESS_TIMEOUT_S``."""

MEMBERS = ("name", "version", "tried_on", "recognises")
"""What the class of every driver has beside its verbs."""


class DriverUnreachable(LabError):
    """The phone's control cannot be reached"""

    slug = "driver-unreachable"


class DriverRefused(LabError):
    """The phone's control does not take this"""

    slug = "driver-refused"


class Srtp(StrEnum):
    """How a phone's account is told to protect its audio, and to take no other.

    ``mandatory``: with keys in the session description (RFC 4568); ``dtls``: with keys by DTLS (RFC 5763).
    """

    OFF = "off"
    MANDATORY = "mandatory"
    DTLS = "dtls"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A SIP server as it is entered into a phone, with the account to use there.

    ``uri``: ``sip:HOST:PORT`` with ``;transport=tcp`` or ``;transport=tls`` where it is not UDP.
    """

    uri: str
    user: str
    password: str = field(repr=False)
    srtp: Srtp = Srtp.OFF


class KeyGoesDown(StrEnum):
    """When the key goes down, counted from the call of a verb: what a delay from a press on may be measured by.

    ``at-the-call``: later by no more than the instrument's own uncertainty. ``before-the-return``: somewhere between
    the call and the return, so the time between them is uncertainty. ``unknown``: nobody can say, so no such delay is
    measured at all.
    """

    AT_THE_CALL = "at-the-call"
    BEFORE_THE_RETURN = "before-the-return"
    UNKNOWN = "unknown"


class PhoneDriver(Protocol):
    """Presses the keys of one phone.

    The contract, which tests hold over every implementation (:mod:`agents.testing.driver_contract`): each verb returns
    None when the key was pressed; within 5 s it raises DriverUnreachable where nobody answers, DriverRefused where the
    press was not taken. It never says what the phone did. ``reset`` and ``close`` may be called at any time and more
    than once.

    ``tried_on``: the devices on which somebody tried this driver, each with its firmware and the day; empty until
    somebody has, and then pages and reports say so. Two more members may stand in the class: ``press_timeout_s``
    instead of the 5 s, and ``key_goes_down`` (:class:`KeyGoesDown`), at the call where it is not given.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    tried_on: ClassVar[tuple[str, ...]]

    def __init__(self, control: str) -> None:
        """``control``: the address in the lab file's slot, ``host:port``."""
        ...

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """Maker, model and firmware, where this driver knows the maker of a phone by what it says on the wire."""
        ...

    async def open(self) -> None:
        """Connect to the control."""
        ...

    async def close(self) -> None:
        """Let go of the control; the phone stays as it is."""
        ...

    async def dial(self, uri: str) -> None:
        """Dial a SIP URI and press the call key."""
        ...

    async def answer(self) -> None:
        """Take the call that rings."""
        ...

    async def hang_up(self) -> None:
        """End, refuse or give up the call."""
        ...

    async def hold(self) -> None:
        """Put the call on hold."""
        ...

    async def resume(self) -> None:
        """Take the held call back."""
        ...

    async def press_keys(self, digits: str) -> None:
        """Press digits (0-9, *, #, A-D) in a call, one after the other."""
        ...

    async def transfer(self, uri: str) -> None:
        """Transfer the call to a SIP URI without asking there first (blind)."""
        ...

    async def consult(self, uri: str) -> None:
        """Hold the call and dial a SIP URI, to ask there before the call is transferred."""
        ...

    async def complete_transfer(self) -> None:
        """Transfer the call that is held to the one that was dialled by ``consult`` (attended)."""
        ...

    async def use_server(self, server: Server | None) -> None:
        """Enter another SIP server into the phone, which then registers there and calls from there; whether it stays
        registered at its own as well is open. None: take it out again, and back to the phone's own.

        DriverRefused where the phone's control cannot do this.
        """
        ...

    async def reset(self) -> None:
        """Hang up everything and go back to the phone's own server: the idle state."""
        ...


@runtime_checkable
class FromSlot(Protocol):
    """A driver that needs more of its slot than an address, such as the account of the phone's web interface."""

    @classmethod
    def of_slot(cls, slot: Slot) -> Self:
        """A driver for the phone in this slot; raises LabError where the lab file lacks what it needs."""
        ...


@runtime_checkable
class Reboots(Protocol):
    """A driver that can let its phone start anew."""

    async def reboot(self) -> None:
        """Order a restart; returns when the order was taken, not when the phone is back."""
        ...


@runtime_checkable
class TellsFirmware(Protocol):
    """A driver that can ask its phone which firmware it has."""

    async def firmware(self) -> str:
        """What the phone says, for an operator to compare with what it says on the wire; it decides nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a driver's class says of itself."""

    version: str
    tried_on: tuple[str, ...]
    press_timeout_s: float
    key_goes_down: KeyGoesDown


def traits_of(driver: PhoneDriver | type[PhoneDriver]) -> Traits:
    """What a driver says of itself. What it does not say is what proves least, but for the contract's 5 s."""
    timeout_s = getattr(driver, "press_timeout_s", PRESS_TIMEOUT_S)
    return Traits(
        version=as_label(str(getattr(driver, "version", "?"))),
        tried_on=tuple(as_label(str(one)) for one in getattr(driver, "tried_on", ()))[:TRIED_ON_MAX],
        press_timeout_s=min(max(float(timeout_s), 0.1), PRESS_TIMEOUT_S_MAX),
        key_goes_down=KeyGoesDown(getattr(driver, "key_goes_down", KeyGoesDown.AT_THE_CALL)),
    )


def facts_of(driver: type[PhoneDriver]) -> DriverFacts:
    """What the orchestrator is told of a driver."""
    traits = traits_of(driver)
    return DriverFacts(version=traits.version, tried_on=traits.tried_on, press_timeout_s=traits.press_timeout_s)


def patience_s(driver: type[PhoneDriver] | None) -> float:
    """How much longer than otherwise one window of a case may take, because presses may take longer."""
    longer_s = traits_of(driver).press_timeout_s - PRESS_TIMEOUT_S if driver is not None else 0.0
    return PRESSES_MAX * max(0.0, longer_s)


def driver_in(slot: Slot, kind: type[PhoneDriver]) -> PhoneDriver:
    """A driver of this kind for the phone in a slot; raises LabError where the lab file does not fit it."""
    if slot.control is None:
        raise LabError(f"slot {slot.name} has no control address in the lab file")
    if issubclass(kind, FromSlot):
        return kind.of_slot(slot)
    if slot.control_account is not None or slot.control_tls is not None:
        raise LabError(f"slot {slot.name} has control_account or control_tls, and the driver {kind.name} takes neither")
    return kind(slot.control)


def installed_drivers() -> dict[str, type[PhoneDriver]]:
    """Every driver that is installed and can be loaded, by name."""
    return find_drivers()[0]


def installed_hands() -> dict[str, type[PhoneDriver]]:
    """What presses the keys of devices that are no phones, by name: entry-point group ``assay.hands``.

    Of a driver's verbs they have ``open``, ``reset`` and ``close``; an agent needs no others of it.
    """
    return load_drivers(entry_points(group="assay.hands"))[0]


def find_drivers() -> tuple[dict[str, type[PhoneDriver]], dict[str, str]]:
    """The drivers that are installed, as ``load_drivers`` gives them."""
    return load_drivers(entry_points(group="assay.drivers"))


def load_drivers(entries: Iterable[EntryPoint]) -> tuple[dict[str, type[PhoneDriver]], dict[str, str]]:
    """The drivers by name, and by name why those that cannot be used cannot: a package of somebody else that is broken
    takes no other driver with it.
    """
    found: dict[str, type[PhoneDriver]] = {}
    broken: dict[str, str] = {}
    for entry in entries:
        try:
            kind: Any = entry.load()
        except Exception as error:
            broken[entry.name] = describe(error)
            continue
        lacks = [member for member in ("name", "recognises") if not hasattr(kind, member)]
        if lacks or not inspect.isclass(kind):
            broken[entry.name] = f"{entry.value} is no class with {' and '.join(lacks or ('verbs',))}"
        elif getattr(kind, "name", None) != entry.name:
            broken[entry.name] = f"{entry.value} has not the name {entry.name} of its entry point"
        else:
            found[entry.name] = cast("type[PhoneDriver]", kind)
    return found, broken
