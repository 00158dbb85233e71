"""Nouns for tests of the agent: a host with two slots, its devices, assignments, and a log that remembers."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.lease_guard import HeldLease
from agents.logs import Field
from agents.run_directory import RunDirectory, create_run_directory
from lab_inventory.clock import Clock, SystemClock
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.lab import Account, Bench, Calibration, Host, Instrument, Role, Slot, UnitLabel
from lab_inventory.measurement import Unit
from lab_inventory.messages import Assignment, CompanionDevice, DeviceUnderTest
from lab_inventory.programme import TestCase

HOST = "host-a"
AT = datetime(2026, 1, 1, tzinfo=UTC)
INSTRUMENT = Instrument(
    name="sip-endpoint", kind="sip-rtp", calibration=Calibration(method="own check"), uncertainty={Unit.MILLISECOND: 1}
)


def slot(name: str, registrar: str = "127.0.0.1:5060", control: str | None = "127.0.0.1:1") -> Slot:
    return Slot(
        name=name,
        category="ip-phone",
        registrar=registrar,
        account=Account(user="1001", password="quiet-secret"),
        control=control,
        unit=UnitLabel(hardware_revision="A", mode="wideband"),
    )


def host(*slots: Slot) -> Host:
    return Host(
        name=HOST,
        benches=(Bench(name="bench-a", instruments=(INSTRUMENT,), slots=slots or (slot("slot-1"), slot("slot-2"))),),
    )


def registration(slot_name: str = "slot-1", driver: str | None = "fake") -> Registration:
    return Registration(
        identity=Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{slot_name}"),
        product=Product(maker="Acme", model="One", firmware="1.0"),
        category="ip-phone",
        hardware_revision="A",
        mode="wideband",
        slot=slot_name,
        driver=driver,
        user_agent="Acme One 1.0",
        seen_at=AT,
    )


def case(case_id: str = "case-1", procedure: str = "measures", **fields: Any) -> TestCase:
    return TestCase(id=case_id, title=case_id, procedure=procedure, **{"duration_s": 1.0, **fields})


def assignment(run: str = "run-1", *, slot_name: str = "slot-1", epoch: int = 1, **fields: Any) -> Assignment:
    values: dict[str, Any] = {
        "run": run,
        "attempt": 1,
        "submission": "submission-1",
        "host": HOST,
        "bench": "bench-a",
        "slot": slot(slot_name),
        "instruments": (INSTRUMENT,),
        "dut": DeviceUnderTest(device=f"device-{slot_name}", registration=registration(slot_name)),
        "programme": "ip-phone-basic",
        "programme_digest": "sha256:" + "0" * 64,
        "suite": "signalling",
        "cases": (case(),),
        "ics": {"hold": True, "codec.g722": False},
        "ixit": {},
        "epochs": {f"device:{slot_name}": epoch, f"slot:{slot_name}": epoch},
        "ttl_s": 900.0,
        "deadline_s": 600.0,
    }
    return Assignment(**{**values, **fields})


def companion(slot_name: str = "slot-2", **change: Any) -> CompanionDevice:
    """A phone beside the one under test."""
    unit = registration(slot_name).model_copy(update=change)
    return CompanionDevice(role=Role.COMPANION, slot=slot(slot_name), device=f"device-{slot_name}", registration=unit)


def directory_for(runs: Path, wanted: Assignment, clock: Clock | None = None) -> RunDirectory:
    clock = clock or SystemClock()
    now_s = clock.boottime_s()
    lease = HeldLease(renewed_at_s=now_s, ttl_s=wanted.ttl_s, deadline_at_s=now_s + wanted.deadline_s)
    return create_run_directory(runs, wanted, lease, clock)


class RememberingLog:
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Field]]] = []

    def info(self, slug: str, **fields: Field) -> None:
        self.lines.append((slug, fields))

    def warning(self, slug: str, **fields: Field) -> None:
        self.lines.append((slug, fields))

    def slugs(self) -> list[str]:
        return [slug for slug, _ in self.lines]


async def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """Wait until ``condition`` gives something true, and give it."""
    async with asyncio.timeout(timeout_s):
        while not (found := condition()):
            await asyncio.sleep(0.02)
        return found
