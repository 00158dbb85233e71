"""One trial: a lab under load, faults by the seed's choice, then peace; everything must end, and all books agree."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from lab_inventory.clock import SystemClock
from tests.faults import rest
from tests.faults.checkers import ENDED, Seen, acknowledged_batches, violations
from tests.faults.choice import CLOCKS, DISKS, JUMPS_S, KILLS, OUTAGE, STOPS, Step, spares
from tests.faults.clients import UNKNOWN, Book, Client, Person
from tests.faults.lab import Lab, Limits, pause, until

CLIENTS = 2
PEACE_S = 240.0
_FROZEN = {"agent stopped": ("agent",), "run stopped": ("run",), "agent and run stopped": ("agent", "run")}
_clock = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much of a trial's time goes to what: ``wait_share`` of the chosen waits, and how long disks and clocks stay
    as they are put; ``open_max``: batches that a client keeps going.
    """

    wait_share: float = 1.0
    disk_fault_s: float = 5.0
    clock_fault_s: float = 3.0
    open_max: int = 5


BRISK = Pace(wait_share=0.3, disk_fault_s=3.0, clock_fault_s=1.5, open_max=3)


@dataclass(kw_only=True)
class Outcome:
    """What was done and what came of it."""

    killed: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    own_exits: Counter[str] = field(default_factory=Counter)
    seen: Seen = field(default_factory=Seen)
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)
    took_s: float = 0.0


class Trial:
    """``say`` is told of each step as it comes."""

    def __init__(
        self, work: Path, seed: int, limits: Limits, pace: Pace, *, shim: Path | None, say: Callable[[str], None]
    ) -> None:
        self._seed = seed
        self._pace = pace
        self._limits = limits
        self._say = say
        self._work = work
        self._lab = Lab(work, limits, shim=shim)
        self._outcome = Outcome()

    @property
    def mounted(self) -> bool:
        """Whether disks can be filled here."""
        return all(disk.mounted for disk in self._lab.disks.values())

    def run(self, steps: Sequence[Step], kills: int) -> Outcome:
        """Carry out every step, and as many more kills as ``kills`` asks for; then look at what is left.

        Raises AssertionError where the lab does not come up, or does not come to rest.
        """
        began_s = _clock.boottime_s()
        lab, outcome = self._lab, self._outcome
        book = Book(self._work / "told.jsonl")
        try:
            lab.start()
            token = lab.http.headers["Authorization"].removeprefix("Bearer ")
            clients = [
                Client(number, self._seed, lab.address, token, book, open_max=self._pace.open_max)
                for number in range(CLIENTS)
            ]
            person = Person(lab.address, token)
            for one in (*clients, person):
                one.start()
            for step in chain(steps, spares(self._seed)):
                if step.fault in KILLS and outcome.killed.total() >= kills:
                    break
                pause(step.wait_s * self._pace.wait_share)
                within = f", and in it {step.within} is killed" if step.within else ""
                self._say(f"{_clock.boottime_s() - began_s:6.0f} s  {step.fault}{within}")
                self._carry_out(step)
            self._peace(clients)
            person.stop()
        except BaseException:
            lab.stop()
            lab.free()
            raise
        lab.stop()
        outcome.own_exits = lab.own_exits
        outcome.seen = rest.read(lab, book.told)
        outcome.wrong = violations(outcome.seen)
        outcome.took_s = _clock.boottime_s() - began_s
        lab.free()
        return outcome

    def _carry_out(self, step: Step) -> None:
        if step.fault in KILLS:
            self._kill(step.fault, step.draw)
            return
        self._outcome.others[step.fault] += 1
        lab = self._lab
        if step.fault in STOPS:
            frozen = lab.freeze(_FROZEN[step.fault], step.draw)
            if not frozen:
                self._outcome.others[step.fault] -= 1
                self._outcome.missed[step.fault] += 1
            self._hold(step, (self._limits.lease_ttl_s or 0) + 3 if frozen else 0.0)
            lab.thaw(frozen, step.draw)
        elif step.fault in DISKS:
            disk = lab.disks["server" if step.fault.startswith("server") else "agent"]
            begin, end = (
                (disk.fill, disk.empty) if step.fault.endswith("full") else (disk.forbid_writing, disk.allow_writing)
            )
            try:
                begin()
                self._hold(step, self._pace.disk_fault_s)
            finally:
                end()
        elif step.fault in CLOCKS:
            lab.jump("server" if step.fault.startswith("server") else "agent", JUMPS_S[int(step.draw * len(JUMPS_S))])
            self._hold(step, self._pace.clock_fault_s)
        elif step.fault == OUTAGE:
            lab.keep_away("server", away=True)
            self._kill("server", step.draw)
            self._hold(step, self._limits.host_silent_s + 1.5)
            lab.keep_away("server", away=False)

    def _hold(self, step: Step, seconds: float) -> None:
        """Let a fault last, with a kill in its middle where one is chosen."""
        pause(seconds * step.draw)
        if step.within:
            self._kill(step.within, step.draw, wait_s=1.0)
        pause(seconds * (1 - step.draw))

    def _kill(self, kind: str, draw: float, wait_s: float = 20.0) -> None:
        counter = self._outcome.killed if self._lab.kill(kind, draw, wait_s) else self._outcome.missed
        counter[kind] += 1

    def _peace(self, clients: Sequence[Client]) -> None:
        """No more faults: what is unknown becomes known, and everything ends."""
        lab = self._lab
        self._say("peace")
        for client in clients:
            client.finish()
        lab.until_well(PEACE_S)
        for client in clients:
            assert client.join(PEACE_S), "a client still does not know what became of its submission"

        def ended() -> bool:
            return all(batch["state"] in ENDED for batch in _all_batches(lab))

        until("every batch has ended", ended, PEACE_S)
        try:
            until("every run is delivered", lambda: not _undelivered(lab), 60)
        except AssertionError:
            self._say(f"not delivered: {', '.join(_undelivered(lab))}")


