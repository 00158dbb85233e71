"""The lab file: sites, hosts, benches, slots, roles, ports, instruments and their calibration. Pure but for reading.

``lab.yaml`` is what people say of the lab; what is really attached is discovered.
"""

from collections import Counter
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, StringConstraints, field_serializer, model_validator

from lab_inventory.errors import InvariantBroken
from lab_inventory.measurement import Unit
from lab_inventory.noun import Address, Label, Name, Noun
from lab_inventory.reading import read_yaml

INSTRUMENTS_MAX = 256
"""Of one bench."""
VALID_DAYS = 90
VALID_DAYS_MAX = 1000


class Role(StrEnum):
    """What a slot's device may be in a run."""

    DUT = "dut"
    COMPANION = "companion"
    REFERENCE = "reference"


class Calibration(Noun):
    """How an instrument is known to measure right: a certificate with a due date, or its own check before each run."""

    method: Label
    performed_on: date | None = None
    due_on: date | None = None


class Instrument(Noun):
    """What measures on a bench. ``uncertainty``: expanded (k = 2), per unit, as characterised."""

    name: Name
    kind: Name
    calibration: Calibration
    uncertainty: dict[Unit, float] = Field(default_factory=dict)
    exclusive: bool = False


def _told_too(schema: dict[str, Any]) -> None:
    """A secret is described as one that is only ever sent; this one is answered as well."""
    schema.pop("writeOnly", None)


class Account(Noun):
    """A name with its password: the SIP account with which the slot's device registers at the bench, or the account of
    its control. The agent of its host is told the password.
    """

    user: Name
    password: SecretStr = Field(json_schema_extra=_told_too)

    @field_serializer("password", when_used="json")
    def _told(self, password: SecretStr) -> str:
        return password.get_secret_value()


class UnitLabel(Noun):
    """What a person reads off the unit in the slot and no wire shows."""

    hardware_revision: Label
    mode: Name


class ControlTls(StrEnum):
    """How the control of a device is reached where it is reached by TLS."""

    VERIFIED = "verified"
    ANY_CERTIFICATE = "any-certificate"
    """Also one that the phone signed itself: then nobody knows who answers, so only in a network of the lab's own."""


UsbPort = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,119}$")]
"""A USB port as udev's ID_PATH names it, the same after each start of the host: ``pci-0000:00:14.0-usb-0:1.2``."""


class Slot(Noun):
    """One place of a bench at which one device is attached: to the network, where it registers at ``registrar`` with
    ``account``; or to the port ``usb``, or a hub that is built into the device and plugged in there.

    ``driver``: which one presses its keys; None: the one that knows the device by what it says on the wire.
    ``power`` and ``light``: the port at which the host's own programs switch its power and see its lamps.
    ``control_account`` and ``control_tls``: for drivers of a web interface; without ``control_tls`` it is plain HTTP.
    ``audio``: the sound interface that is wired to the device's handset socket (docs/how-to/audio-port.md).
    """

    name: Name
    category: Name
    roles: tuple[Role, ...] = (Role.DUT,)
    registrar: Address | None = Field(default=None, exclude_if=lambda given: given is None)
    account: Account | None = Field(default=None, exclude_if=lambda given: given is None)
    usb: UsbPort | None = Field(default=None, exclude_if=lambda given: given is None)
    control: Address | None = None
    driver: Name | None = Field(default=None, exclude_if=lambda given: given is None)
    control_account: Account | None = Field(default=None, exclude_if=lambda given: given is None)
    control_tls: ControlTls | None = Field(default=None, exclude_if=lambda given: given is None)
    power: Label | None = None
    light: Label | None = Field(default=None, exclude_if=lambda given: given is None)
    audio: Address | None = Field(default=None, exclude_if=lambda given: given is None)
    unit: UnitLabel

    @model_validator(mode="after")
    def _is_attached_in_one_way(self) -> Self:
        if (self.registrar is None) is not (self.account is None):
            raise ValueError("registrar and account belong together; expected both, or usb instead")
        if (self.registrar is None) is (self.usb is None):
            raise ValueError("expected either registrar with account, or usb")
        return self

    @property
    def sip(self) -> tuple[str, Account]:
        """Where and as whom its device registers; raises InvariantBroken where it is attached by USB."""
        if self.registrar is None or self.account is None:
            raise InvariantBroken(f"slot {self.name} is a USB port; nothing registers there by SIP")
        return self.registrar, self.account


class Bench(Noun):
    """Slots that share instruments. ``characterisation_valid_days``: for how long a record of its uncertainty holds."""

    name: Name
    instruments: tuple[Instrument, ...] = Field(min_length=1, max_length=INSTRUMENTS_MAX)
    characterisation_valid_days: int = Field(
        default=VALID_DAYS, ge=1, le=VALID_DAYS_MAX, exclude_if=lambda given: given == VALID_DAYS
    )
    slots: tuple[Slot, ...] = Field(min_length=1)


class Host(Noun):
    """A lab host: a machine with an agent. Without a bench it may score recordings, away from those that send."""

    name: Name
    benches: tuple[Bench, ...] = ()

    def accounts(self) -> tuple[Account, ...]:
        """Every account that stands in this host's slots."""
        both = ((slot.account, slot.control_account) for _, slot in self.slots())
        return tuple(account for of_slot in both for account in of_slot if account is not None)

    def slots(self) -> tuple[tuple[Bench, Slot], ...]:
        """Every slot of this host with its bench."""
        return tuple((bench, slot) for bench in self.benches for slot in bench.slots)

    def slot(self, name: str) -> tuple[Bench, Slot] | None:
        """The slot of that name with its bench, or None."""
        return next(((bench, slot) for bench, slot in self.slots() if slot.name == name), None)


class Laboratory(Noun):
    """Who answers for the tests: stands on every test report."""

    name: Label
    address: Label
    contact: Label


class Lab(Noun):
    """A lab: one lab file. ``site``: where the tests are carried out."""

    lab: Name
    site: Label
    laboratory: Laboratory | None = Field(default=None, exclude_if=lambda given: given is None)
    hosts: tuple[Host, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_and_addresses_are_single(self) -> Self:
        slots = [slot for host in self.hosts for _, slot in host.slots()]
        _refuse_repeats("host", [host.name for host in self.hosts])
        _refuse_repeats("bench", [bench.name for host in self.hosts for bench in host.benches])
        _refuse_repeats("slot", [slot.name for slot in slots])
        for host in self.hosts:
            slots_here = [slot for _, slot in host.slots()]
            addresses = [slot.registrar for slot in slots_here if slot.registrar]
            addresses += [slot.control for slot in slots_here if slot.control]
            addresses += [slot.audio for slot in slots_here if slot.audio]
            _refuse_repeats(f"address on host {host.name}", addresses)
            _refuse_repeats(f"USB port on host {host.name}", [slot.usb for slot in slots_here if slot.usb])
        return self

    def host(self, name: str) -> Host | None:
        """The host of that name, or None."""
        return next((host for host in self.hosts if host.name == name), None)


def read_lab(path: Path) -> Lab:
    """Read a lab file; raises BadInput with every mistake and its place."""
    return read_yaml(path, Lab)


def _refuse_repeats(what: str, names: list[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"{what} {', '.join(repeated)} stands more than once; expected each {what} once")
