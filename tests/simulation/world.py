"""A whole lab on one thread: seeded clocks, network, disks and people; faults, then none, then all must be finished."""

import random  # noqa: TID251 - the world's chance is seeded
import traceback
from pathlib import Path
from typing import Any

from lab_inventory.lab import Lab
from tests.orchestrator.small_programme import PAIRED, PROBATION, SMALL
from tests.simulation.checkers import unfinished, violations
from tests.simulation.clock import MachineClock, TrueTime
from tests.simulation.events import Events, Network
from tests.simulation.history import History, Tables
from tests.simulation.host import Host, Unit
from tests.simulation.people import People
from tests.simulation.server import Server

AUDIT_EVERY = 20
QUIET_S = 1500.0
HOSTS, SLOTS = 2, 2
COMPANION = "c"
PRODUCTS = (("One", "1.0"), ("Bad", "1.0"), ("One", "2.0"), ("Bad", "2.0"))


class Violated(AssertionError):
    """An invariant does not hold; the words say which, and what happened last."""


class World:
    """One seed's world. ``steps`` events pass with faults; then as many as it takes to finish."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.true = TrueTime()
        self.events = Events(self.true)
        self.network = Network(self.events, self.chance)
        self.history = History(bad_products=frozenset({"Bad"}))
        self.models = ["One", "Bad"]
        # In every third world a case needs a companion, and each bench has one more slot, for companions alone.
        self.paired = seed % 3 == 0
        self.programmes = (PAIRED if self.paired else SMALL, PROBATION)
        self.lab = lab(paired=self.paired)
        self.lab_error_share = self.chance.choice([0.0, 0.02, 0.2, 0.6])
        self.calm = False
        self.server = Server(self, folder)
        self.people = People(self)
        self.agents = {
            host.name: Host(
                self,
                host.name,
                folder / host.name,
                [Unit(slot.name, self._model(slot.name)) for _, slot in host.slots()],
            )
            for host in self.lab.hosts
        }
        self.tables = Tables()
        self._checks = 0

    def _model(self, slot: str) -> str:
        return "Bad" if slot.endswith("2") and self.chance.random() < 0.6 else "One"

    def machine_clock(self, name: str, *, rate: float) -> MachineClock:
        offset_s = self.chance.choice([0.0, -86_400.0, 3_600.0])
        return MachineClock(self.true, name, self.chance, rate=rate, wall_offset_s=offset_s)

    def run(self, steps: int) -> None:
        """Raises Violated where an invariant does not hold, or the product raises what nobody expects of it."""
        try:
            self._run(steps)
        except (Violated, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._violated([traceback.format_exc()]) from error

    def _run(self, steps: int) -> None:
        self.server.start()
        self.server.desk.apply_lab(self.lab, "admin")
        for host in self.agents.values():
            host.start()
        self._happen()
        for _ in range(steps):
            self._step()
        self._end_faults()
        until_s = self.true.now_s + QUIET_S
        while self.true.now_s < until_s and not self._finished():
            self._provide_all_products()
            self.people.put_everything_back()
            for _ in range(20):
                self._step()
        self._check(audit=True)
        left = [*unfinished(self.tables), *(f"{key} was never answered" for key in self.people.open_keys)]
        if left:
            raise self._violated([f"not finished {QUIET_S:g} s after the last fault: {words}" for words in left])

    def _finished(self) -> bool:
        held = any(host.alive and host.runs.held() for host in self.agents.values())
        return not held and not self.people.open_keys and not list(unfinished(self.server.tables()))

    def _step(self) -> None:
        self.events.step()
        if self.server.changed:
            self._check(audit=False)

    def _check(self, *, audit: bool) -> None:
        self.server.changed = False
        self._checks += 1
        self.tables = self.server.tables()
        if self.server.alive:
            for row in self.tables.judgements:
                if row["submission"] not in self.history.rejudged:
                    self.history.rejudged[row["submission"]] = self.server.judged_again(row["submission"])
            if audit or self._checks % AUDIT_EVERY == 0:
                self.history.audit = self.server.audit()
        wrong = list(violations(self.history, self.tables))
        if wrong:
            raise self._violated(wrong)
        self.history.before = self.tables
        self.history.renewed.clear()

    def _violated(self, wrong: list[str]) -> Violated:
        return Violated("\n".join([*wrong[:10], "", "what happened last:", *self.events.last]))

    # What happens to it

    def _happen(self) -> None:
        """One thing after the other, until the faults end."""
        if self.calm:
            return
        host = self.chance.choice(list(self.agents.values()))
        things: list[tuple[float, Any]] = [
            (6, self.people.submit),
            (5, self.people.order),
            (1, self._crash_server),
            (0.5, lambda: setattr(self.server, "crash_in_commit", True)),
            (1, lambda: self._kill_agent(host)),
            (1, lambda: self._kill_run(host)),
            (0.5, lambda: self._power_cut(host)),
            (1, lambda: self._pause_agent(host)),
            (1, lambda: self._pause_run(host)),
            (1.5, lambda: self._cut(host)),
            (1, lambda: self._unplug(host)),
            (0.5, lambda: self._flash(host)),
            (0.5, self._set_clock),
        ]
        (thing,) = self.chance.choices([thing for _, thing in things], [weight for weight, _ in things])
        thing()
        self.server.keep_what_is_synced()
        self.events.after(self.chance.uniform(0.5, 8.0), "", self._happen)

    def _crash_server(self) -> None:
        power_cut = self.chance.random() < 0.5
        self.events.say(f"the server {'loses power' if power_cut else 'is killed'}")
        self.server.crash(power_cut=power_cut)
        self.events.after(self.chance.choice([0.5, 5.0, 70.0]), "the server is started", self._start_server)

    def _start_server(self) -> None:
        if not self.server.alive:
            self.server.start()

    def _kill_agent(self, host: Host) -> None:
        self.events.say(f"the agent of {host.name} is killed")
        host.kill()
        self._start_later(host)

    def _start_later(self, host: Host) -> None:
        def start() -> None:
            if not host.alive:
                host.start()

        self.events.after(self.chance.choice([1.0, 10.0, 100.0]), f"the agent of {host.name} is started", start)

    def _kill_run(self, host: Host) -> None:
        alive = [process for process in host.processes.values() if process.alive]
        if alive:
            self.chance.choice(alive).die("killed")

    def _power_cut(self, host: Host) -> None:
        self.events.say(f"{host.name} loses power")
        host.power_cut()
        self._start_later(host)

    def _pause_agent(self, host: Host) -> None:
        self.events.say(f"the agent of {host.name} is paused")
        host.paused = True
        self.events.after(
            self.chance.choice([5.0, 50.0, 120.0]),
            f"the agent of {host.name} goes on",
            lambda: setattr(host, "paused", False),
        )

    def _pause_run(self, host: Host) -> None:
        alive = [process for process in host.processes.values() if process.alive and not process.paused]
        if not alive:
            return
        process = self.chance.choice(alive)
        process.paused = True
        self.events.say(f"{process.directory.run} is paused")

        def go_on() -> None:
            process.paused = False
            process.act()

        self.events.after(self.chance.choice([5.0, 50.0, 120.0]), f"{process.directory.run} goes on", go_on)

    def _cut(self, host: Host) -> None:
        way = self.chance.choice([(host.name, "server"), ("server", host.name)])
        self.events.say(f"nothing goes from {way[0]} to {way[1]}")
        self.network.cut.add(way)
        self.events.after(
            self.chance.choice([5.0, 50.0, 200.0]),
            f"{way[0]} reaches {way[1]} again",
            lambda: self.network.cut.discard(way),
        )

    def _unplug(self, host: Host) -> None:
        unit = self.chance.choice(list(host.units.values()))
        self.events.say(f"{host.name}/{unit.slot} is unplugged")
        unit.plugged = False
        self.events.after(
            self.chance.choice([3.0, 40.0]),
            f"{host.name}/{unit.slot} is plugged in",
            lambda: setattr(unit, "plugged", True),
        )

    def _flash(self, host: Host) -> None:
        """Only a unit that no run has: what a run measures while somebody flashes its phone is nobody's."""
        free = [unit for unit in host.units.values() if unit.slot not in host.busy]
        if free:
            unit = self.chance.choice(free)
            unit.firmware = self.chance.choice(["1.0", "2.0"])
            self.events.say(f"{host.name}/{unit.slot} has firmware {unit.firmware}")

    def _set_clock(self) -> None:
        machine: Any = self.chance.choice([self.server, *self.agents.values()])
        machine.clock.wall_offset_s += self.chance.choice([-3600.0, 3600.0])

    def _end_faults(self) -> None:
        """From here on nothing goes wrong, everything lives and everything can be had."""
        self.events.say("the faults end")
        self.calm = True
        self.network.faults = False
        self.network.cut.clear()
        self.lab_error_share = 0.0
        self.server.crash_in_commit = False
        self._start_server()
        self.people.release_all()
        for host in self.agents.values():
            host.paused = False
            for process in host.processes.values():
                if process.alive and process.paused:
                    process.paused = False
                    process.act()
            if not host.alive:
                host.start()

    def _provide_all_products(self) -> None:
        """Every product that somebody may have submitted comes into the lab, as soon as its slot is free."""
        units = [(host, unit) for host in self.agents.values() for unit in host.units.values()]
        for _, unit in units:
            unit.plugged = True
        tested = [(host, unit) for host, unit in units if not unit.slot.endswith(COMPANION)]
        for (host, unit), (model, firmware) in zip(tested, PRODUCTS, strict=True):
            if unit.slot not in host.busy:
                unit.model, unit.firmware = model, firmware


def lab(*, paired: bool = False) -> Lab:
    return Lab.model_validate(
        {
            "lab": "simulated",
            "site": "here",
            "hosts": [
                {
                    "name": f"host-{host}",
                    "benches": [
                        {
                            "name": f"bench-{host}",
                            "instruments": [{"name": "sip", "kind": "sip-rtp", "calibration": {"method": "loop"}}],
                            "slots": [
                                {
                                    "name": f"slot-{host}-{slot}",
                                    "category": "ip-phone",
                                    "roles": ["companion" if slot == COMPANION else "dut"],
                                    "registrar": f"127.0.0.1:{6000 + 10 * host + number}",
                                    "account": {"user": "u", "password": "p"},
                                    "unit": {"hardware_revision": "A", "mode": "wideband"},
                                }
                                for number, slot in enumerate([*"12"[:SLOTS], *([COMPANION] if paired else [])], 1)
                            ],
                        }
                    ],
                }
                for host in range(1, HOSTS + 1)
            ],
        }
    )
