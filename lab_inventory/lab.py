"""The lab file: sites, hosts, benches, slots, roles, ports, instruments and their calibration. Pure but for reading.

``lab.yaml`` is what people say of the lab; what is really attached is discovered.
"""

from collections import Counter
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, field_serializer, model_validator

from lab_inventory.measurement import Unit
from lab_inventory.noun import Address, Label, Name, Noun
from lab_inventory.reading import read_yaml

INSTRUMENTS_MAX = 256
"""Of one bench."""


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


class Slot(Noun):
    """One place of a bench at which one device is attached.

    ``driver``: which one presses its keys; None: the one that knows the device by what it says on the wire.
    ``control_account`` and ``control_tls``: for drivers of a web interface; without ``control_tls`` it is plain HTTP.
    ``audio``: the sound interface that is wired to the device's handset socket (docs/how-to/audio-port.md).
    """

    name: Name
    category: Name
    roles: tuple[Role, ...] = (Role.DUT,)
    registrar: Address
    account: Account
    control: Address | None = None
    driver: Name | None = Field(default=None, exclude_if=lambda given: given is None)
    control_account: Account | None = Field(default=None, exclude_if=lambda given: given is None)
    control_tls: ControlTls | None = Field(default=None, exclude_if=lambda given: given is None)
    power: Label | None = None
    audio: Address | None = Field(default=None, exclude_if=lambda given: given is None)
    unit: UnitLabel


class Bench(Noun):
    """Slots that share instruments."""

    name: Name
    instruments: tuple[Instrument, ...] = Field(min_length=1, max_length=INSTRUMENTS_MAX)
    slots: tuple[Slot, ...] = Field(min_length=1)


class Host(Noun):
    """A lab host: a machine with an agent."""

    name: Name
    benches: tuple[Bench, ...] = Field(min_length=1)

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
            addresses = [slot.registrar for _, slot in host.slots()]
            addresses += [slot.control for _, slot in host.slots() if slot.control]
            addresses += [slot.audio for _, slot in host.slots() if slot.audio]
            _refuse_repeats(f"address on host {host.name}", addresses)
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
