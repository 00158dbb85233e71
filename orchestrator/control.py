"""Control of the benches: their control devices are measured when nothing else is, and drifts are found and explained.

Reads, lets the pure stage decide, commits. The loop asks it in each pass; people ask it by way of the API.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lab_inventory.clock import Clock
from lab_inventory.device import Intent, Presence
from lab_inventory.errors import NotFound
from lab_inventory.lab import Bench, Slot
from orchestrator.desk import Desk
from orchestrator.lifecycle.control import ControlEnded, ControlMarked, DriftExplained, DriftFound
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import RunCompleted
from orchestrator.lifecycle.snapshot import DeviceView, HostView
from orchestrator.pipeline import control
from orchestrator.store import bench_views, control_views, views
from orchestrator.store.store import Reading

LOOK_EVERY_S = 10.0
"""How often it is looked whether a control device is due; what is to give way is seen in each pass."""


class Control:
    """Control devices and drifts, for one leader. Safe to be called from several threads."""

    def __init__(self, desk: Desk, *, every: timedelta = control.CONTROL_EVERY) -> None:
        self._desk = desk
        self._store = desk.store
        self._clock: Clock = desk.clock
        self._every = every
        self._ended = True
        self._look_at_s = 0.0
        self._known_until_s = 0.0
        self._any_marked = False
        self._any_drift = False
        desk.store.listen(self._committed)

    def _committed(self, facts: Sequence[Fact]) -> None:
        self._ended |= any(isinstance(fact, RunCompleted) for fact in facts)
        if any(isinstance(fact, ControlMarked | ControlEnded | DriftFound | DriftExplained) for fact in facts):
            self._known_until_s = 0.0

    def heard(self) -> None:
        """Something has changed, as another server committed."""
        self._ended = True
        self._known_until_s = 0.0

    def _know(self, now_s: float) -> None:
        """Read anew whether there is anything to look at, where that may have changed: most labs have nothing."""
        if now_s >= self._known_until_s:
            with self._store.reading() as connection:
                self._any_marked = bool(control_views.marked(connection))
                self._any_drift = bool(control_views.drifts(connection, only_open=True))
            self._known_until_s = now_s + LOOK_EVERY_S

    def held_back(self, connection: Reading, now_s: float) -> frozenset[str]:
        """The open submissions that are not to be judged, because a bench of theirs drifts and nobody has said why."""
        self._know(now_s)
        return control_views.wait_for_explanation(connection) if self._any_drift else frozenset()

    def look(self, now: datetime, now_s: float) -> None:
        """One look: what has drifted, which control run is to give way, which is to begin."""
        self._know(now_s)
        if not self._any_marked:
            return
        with self._store.reading() as connection:
            marked = control_views.marked(connection)
            going_on = control_views.open_batches(connection)
        if not (self._ended or going_on or now_s >= self._look_at_s):
            return
        with self._store.deciding() as connection:
            hosts = views.hosts(connection)
            placed = [
                (device, place[0])
                for device in views.devices(connection)
                if device.device in marked and (place := _place(device, hosts)) is not None
            ]
            if self._ended:
                self._ended = False
                self._find_drifts(connection, {bench.name for _, bench in placed}, now)
            going_on = control_views.open_batches(connection)
            queue = [run for run in views.queue(connection) if run.batch not in set(going_on.values())]
            for device, bench in placed:
                wanted = any(control.competes(run, device, bench) for run in queue)
                batch = going_on.get(device.device)
                if batch is not None and wanted:
                    self._desk.cancel_batch(batch, "assay", "a run that is no filler wants its unit or its bench")
                elif batch is None and not wanted and now_s >= self._look_at_s:
                    self._begin(connection, device, bench, now)
            if now_s >= self._look_at_s:
                self._look_at_s = now_s + LOOK_EVERY_S

    def _find_drifts(self, connection: Reading, benches: set[str], now: datetime) -> None:
        for view in bench_views.benches(connection):
            if view.bench.name in benches:
                known = control_views.drifts(connection, view.bench.name)
                runs = control_views.control_runs(connection, view.host, [slot.name for slot in view.bench.slots])
                of_bench = control.charts(runs, known)
                found = control.drifts_found(view.bench.name, of_bench, known, now, self._clock.new_id)
                if found:
                    self._store.commit(found)

    def _begin(self, connection: Reading, device: DeviceView, bench: Bench, now: datetime) -> None:
        """Begin a control run where it is due and its bench is idle."""
        there = device.presence is Presence.PRESENT and device.intent is Intent.IN_SERVICE
        ended_at = control_views.last_ended(connection, device.device)
        if not there or device.registration.driver is None or (ended_at is not None and now < ended_at + self._every):
            return
        own = {f"slot:{device.host}/{slot.name}" for slot in bench.slots} | {f"device:{device.device}"}
        if any(own & set(lease.epochs) for lease in views.live_leases(connection)):
            return
        programme = control.control_programme(device.registration.category, views.programmes(connection))
        if programme is not None:
            self._store.commit(control.begin(device, bench.name, programme, now, self._clock.new_id))

    # What people order

    def mark(self, device: str, by: str, reason: str) -> None:
        """Make a unit the control device of its bench. Raises NotFound, or Conflict where it is one already."""
        with self._desk.deciding, self._store.deciding() as connection:
            if views.device(connection, device) is None:
                raise NotFound(f"there is no device {device[:80]}")
            self._store.commit([ControlMarked(device=device, by=by, reason=reason, at=self._clock.now())])
        self._desk.wake()

    def end(self, device: str, by: str) -> None:
        """Make a unit a control device no more. Raises Conflict where it is none."""
        with self._desk.deciding:
            self._store.commit([ControlEnded(device=device, by=by, at=self._clock.now())])

    def explain(self, drift: str, by: str, words: str, *, anew: bool) -> None:
        """Say what a drift was; decisions of its bench go on. Raises NotFound, Conflict where somebody did already."""
        with self._desk.deciding, self._store.deciding() as connection:
            if all(one.drift != drift for one in control_views.drifts(connection)):
                raise NotFound(f"there is no drift {drift[:80]}")
            self._store.commit([DriftExplained(drift=drift, by=by, words=words, anew=anew, at=self._clock.now())])
        self._desk.wake()


def _place(device: DeviceView, hosts: Mapping[str, HostView]) -> tuple[Bench, Slot] | None:
    host = hosts.get(device.host)
    return host.config.slot(device.registration.slot) if host else None