def _all_batches(lab: Lab) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    while page := lab.call("GET", f"/v1/batches?limit=200&offset={len(found)}"):
        found += page
    return found


def _undelivered(lab: Lab) -> list[str]:
    return [spool.run for spool in rest.spools(lab.agent_work / "runs") if not spool.delivered]


def summary(outcome: Outcome, seed: int, commit: str) -> str:
    """The figures, and everything that is wrong."""
    seen = outcome.seen
    told = [one for one in seen.told if one.verb == "submit"]
    lost = len(outcome.wrong.get("lost", ())) + len(outcome.wrong.get("results_kept", ()))
    runs = Counter(row["state"] for row in seen.rows("runs"))
    lines = [
        f"seed {seed} at commit {commit}, {outcome.took_s:.0f} s",
        f"kills: {outcome.killed.total()} ({_counted(outcome.killed)})",
        f"other faults: {outcome.others.total()} ({_counted(outcome.others)})",
        f"acknowledged: {len(acknowledged_batches(seen))} batches; "
        f"answers: {_counted(Counter(one.answer for one in told))}; "
        f"unknown and asked again: {len({one.key for one in told if one.answer == UNKNOWN})} keys",
        f"runs: {runs.total()} ({_counted(runs)}); reports kept: {len(seen.rows('reports'))}, "
        f"quarantined: {len(seen.rows('quarantined_reports'))}; judged: {len(seen.rows('judgements'))}",
        f"lost: {lost}",
        f"driven twice: {len(outcome.wrong.get('twice', ()))} (of {len(seen.presses)} keys pressed)",
        f"journal: {len(seen.rows('journal'))} rows, {len(seen.audit)} findings of assay audit verify",
    ]
    if outcome.missed:
        lines.append(f"chosen and not there to be hit: {_counted(outcome.missed)}")
    if outcome.own_exits:
        lines.append(f"ended by themselves, and started again: {_counted(outcome.own_exits)}")
    lines += [f"WRONG {name}: {words}" for name, wrong in outcome.wrong.items() for words in wrong]
    return "\n".join(lines)


def _counted(of: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items()) if count)
