"""Care of the lab's own things: units and benches that spoil run after run are taken out, brought back, put back.

Reads, lets the pure stage decide, commits. The loop asks it in each pass; people ask it by way of the API.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from lab_inventory.errors import Conflict, NotFound
from orchestrator.desk import Desk
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.quarantine import QuarantineEnded, QuarantineState
from orchestrator.lifecycle.run import RunCompleted, RunErrored
from orchestrator.lifecycle.snapshot import QuarantineView
from orchestrator.pipeline import quarantine
from orchestrator.store import quarantine_views, views

LOOK_AGAIN_S = 10.0
PROBATION_WAITS_S = (0.0, 600.0, 3600.0)
"""How long a unit rests before its first, second and third probation: what is hot or restarting gets time."""


class Care:
    """Quarantine and probation, for one leader. Safe to be called from several threads."""

    def __init__(self, desk: Desk, *, probation_waits_s: Sequence[float] = PROBATION_WAITS_S) -> None:
        self._desk = desk
        self._store = desk.store
        self._waits_s = tuple(probation_waits_s)
        self._ended: set[str] = set()
        self._due_s: dict[str, float] = {}
        desk.store.listen(self._committed)

    def _committed(self, facts: Sequence[Fact]) -> None:
        self._ended |= {fact.run for fact in facts if isinstance(fact, RunCompleted | RunErrored)}

    def heard(self, runs: Iterable[str]) -> None:
        """These runs have ended, as another server committed."""
        self._ended |= set(runs)

    def look(self, now: datetime, now_s: float) -> None:
        """One look: who is to be taken out, whose probation has ended, whose is to begin."""
        for run in sorted(self._ended):
            self._take_out(run, now, now_s)
            # Only now: what could not be read or committed is met again in the next pass.
            self._ended.discard(run)
        with self._store.reading() as connection:
            out = quarantine_views.quarantines(connection)
        for view in out.values():
            if view.state is QuarantineState.PROBATION:
                self._end_probation(view, now, now_s)
        for view in quarantine.waits_for(out):
            if now_s >= self._due_s.get(view.resource, now_s):
                self._begin_by_itself(view, now, now_s)

    def _take_out(self, run: str, now: datetime, now_s: float) -> None:
        """Take out the unit or the bench of a run that was spoilt, where it was one too many."""
        with self._store.deciding() as connection:
            ended = quarantine_views.ended_run(connection, run)
            if ended is None or quarantine.blame(ended) in (quarantine.Blame.WELL, quarantine.Blame.NOTHING):
                return
            out = quarantine_views.quarantines(connection)
            device = views.device(connection, ended.device)
            hosts = views.hosts(connection)
            most = quarantine.RUNS_LOOKED_AT
            of_unit = quarantine_views.ended_runs_of_device(connection, ended.device, most)
            found = [quarantine.against_unit(ended.device, of_unit, now)]
            bench = quarantine.bench_of(device, hosts) if device else None
            if device is not None and bench is not None:
                slots = [slot.name for on, slot in hosts[device.host].config.slots() if on.name == bench]
                of_bench = quarantine_views.ended_runs_of_bench(connection, bench, device.host, slots, most)
                # A bench that is at fault explains its units.
                found.insert(0, quarantine.against_bench(bench, of_bench, now))
            for fact in found:
                if fact is not None:
                    if fact.resource not in out:
                        self._store.commit([fact])
                        self._due_s[fact.resource] = now_s + self._waits_s[0]
                    return

    def _end_probation(self, view: QuarantineView, now: datetime, now_s: float) -> None:
        with self._store.deciding() as connection:
            state = views.batch_state(connection, view.batch or "")
            if state not in ("completed", "cancelled") or self._is_not(view):
                return
            judgements = views.judgements_of_batch(connection, view.batch or "")
            self._store.commit(quarantine.end_probation(view, judgements[0] if judgements else None, now))
        self._due_s[view.resource] = now_s + self._waits_s[min(view.attempts, len(self._waits_s) - 1)]

    def _begin_by_itself(self, view: QuarantineView, now: datetime, now_s: float) -> None:
        with self._store.deciding():
            why_not = self._begin(view, "assay", now) if not self._is_not(view) else "somebody was faster"
        if why_not:
            self._due_s[view.resource] = now_s + LOOK_AGAIN_S

    def _is_not(self, view: QuarantineView) -> bool:
        """Whether somebody was faster: what was seen before this transaction is not so any more."""
        with self._store.reading() as connection:
            return quarantine_views.quarantines(connection).get(view.resource) != view

    def _begin(self, view: QuarantineView, by: str, now: datetime) -> str:
        """Begin a probation; gives why there can be none now, or nothing."""
        with self._store.reading() as connection:
            devices, hosts = views.devices(connection), views.hosts(connection)
            out = quarantine_views.quarantines(connection)
            programmes = views.programmes(connection)
        device = quarantine.unit_for(view.resource, devices, hosts, out)
        if device is None:
            return "no unit for it is present, in service and has a driver"
        category = device.registration.category
        programme = quarantine.probation_programme(category, programmes)
        if programme is None:
            return f"no programme for the probation of {category} devices is loaded"
        self._store.commit(quarantine.begin_probation(view, device, programme, by, now, self._desk.clock.new_id))
        self._desk.wake()
        return ""

    # What people order

    def recover(self, resource: str, by: str) -> None:
        """Begin a probation now. Raises NotFound where it is not in quarantine, Conflict where it cannot begin."""
        with self._desk.deciding, self._store.deciding():
            view = self._view(resource)
            if view.state is QuarantineState.PROBATION:
                raise Conflict(f"{resource} is on probation already, in batch {view.batch}")
            why_not = self._begin(view, by, self._desk.clock.now())
            if why_not:
                raise Conflict(f"{resource} cannot be put on probation: {why_not}")

    def put_back(self, resource: str, by: str, reason: str) -> None:
        """End a quarantine because a person says so; a probation that goes on is cancelled."""
        with self._desk.deciding, self._store.deciding():
            view = self._view(resource)
            if view.state is QuarantineState.PROBATION and view.batch is not None:
                with self._store.reading() as connection:
                    going_on = views.batch_state(connection, view.batch) in ("open", "held")
                if going_on:
                    self._desk.cancel_batch(view.batch, by, f"{resource} was put back in service")
            self._store.commit([QuarantineEnded(resource=resource, by=by, reason=reason, at=self._desk.clock.now())])
        self._desk.wake()

    def _view(self, resource: str) -> QuarantineView:
        with self._store.reading() as connection:
            view = quarantine_views.quarantines(connection).get(resource)
        if view is None:
            raise NotFound(f"{resource[:120]} is not in quarantine")
        return view
