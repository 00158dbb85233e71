"""The orchestrator in a simulated world: the production store, desk and loop, which crash and start again."""

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from joserfc.jwk import OKPKey
from sqlalchemy import event, select

from lab_inventory.canonical import digest
from lab_inventory.messages import Acceptance, AssignmentAnswer
from orchestrator.desk import Desk
from orchestrator.lifecycle.machine import Fact
from orchestrator.loop import Dispatch, DispatchAnswered, Event, Loop, WorkerReady
from orchestrator.pipeline.judge import judge
from orchestrator.signing import Signer
from orchestrator.store import quarantine_views, views
from orchestrator.store import tables as t
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.audit import audit
from orchestrator.store.store import Store
from orchestrator.watch import Watch
from tests.simulation.history import Row, Tables

if TYPE_CHECKING:
    from tests.simulation.world import World

R = TypeVar("R")
TTL_S = 60.0
PASS_S = 1.0
DISPATCH_TIMEOUT_S = 10.0
SIGNER = Signer(name="Simulated lab", key=OKPKey.generate_key("Ed25519", private=True))
WATCHED = {
    "leases": t.leases,
    "runs": t.runs,
    "batches": t.batches,
    "submissions": t.submissions,
    "reports": t.reports,
    "quarantined": t.quarantined_reports,
    "judgements": t.judgements,
    "idempotency": t.idempotency,
    "quarantines": t.quarantines,
}

BODIES = ("reports", "quarantined")
"""Tables whose bodies nobody looks at."""


class Crash(BaseException):
    """The server's process ends here; nothing in the product may catch it."""


class Down(Exception):
    """Nobody answers."""


