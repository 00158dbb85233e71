"""Views of a lab that need no store: hosts, units, waiting runs and leases, each as the store would show it."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from lab_inventory.clock import ManualClock
from lab_inventory.device import Identity, IdentityKind, Intent, Presence, Product, Registration
from lab_inventory.lab import Host, Role
from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.lifecycle.lease import LeaseState
from orchestrator.lifecycle.quarantine import QuarantineState
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import (
    DeviceView,
    HostView,
    LeaseView,
    QuarantineView,
    QueuedRun,
    RunView,
    Snapshot,
    UnitKey,
)

NOW = ManualClock().now()
EPOCHS: Mapping[str, int] = {"device:dev-1": 3, "slot:host-1/slot-1": 5}


def host(
    name: str = "host-1",
    slots: Iterable[str] = ("slot-1", "slot-2"),
    *,
    exclusive: bool = False,
    roles: Mapping[str, tuple[Role, ...]] = MappingProxyType({}),
) -> Host:
    """A host with one bench; ``exclusive``: its instrument serves one run at a time; ``roles`` by slot."""
    return Host.model_validate(
        {
            "name": name,
            "benches": [
                {
                    "name": f"bench-of-{name}",
                    "instruments": [
                        {"name": "sip", "kind": "sip-rtp", "calibration": {"method": "loop"}, "exclusive": exclusive}
                    ],
                    "slots": [
                        {
                            "name": slot,
                            "category": "ip-phone",
                            "roles": roles.get(slot, (Role.DUT,)),
                            "registrar": f"127.0.0.1:{6000 + number}",
                            "account": {"user": "u", "password": "p"},
                            "unit": {"hardware_revision": "A", "mode": "wideband"},
                        }
                        for number, slot in enumerate(slots)
                    ],
                }
            ],
        }
    )


def host_view(config: Host, inbox: str | None = "/run/inbox") -> HostView:
    return HostView(host=config.name, config=config, inbox=inbox)


def registration(slot: str = "slot-1", model: str = "One", **change: Any) -> Registration:
    fields: dict[str, Any] = {
        "identity": Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{slot}"),
        "product": Product(maker="Acme", model=model, firmware="1.0"),
        "category": "ip-phone",
        "hardware_revision": "A",
        "mode": "wideband",
        "slot": slot,
        "driver": "acme",
        "user_agent": "Acme One 1.0",
        "seen_at": NOW,
    }
    return Registration.model_validate(fields | change)


def device(
    name: str = "dev-1", slot: str = "slot-1", at: str = "host-1", model: str = "One", **change: Any
) -> DeviceView:
    fields: dict[str, Any] = {
        "device": name,
        "host": at,
        "registration": registration(slot, model),
        "presence": Presence.PRESENT,
        "presence_reason": "",
        "intent": Intent.IN_SERVICE,
        "intent_reason": "",
        "changed_at": NOW,
    }
    return DeviceView(**(fields | change))


def key(model: str = "One", **change: str) -> UnitKey:
    fields = {"maker": "Acme", "model": model, "firmware": "1.0", "hardware_revision": "A", "mode": "wideband"}
    return UnitKey(**(fields | change))


def queued(name: str = "run-1", model: str = "One", *, waits_s: float = 0, **change: Any) -> QueuedRun:
    """A waiting run, ``waits_s`` seconds at NOW."""
    fields: dict[str, Any] = {
        "run": name,
        "batch": "bat-1",
        "submission": "sub-1",
        "suite": "suite",
        "attempt": 1,
        "priority": 50,
        "queued_at": NOW - timedelta(seconds=waits_s),
        "duration_s": 10.0,
        "category": "ip-phone",
        "key": key(model),
        "batch_held": False,
    }
    return QueuedRun(**(fields | change))


def lease(run: str = "run-9", epochs: Mapping[str, int] = EPOCHS, **change: Any) -> LeaseView:
    fields: dict[str, Any] = {
        "lease": f"lea-of-{run}",
        "run": run,
        "run_state": RunState.RUNNING,
        "stop_reason": "",
        "state": LeaseState.LIVE,
        "host": "host-1",
        "device": "dev-1",
        "slot": "slot-1",
        "epochs": epochs,
        "ttl_s": 900.0,
        "deadline_s": 90.0,
        "granted_at": NOW,
    }
    return LeaseView(**(fields | change))


def run_view(**change: Any) -> RunView:
    """A run that its agent has taken and that has reported nothing yet."""
    fields: dict[str, Any] = {
        "run": "run-1",
        "submission": "sub-1",
        "batch": "bat-1",
        "suite": "suite",
        "attempt": 1,
        "state": RunState.TAKEN,
        "cases": ("TC-1",),
        "lease": lease("run-1"),
        "later_epoch_granted": False,
        "submission_state": SubmissionState.OPEN,
        "digests": {},
        "quarantined": frozenset(),
        "ended": False,
        "next_seq": 1,
    }
    return RunView(**(fields | change))


def snapshot(
    queue: Iterable[QueuedRun] = (),
    devices: Iterable[DeviceView] = (),
    leases: Iterable[LeaseView] = (),
    hosts: Iterable[HostView] | None = None,
    epochs: Mapping[str, int] | None = None,
    quarantines: Iterable[QuarantineView] = (),
) -> Snapshot:
    given = tuple(hosts) if hosts is not None else (host_view(host()),)
    return Snapshot(
        queue=tuple(queue),
        devices=tuple(devices),
        leases=tuple(leases),
        epochs=epochs or {},
        hosts={view.host: view for view in given},
        quarantines={view.resource: view for view in quarantines},
    )


def quarantine(resource: str = "device:dev-1", **change: Any) -> QuarantineView:
    fields: dict[str, Any] = {
        "resource": resource,
        "state": QuarantineState.QUARANTINED,
        "reason": "it could not be measured on",
        "since": NOW,
        "attempts": 0,
        "batch": None,
    }
    return QuarantineView(**(fields | change))
