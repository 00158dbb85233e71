"""A small lab for tests of the orchestrator: store, desk and loop on a manual clock, and an agent played by hand."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from lab_inventory.clock import ManualClock
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.lab import Lab
from lab_inventory.measurement import Measurement, Unit, Value
from lab_inventory.messages import (
    Acceptance,
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    Heartbeat,
    HeldRun,
    Renewal,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    RunOutcome,
    RunReport,
    Started,
)
from lab_inventory.programme import Check, Programme, TestCase
from lab_inventory.shipped import shipped_programmes
from orchestrator.desk import BatchReply, Desk
from orchestrator.lifecycle.batch import Submission
from orchestrator.loop import Dispatch, DispatchAnswered, Loop
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.signing import Signer
from orchestrator.store import views
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.store import Store
from orchestrator.watch import Watch

TTL_S = 900.0
PRODUCT = Product(maker="Acme", model="One", firmware="1.0")
ICS: Mapping[str, Any] = {
    "audio": "wideband",
    "codec.pcmu": True,
    "codec.pcma": True,
    "codec.g722": True,
    "dtmf.events": True,
    "hold": True,
}


def basic() -> Programme:
    return next(programme for programme in shipped_programmes() if programme.id == "ip-phone-basic")


def good_value(check: Check) -> Value:
    """A value well inside every limit of a check."""
    limits = list(check.limits.values())
    if limits[0].equals is not None:
        return limits[0].equals
    low = max((limit.min for limit in limits if limit.min is not None), default=None)
    high = min((limit.max for limit in limits if limit.max is not None), default=None)
    if low is not None and high is not None:
        return (low + high) / 2
    if high is not None:
        return high / 2
    assert low is not None
    return low * 2


def measurements_of(case: str, programme: Programme, **worse: Value | None) -> tuple[Measurement, ...]:
    """Measurements of a case that meet every level, but for those given by quantity."""
    return tuple(
        Measurement(
            quantity=check.quantity,
            unit=check.unit,
            value=worse[check.quantity] if check.quantity in worse else good_value(check),
            uncertainty=0.001 if check.unit in (Unit.MILLISECOND, Unit.PERCENT, Unit.RATIO) else None,
            instrument="sip",
        )
        for requirement in programme.requirements
        if requirement.case == case
        for check in requirement.checks
    )


def submission(title: str = "phone one", mode: str = "wideband", **change: Any) -> Submission:
    fields: dict[str, Any] = {
        "title": title,
        "vendor": "Acme",
        "product": PRODUCT,
        "hardware_revision": "A",
        "mode": mode,
        "profile": "digital",
        "ics": dict(ICS),
    }
    return Submission.model_validate(fields | change)


def registration(number: int = 1, *, driver: str | None = "acme", mode: str = "wideband") -> Registration:
    return Registration(
        identity=Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{number}"),
        product=PRODUCT,
        category="ip-phone",
        hardware_revision="A",
        mode=mode,
        slot=f"slot-{number}",
        driver=driver,
        user_agent="Acme One 1.0",
        seen_at=ManualClock().now(),
    )


def lab(slots: int = 2) -> Lab:
    return Lab.model_validate(
        {
            "lab": "test",
            "site": "here",
            "hosts": [
                {
                    "name": "host-1",
                    "benches": [
                        {
                            "name": "bench-1",
                            "instruments": [{"name": "sip", "kind": "sip-rtp", "calibration": {"method": "loop"}}],
                            "slots": [
                                {
                                    "name": f"slot-{number}",
                                    "category": "ip-phone",
                                    "registrar": f"127.0.0.1:{6000 + number}",
                                    "account": {"user": "u", "password": "p"},
                                    "unit": {"hardware_revision": "A", "mode": "wideband"},
                                }
                                for number in range(1, slots + 1)
                            ],
                        }
                    ],
                }
            ],
        }
    )


class World:
    """The orchestrator on a manual clock. ``reopen`` is a restart on the same files."""

    def __init__(self, folder: Path, *, slots: int = 2, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/assay.sqlite"
        self.clock = ManualClock()
        self.programme = basic()
        self.open()
        self.desk.keep_programmes(shipped_programmes())
        self.desk.apply_lab(lab(slots), "admin")

    def open(self) -> None:
        self.store = Store(self.url, self.clock)
        self.watch = Watch(started_s=self.clock.boottime_s())
        self.desk = Desk(
            store=self.store,
            artifacts=Artifacts(self.folder / "artifacts"),
            clock=self.clock,
            watch=self.watch,
            deciding=threading.RLock(),
            wake=lambda: None,
        )
        signer = Signer(name="Test lab", key=OKPKey.generate_key("Ed25519", private=True))
        self.signer, self.issuer = signer, signer.issuer
        self.loop = Loop(self.desk, signer, lease_ttl_s=TTL_S, host_silent_s=30.0)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def heartbeat(self, *devices: Registration, host: str = "host-1", full: str = "") -> None:
        told = Heartbeat(agent_version="1", boot="boot-1", inbox="/run/inbox", devices=devices, runs=(), full=full)
        self.desk.heartbeat(host, told)

    def submit(self, *submissions: Submission, key: str = "key-1", priority: int = 50) -> BatchReply:
        request = BatchRequest(
            title="a batch", programme="ip-phone-basic", priority=priority, submissions=submissions or (submission(),)
        )
        return self.desk.submit("operator", request, key)

    def tick(self, *events: DispatchAnswered) -> tuple[Dispatch, ...]:
        return self.loop.tick(events).dispatches

    def take(self, dispatch: Dispatch) -> Assignment:
        """The agent accepts what is dispatched."""
        self.tick(
            DispatchAnswered(run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="node-1", ray_actor="actor-1")
        )
        return Assignment.model_validate_json(dispatch.assignment_json)

    def renew(self, assignment: Assignment, host: str = "host-1") -> RenewReply:
        return self.desk.renew(host, RenewRequest(renewals=(Renewal(run=assignment.run, epochs=assignment.epochs),)))

    def deliver(self, assignment: Assignment, *reports: RunReport, host: str = "host-1") -> ReportReply:
        return self.desk.receive(host, ReportBatch(run=assignment.run, epochs=assignment.epochs, reports=reports))

    def report(self, seq: int, body: Any) -> RunReport:
        return RunReport(seq=seq, at=self.clock.now(), body=body)

    def case_ended(self, case: TestCase, repeat: int, **worse: Value | None) -> CaseEnded:
        return CaseEnded(
            case=case.id,
            repeat=repeat,
            status=CaseStatus.MEASURED,
            measurements=measurements_of(case.id, self.programme, **worse),
            duration_s=1,
        )

    def whole_run(
        self, assignment: Assignment, outcome: RunOutcome = RunOutcome.COMPLETED, **worse: Value | None
    ) -> tuple[RunReport, ...]:
        """Every report of a run that measures everything well, but for the quantities given."""
        bodies: list[Any] = [
            Started(suite_version="1", pid=1),
            BenchChecked(passed=True, measurements=()),
            DeviceIdentified(same=True, user_agent="Acme One 1.0"),
        ]
        bodies += [
            self.case_ended(case, repeat, **worse) for case in assignment.cases for repeat in range(1, case.repeats + 1)
        ]
        bodies.append(Ended(outcome=outcome, within_deadline=True))
        return tuple(self.report(seq, body) for seq, body in enumerate(bodies, 1))

    def state(self, run: str) -> str:
        with self.store.reading() as connection:
            view = views.run(connection, run)
        assert view is not None
        return view.state.value


__all__ = ["HeldRun", "World", "basic", "lab", "registration", "submission"]