class Server:
    """One server at a time over one database."""

    def __init__(self, world: "World", folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.clock = world.machine_clock("server", rate=1.0)
        self.alive = False
        self.life = 0
        self.changed = True
        self.crash_in_commit = False
        self.inbox: list[Event] = []
        self.known_leases: set[str] = set()
        self._pass_planned = False
        self._synced: Path = folder / "synced.sqlite"

    @property
    def database(self) -> Path:
        return self.folder / "assay.sqlite"

    def start(self) -> None:
        self.life += 1
        self.alive = True
        self.inbox = []
        self.crash_in_commit = False
        self._pass_planned = False
        self.store = Store(f"sqlite:///{self.database}", self.clock)
        event.listen(self.store.engine, "commit", self._on_commit)
        self.desk = Desk(
            store=self.store,
            artifacts=Artifacts(self.folder / "artifacts"),
            clock=self.clock,
            watch=Watch(started_s=self.clock.boottime_s()),
            deciding=threading.RLock(),
            wake=self._wake,
        )
        self.desk.keep_programmes(self.world.programmes)
        self.loop = Loop(self.desk, SIGNER, lease_ttl_s=TTL_S, host_silent_s=20.0, probation_waits_s=(0.0, 20.0, 60.0))
        self.store.listen(self._committed)
        self.inbox += [WorkerReady(host=host.name) for host in self.world.lab.hosts]
        self._wake()
        self._plan(self.life)

    def crash(self, *, power_cut: bool = False) -> None:
        """The process ends; with a power cut, so does what was not synced."""
        if not self.alive:
            return
        durable = self._synchronous()
        self.alive = False
        self.life += 1
        self.store.close()
        if power_cut and not durable and self._synced.exists():
            for leftover in self.folder.glob("assay.sqlite*"):
                leftover.unlink()
            self.database.write_bytes(self._synced.read_bytes())

    def keep_what_is_synced(self) -> None:
        """What the disk surely has by now, for a database that does not sync each commit."""
        if self.alive and not self._synchronous():
            source, target = sqlite3.connect(self.database), sqlite3.connect(self._synced)
            with source, target:
                source.backup(target)
            source.close()
            target.close()

    def _synchronous(self) -> bool:
        with self.store.reading() as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one()) >= 2

    def _on_commit(self, connection: object) -> None:
        if self.crash_in_commit:
            raise Crash

    def _committed(self, facts: "list[Fact]") -> None:
        self.changed = True

    # Being asked

    def ask(self, question: Callable[[Desk], R]) -> R:
        """What the server answers; raises Down where it does not."""
        if not self.alive:
            raise Down
        try:
            return question(self.desk)
        except Crash:
            self.world.events.say("the server crashed in the middle of a commit")
            self.crash()
            raise Down from None

    # Passes

    def _wake(self) -> None:
        if not self._pass_planned:
            self._pass_planned = True
            life = self.life
            self.world.events.after(0.01, "", lambda: self._pass(life))

    def _plan(self, life: int) -> None:
        if life == self.life and self.alive:
            self._wake()
            self.world.events.after(PASS_S, "", lambda: self._plan(life))

    def _pass(self, life: int) -> None:
        if life != self.life or not self.alive:
            return
        self._pass_planned = False
        inbox, self.inbox = self.inbox, []
        try:
            effects = self.loop.tick(inbox)
        except Crash:
            self.world.events.say("the server crashed in the middle of a pass")
            self.crash()
            return
        self._look_at_placements()
        for dispatch in effects.dispatches:
            self._dispatch(dispatch)
        if effects.again:
            self._wake()

    def _look_at_placements(self) -> None:
        """Whether anything was placed that a person does not want placed."""
        people, now = self.world.people, self.tables()
        out = {row["resource"] for row in now.quarantines if row["state"] != "ended"}
        probations = {row["batch"] for row in now.batches if row["purpose"] == "probation"}
        for lease in now.leases:
            if lease["lease"] in self.known_leases:
                continue
            self.known_leases.add(lease["lease"])
            run = next(run for run in now.runs if run["run"] == lease["run"])
            self.world.events.say(f"{run['run']} is placed on {run['device']}")
            for wanted, kind in ((run["device"], "device"), (run["batch"], "batch")):
                if wanted in people.held:
                    self.world.history.placed_though.append(f"{run['run']} was placed though {kind} {wanted} was held")
            if f"device:{run['device']}" in out and run["batch"] not in probations:
                self.world.history.placed_in_quarantine.append(f"{run['run']} was placed on {run['device']}")

    def _dispatch(self, dispatch: Dispatch) -> None:
        """By way of a Ray worker: the answer comes once, or is unknown."""
        life, answered = self.life, [False]

        def told(answer: AssignmentAnswer | None) -> None:
            if answered[0] or life != self.life or not self.alive:
                return
            answered[0] = True
            self.inbox.append(
                DispatchAnswered(
                    run=dispatch.run,
                    answer=answer.answer if answer else None,
                    reason=answer.reason if answer else "no answer",
                    ray_node="node" if answer else "",
                    ray_actor="actor" if answer else "",
                )
            )
            self._wake()

        agent = self.world.agents[dispatch.host]

        def arrive() -> None:
            answer = agent.take(dispatch.assignment_json)
            if answer is not None:
                if answer.answer is not Acceptance.ALREADY:
                    self.world.events.say(f"{dispatch.host} says of {dispatch.run}: {answer.answer} {answer.reason}")
                self.world.network.send(dispatch.host, "server", lambda: told(answer))

        self.world.network.send("server", dispatch.host, arrive)
        self.world.events.after(DISPATCH_TIMEOUT_S, "", lambda: told(None))

    # Being looked at

    def tables(self) -> Tables:
        """What the database holds, whether the server lives or not."""
        found: dict[str, tuple[Row, ...]] = {}
        database = sqlite3.connect(self.database)
        database.row_factory = sqlite3.Row
        try:
            for name, table in WATCHED.items():
                query = str(select(*(c for c in table.columns if name not in BODIES or c.name != "body")))
                found[name] = tuple(dict(row) for row in database.execute(query))
        finally:
            database.close()
        return Tables(**found)

    def lease_state(self, run: str) -> str:
        with self.store.reading() as connection:
            return str(connection.execute(select(t.leases.c.state).where(t.leases.c.run == run)).scalar_one_or_none())

    def judged_again(self, submission: str) -> str:
        with self.store.reading() as connection:
            view = views.submission(connection, submission)
        assert view is not None
        programme = next(p for p in self.world.programmes if p.digest == view.programme_digest)
        return digest(judge(view, programme))

    def audit(self) -> tuple[str, ...]:
        with self.store.reading() as connection:
            return audit(connection).findings

    def placed_devices(self) -> list[str]:
        with self.store.reading() as connection:
            return [device.device for device in views.devices(connection)]

    def quarantined(self) -> list[str]:
        with self.store.reading() as connection:
            return list(quarantine_views.quarantines(connection))

    @staticmethod
    def resources(lease: Row) -> list[str]:
        return list(json.loads(lease["epochs"]))
