"""A lab host in a simulated world: the production book of runs, spool and uplink, with slots, devices and processes."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.held_runs import Held, HeldRuns
from agents.lease_guard import is_lost, must_stop
from agents.measure import LabError
from agents.run_directory import RunDirectory
from agents.settings import AgentSettings
from agents.spool import Spool
from agents.uplink import Uplink
from agents.uplink_events import (
    Acknowledge,
    Answered,
    BenchTold,
    Event,
    Failed,
    LeaseAnswered,
    Observed,
    Send,
    Trouble,
)
from lab_inventory.canonical import digest
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.errors import AssayError
from lab_inventory.messages import (
    Assignment,
    AssignmentAnswer,
    BenchChecked,
    CaseStarted,
    CaseStatus,
    DeviceIdentified,
    Ended,
    Heartbeat,
    RenewRequest,
    ReportBatch,
    ReportReply,
    RunOutcome,
    RunReport,
    Standing,
    Started,
)
from orchestrator.desk import Desk
from tests.orchestrator.small_programme import ended, not_measured
from tests.simulation.history import Touch
from tests.simulation.server import Down

if TYPE_CHECKING:
    from tests.simulation.world import World

BEAT_S = 2.0
REQUEST_TIMEOUT_S = 10.0
UNSYNCED_S = 30.0


class NoLog:
    """Nobody reads it."""

    def info(self, slug: str, **fields: Any) -> None: ...

    def warning(self, slug: str, **fields: Any) -> None: ...


class Unit:
    """A device in a slot, as it really is."""

    def __init__(self, slot: str, model: str) -> None:
        self.slot = slot
        self.model = model
        self.firmware = "1.0"
        self.plugged = True

    def registration(self, host: str, seen_at: Any) -> Registration:
        return Registration(
            identity=Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{host}-{self.slot}"),
            product=Product(maker="Acme", model=self.model, firmware=self.firmware),
            category="ip-phone",
            hardware_revision="A",
            mode="wideband",
            slot=self.slot,
            driver="acme",
            user_agent=f"Acme {self.model} {self.firmware}",
            seen_at=seen_at,
        )


class Process:
    """The process of one run: stops by its own clock, drives its device, writes its spool."""

    def __init__(self, world: "World", host: "Host", directory: RunDirectory) -> None:
        self.world = world
        self.host = host
        self.directory = directory
        self.assignment = directory.assignment()
        self.unit = host.units[self.assignment.slot.name]
        self.beside = [host.units[one.slot.name] for one in self.assignment.companions]
        self.spool = Spool(directory.spool_path, host.clock)
        self.alive = True
        self.paused = False
        self.right_until_s = world.true.now_s + self.assignment.ttl_s / host.rate
        self._script = self._body()
        self._tearing_down = False
        self.plan()

    def plan(self) -> None:
        self.world.events.after(self.world.chance.uniform(0.2, 3.0), "", self.act)

    def act(self) -> None:
        """One thing after the other, each only where the lease allows it."""
        if not self.alive or self.paused:
            return
        lease, now_s = self.directory.lease(), self.host.clock.boottime_s()
        if is_lost(lease, now_s):
            self.die("fenced")
            return
        order = must_stop(lease, now_s)
        if order is not None and not self._tearing_down:
            self._tearing_down = True
            outcome = RunOutcome.ERROR if order.kind == "deadline" else RunOutcome.STOPPED
            self._script = self._end(outcome, order.reason)
        try:
            next(self._script)
        except StopIteration:
            self.die("")
        except LabError as error:
            self.die(str(error))
        else:
            self.plan()

    def die(self, why: str) -> None:
        if self.alive:
            self.alive = False
            self.spool.close()
            if why:
                self.world.events.say(f"{self.directory.run}: its process ends: {why}")

    def _body(self) -> Any:
        self._say(Started(suite_version="1", pid=1))
        yield
        self._say(BenchChecked(passed=True, measurements=()))
        yield
        self._touch()
        wanted = self.assignment.dut.registration.product
        same = self.unit.plugged and (wanted.model, wanted.firmware) == (self.unit.model, self.unit.firmware)
        self._say(DeviceIdentified(same=same, user_agent="Acme", reason="" if same else "it is another"))
        if not same:
            yield from self._end(RunOutcome.ERROR, "the device is not the unit that the lease was granted for")
            return
        for case in self.assignment.cases:
            for repeat in range(1, case.repeats + 1):
                self._say(CaseStarted(case=case.id, repeat=repeat))
                yield
                self._touch()
                there = all(unit.plugged for unit in (self.unit, *self.beside))
                if not there or self.world.chance.random() < self.world.lab_error_share:
                    self._say(not_measured(case.id, repeat, CaseStatus.ERROR, "the lab could not"))
                elif self.unit.model in self.world.history.bad_products and case.id == "TC-1":
                    self._say(ended(case.id, repeat, answered=False))
                else:
                    self._say(ended(case.id, repeat))
                yield
        yield from self._end(RunOutcome.COMPLETED, "")

    def _end(self, outcome: RunOutcome, reason: str) -> Any:
        self._tearing_down = True
        self._touch()
        yield
        self._touch()
        within = self.host.clock.boottime_s() <= self.directory.lease().deadline_at_s
        self._say(Ended(outcome=outcome, reason=reason, within_deadline=within))
        yield

    def _touch(self) -> None:
        self.world.history.touches.append(
            Touch(
                at_s=self.world.true.now_s,
                run=self.directory.run,
                epochs=self.assignment.epochs,
                right_until_s=self.right_until_s,
            )
        )
        self.world.server.changed = True

    def _say(self, body: Any) -> None:
        self.host.note_written(self.directory, self.spool.append(body))


class Host:
    """One lab host with its agent. ``kill`` ends the agent alone; ``power_cut`` everything on the host."""

    def __init__(self, world: "World", name: str, work: Path, units: list[Unit]) -> None:
        self.world = world
        self.name = name
        self.units = {unit.slot: unit for unit in units}
        self.rate = world.chance.uniform(0.9, 1.1)
        self.clock = world.machine_clock(name, rate=self.rate)
        self.settings = AgentSettings(
            server_url="http://127.0.0.1:1", host=name, work_dir=work, free_bytes_min=0, keep_delivered_runs=3
        )
        work.mkdir()
        self.processes: dict[str, Process] = {}
        self.following: dict[str, Held] = {}
        self.bench: Any = None
        self.alive = False
        self.paused = False
        self.life = 0
        self.busy: set[str] = set()

    # The agent's life

    def start(self) -> None:
        self.life += 1
        self.alive, self.paused = True, False
        self.inbox: list[Event] = []
        self.answered: set[int] = set()
        self.following = {}
        self.busy = set()
        self._step_planned = False
        self.uplink = Uplink(clock=self.clock, renewal_s=4.0, heartbeat_s=4.0)
        self.runs = HeldRuns(
            self.settings,
            self.clock,
            NoLog(),
            self,
            drivers={"acme": object},  # type: ignore[dict-item]
            tell=self._tell,
            hold_slots=lambda assignment: self.busy.update(slot.name for slot in assignment.slots),
            free_slot=self.busy.discard,
        )
        self.runs.host = self.bench
        self.runs.adopt()
        self._beat(self.life)

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self.life += 1
            self.runs.close()

    def power_cut(self) -> None:
        """Agent and runs are gone, and of every spool what was not synced."""
        self.kill()
        for process in self.processes.values():
            synced = process.alive and process.spool._database.execute("PRAGMA synchronous").fetchone()[0] >= 2
            if process.alive and not synced:
                process.spool._database.execute("DELETE FROM report WHERE seq > (SELECT max(seq) / 2 FROM report)")
            process.die("")
        self.processes = {}
        self.clock.boot()

    def _beat(self, life: int) -> None:
        if life != self.life:
            return
        if not self.paused:
            self._attend()
            self.runs.look()
            self._observe()
            self._step()
        self.world.events.after(BEAT_S, "", lambda: self._beat(life))

    def _observe(self) -> None:
        seen = [unit for unit in self.units.values() if unit.plugged or unit.slot in self.busy]
        heartbeat = Heartbeat(
            agent_version="1",
            boot=f"boot-{self.life}",
            inbox="/run/inbox",
            devices=tuple(unit.registration(self.name, self.clock.now()) for unit in seen),
            runs=self.runs.held(),
        )
        self.inbox.append(Observed(heartbeat=heartbeat))

    # The talk with the server

    def _tell(self, event: Event) -> None:
        self.inbox.append(event)
        if not self._step_planned:
            self._step_planned = True
            life = self.life
            self.world.events.after(0.001, "", lambda: self._step() if life == self.life else None)

    def _step(self) -> None:
        self._step_planned = False
        if self.paused:
            return
        inbox, self.inbox = self.inbox, []
        for effect in self.uplink.step(self.clock.boottime_s(), inbox).effects:
            match effect:
                case Send():
                    self._request(effect)
                case Acknowledge(run=run, up_to=up_to):
                    self.runs.acknowledge(run, up_to)
                    self._note_acknowledged(run)
                case LeaseAnswered():
                    self._lease_answered(effect)
                case BenchTold(host=host):
                    self.bench = self.runs.host = host
                case _:
                    pass

    def _lease_answered(self, effect: LeaseAnswered) -> None:
        process = self.processes.get(effect.lease.run)
        if effect.lease.standing is Standing.RENEWED and process is not None:
            ago_s = (self.clock.boottime_s() - effect.sent_at_s) / self.rate
            until_s = self.world.true.now_s - ago_s + effect.lease.ttl_s / self.rate
            process.right_until_s = max(process.right_until_s, until_s)
        self.runs.lease_answered(effect)

    def _request(self, effect: Send) -> None:
        life, network = self.life, self.world.network

        def back(event: Event) -> None:
            network.send("server", self.name, lambda: self._answered(life, effect.ticket, event))

        def arrive() -> None:
            try:
                reply = self.world.server.ask(lambda desk: self._ask(desk, effect))
            except Down:
                back(Failed(ticket=effect.ticket, trouble=Trouble.UNREACHABLE, detail="connection refused"))
            except AssayError as error:
                trouble = Trouble.UNREACHABLE if error.status >= 500 else Trouble.REJECTED
                back(Failed(ticket=effect.ticket, trouble=trouble, detail=str(error)))
            else:
                back(Answered(ticket=effect.ticket, reply=reply))

        network.send(self.name, "server", arrive)
        lost = Failed(ticket=effect.ticket, trouble=Trouble.UNREACHABLE, detail="no answer")
        self.world.events.after(REQUEST_TIMEOUT_S, "", lambda: self._answered(life, effect.ticket, lost))

    def _ask(self, desk: Desk, effect: Send) -> Any:
        match effect.message:
            case Heartbeat() as heartbeat:
                return desk.heartbeat(self.name, heartbeat)
            case RenewRequest() as request:
                reply = desk.renew(self.name, request)
                self.world.history.renewed += [
                    (lease.run, self.world.server.lease_state(lease.run))
                    for lease in reply.leases
                    if lease.standing is Standing.RENEWED
                ]
                return reply
            case ReportBatch() as batch:
                received: ReportReply = desk.receive(self.name, batch)
                return received

    def _answered(self, life: int, ticket: int, event: Event) -> None:
        if life != self.life or ticket in self.answered:
            return
        self.answered.add(ticket)
        self._tell(event)

    # What the Ray worker posts

    def take(self, assignment_json: str) -> AssignmentAnswer | None:
        """The agent's answer, or None where nobody answers."""
        if not self.alive or self.paused:
            return None
        return self.runs.take(Assignment.model_validate_json(assignment_json))

    # What the book of runs asks of processes

    def launch(self, directory: RunDirectory) -> None:
        self.processes[directory.run] = Process(self.world, self, directory)

    def is_alive(self, directory: RunDirectory) -> bool:
        process = self.processes.get(directory.run)
        return process is not None and process.alive

    def hurry(self, directory: RunDirectory) -> None:
        process = self.processes.get(directory.run)
        if process is not None:
            process.plan()

    def follow(self, held: Held) -> None:
        self.following[held.run] = held

    def _attend(self) -> None:
        for run, held in list(self.following.items()):
            if self.is_alive(held.directory):
                continue
            self.runs.gone(held)
            if not held.spool.state().ended:
                within = run in self.processes and self.clock.boottime_s() <= held.directory.lease().deadline_at_s
                reason = "the run's process died without an end"
                end = Ended(outcome=RunOutcome.ERROR, reason=reason, within_deadline=within)
                self.note_written(held.directory, held.spool.append(end))
            del self.following[run]
            self.runs.over(held)

    # What the world notes

    def note_written(self, directory: RunDirectory, seq: int) -> None:
        text = self._read(directory, "SELECT report FROM report WHERE seq = ?", seq)
        self.world.history.written.setdefault(directory.run, {})[seq] = digest(RunReport.model_validate_json(text))

    def _note_acknowledged(self, run: str) -> None:
        directory = RunDirectory(self.settings.runs_dir / run, self.clock)
        if directory.path.exists():
            self.world.history.acknowledged[run] = self._read(directory, "SELECT seq FROM mark")
            self.world.server.changed = True

    @staticmethod
    def _read(directory: RunDirectory, query: str, *values: int) -> Any:
        database = sqlite3.connect(directory.spool_path)
        try:
            return database.execute(query, values).fetchone()[0]
        finally:
            database.close()
