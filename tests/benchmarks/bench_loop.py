"""One pass of the loop over 1,000 devices and 10,000 queued runs, beside a plain SELECT of the same rows.

Prints one JSON line per figure: name, value, unit, target, baseline (the SELECT, in the same process), ratio, ok.
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab_inventory.canonical import canonical_bytes
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.lab import Lab
from lab_inventory.messages import Acceptance, Heartbeat
from lab_inventory.shipped import shipped_programmes
from orchestrator.desk import Desk
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.certificate import Certificate
from orchestrator.loop import DispatchAnswered, Loop
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.store import views
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.store import Store
from orchestrator.watch import Watch

HOSTS, SLOTS, PRODUCTS = 20, 50, 100
DEVICES, QUEUED = HOSTS * SLOTS, 10_000
SUBMISSIONS_PER_BATCH = 200
RUNS_OF_A_FIGURE = 5
"""The best one counts: whatever else the machine does can only make a pass look slower."""
PASS_S_MAX = 1.0
IDLE_PASS_S_MAX = 0.1
PLACING_PASS_S_MAX = 2.0

ROWS = (
    "SELECT r.run, r.batch, r.submission, r.suite, r.attempt, r.queued_at, r.duration_s, r.avoid_device, s.maker,"
    " s.model, s.firmware, s.hardware_revision, s.mode, s.category, b.priority, b.state FROM runs r"
    " JOIN submissions s ON s.submission = r.submission JOIN batches b ON b.batch = r.batch WHERE r.state = 'waiting'"
    " ORDER BY b.priority DESC, r.queued_at, r.run",
    "SELECT * FROM devices ORDER BY host, slot, device",
    "SELECT * FROM leases JOIN runs ON runs.run = leases.run WHERE leases.state = 'live'",
    "SELECT * FROM resources",
)


class NoSigner:
    """Nothing is certified here."""

    name = "nobody"

    def sign(self, certificate: Certificate) -> str:
        """Not asked for."""
        return canonical_bytes(certificate).decode()


def product(number: int) -> Product:
    return Product(maker="Acme", model=f"Model {number % PRODUCTS}", firmware="1.0")


def lab() -> Lab:
    instruments = [{"name": "sip", "kind": "sip-rtp", "calibration": {"method": "loop"}}]
    unit = {"hardware_revision": "A", "mode": "wideband"}
    hosts = [
        {
            "name": f"host-{host}",
            "benches": [
                {
                    "name": f"bench-{host}",
                    "instruments": instruments,
                    "slots": [
                        {
                            "name": f"slot-{host}-{slot}",
                            "category": "ip-phone",
                            "registrar": f"127.0.0.1:{10_000 + slot}",
                            "account": {"user": "u", "password": "p"},
                            "unit": unit,
                        }
                        for slot in range(SLOTS)
                    ],
                }
            ],
        }
        for host in range(HOSTS)
    ]
    return Lab.model_validate({"lab": "bench", "site": "here", "hosts": hosts})


def fill_devices(desk: Desk) -> None:
    """Register the devices of every host."""
    desk.keep_programmes(shipped_programmes())
    desk.apply_lab(lab(), "bench")
    for host in range(HOSTS):
        units = tuple(registration(host, slot, desk) for slot in range(SLOTS))
        desk.heartbeat(f"host-{host}", Heartbeat(agent_version="1", boot="b", inbox="/run/x", devices=units))


def fill(desk: Desk) -> None:
    """Register the devices of every host, and queue the runs."""
    fill_devices(desk)
    features = {"codec.pcmu": True, "codec.pcma": True, "codec.g722": True, "dtmf.events": True, "hold": True}
    for batch in range(QUEUED // SUBMISSIONS_PER_BATCH):
        submissions = tuple(
            Submission(
                title=f"phone {number}",
                vendor="Acme",
                product=product(number),
                hardware_revision="A",
                mode="wideband",
                profile="digital",
                ics={"audio": "wideband", **features},
            )
            for number in range(SUBMISSIONS_PER_BATCH)
        )
        request = BatchRequest(title="many", programme="ip-phone-basic", priority=batch % 100, submissions=submissions)
        desk.submit("bench", request, f"key-{batch}")


def registration(host: int, slot: int, desk: Desk) -> Registration:
    number = host * SLOTS + slot
    return Registration(
        identity=Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{number}"),
        product=product(number),
        category="ip-phone",
        hardware_revision="A",
        mode="wideband",
        slot=f"slot-{host}-{slot}",
        driver="acme",
        user_agent="Acme",
        seen_at=desk.clock.now(),
    )


def seconds(clock: SystemClock, action: Callable[[], object]) -> float:
    began_s = clock.boottime_s()
    action()
    return clock.boottime_s() - began_s


def desk_at(folder: Path, clock: SystemClock) -> Desk:
    """A desk over an empty database of its own."""
    return Desk(
        store=Store(f"sqlite:///{folder}/assay.sqlite", clock),
        artifacts=Artifacts(folder / "artifacts"),
        clock=clock,
        watch=Watch(started_s=clock.boottime_s()),
        deciding=threading.RLock(),
        wake=lambda: None,
    )


def figures() -> Iterator[dict[str, Any]]:
    """The figures, measured now."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        desk = desk_at(Path(folder), clock)
        store = desk.store
        fill(desk)
        loop = Loop(desk, NoSigner(), lease_ttl_s=900, host_silent_s=3600)

        def select_rows() -> None:
            with store.reading() as connection:
                for statement in ROWS:
                    connection.exec_driver_sql(statement).fetchall()

        def baseline_s() -> float:
            return min(seconds(clock, select_rows) for _ in range(RUNS_OF_A_FIGURE))

        def changed_pass() -> None:
            desk.watch.lab_changed = True
            loop.tick([])

        full_s = baseline_s()
        with store.reading() as connection:
            snapshot = views.snapshot(connection)
        assert (len(snapshot.devices), len(snapshot.queue)) == (DEVICES, QUEUED)
        placing_s = seconds(clock, lambda: loop.tick([]))
        yield figure("loop_pass_placing_200_of_10000_on_1000", placing_s, PLACING_PASS_S_MAX, full_s)
        take_all(loop)
        busy_s = baseline_s()
        pass_s = min(seconds(clock, changed_pass) for _ in range(RUNS_OF_A_FIGURE))
        yield figure("loop_pass_9000_queued_1000_busy", pass_s, PASS_S_MAX, busy_s)
        idle_s = min(seconds(clock, lambda: loop.tick([])) for _ in range(RUNS_OF_A_FIGURE))
        yield figure("loop_pass_without_news", idle_s, IDLE_PASS_S_MAX, busy_s)
        store.close()


def take_all(loop: Loop) -> None:
    """Let every device be taken: the agents accept whatever is dispatched."""
    answers: list[DispatchAnswered] = []
    while True:
        effects = loop.tick(answers)
        answers = [
            DispatchAnswered(run=dispatch.run, answer=Acceptance.ACCEPTED, ray_node="n", ray_actor="a")
            for dispatch in effects.dispatches
        ]
        if not (answers or effects.again):
            return


def figure(name: str, value_s: float, target_s: float, baseline_s: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value_s, 4),
        "unit": "s",
        "target": target_s,
        "baseline": round(baseline_s, 4),
        "ratio": round(value_s / baseline_s, 1),
        "ok": value_s <= target_s,
    }


if __name__ == "__main__":
    for line in figures():
        print(json.dumps(line))
