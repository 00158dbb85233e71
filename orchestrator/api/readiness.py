"""Readiness: each part of the server looked at, with its state and the reason in words. Never raises, bounded in time.

``failed`` is what keeps the server from its own work (the database, the loop): it takes nothing then, 503. ``degraded``
is what keeps work from being run somewhere, or soon will: batches are taken and wait.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.noun import Noun
from orchestrator.dispatch.port import Dispatcher
from orchestrator.pipeline.control import DriftView
from orchestrator.store import control_views, listings, subscription_views, views
from orchestrator.store.leadership import Leadership
from orchestrator.store.store import Store
from orchestrator.watch import Watch

ANSWER_S = 5.0
WRITE_S = 2.0
WRITE_AGAIN_S = 1.0
LOOP_LATE_S = 10.0
LOOP_STUCK_S = 60.0
PARTS_MAX = 500


class State(StrEnum):
    """What a part is."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class Part(Noun):
    """One part; ``reason`` says what is wrong, and of some parts how much is left where nothing is."""

    part: str
    state: State
    reason: str = ""


class Readiness(Noun):
    """``ready``: work is taken. ``degraded``: the parts that are not ok, with their reasons. ``parts``: all of them."""

    ready: bool
    degraded: dict[str, str]
    parts: tuple[Part, ...]


def readiness_of(parts: Sequence[Part]) -> Readiness:
    """What the parts come to."""
    return Readiness(
        ready=all(part.state is not State.FAILED for part in parts),
        degraded={part.part: part.reason for part in parts if part.state is not State.OK},
        parts=tuple(parts),
    )


def loop_part(trouble: str, age_s: float) -> Part:
    """The loop, by what its last pass met and how long ago it ended."""
    if trouble:
        return Part(part="loop", state=State.FAILED, reason=f"its last pass failed: {trouble}")
    if age_s > LOOP_LATE_S:
        state = State.FAILED if age_s > LOOP_STUCK_S else State.DEGRADED
        return Part(part="loop", state=state, reason=f"no pass has ended for {age_s:.0f} s")
    return Part(part="loop", state=State.OK, reason=f"its last pass ended {age_s:.1f} s ago")


def leadership_part(leadership: Leadership) -> Part:
    """Whether this server leads or follows; either is well."""
    if leadership.trouble:
        return Part(part="leadership", state=State.DEGRADED, reason=f"{leadership.words}; {leadership.trouble}")
    return Part(part="leadership", state=State.OK, reason=leadership.words)


def disk_part(free_bytes: int, floor_bytes: int) -> Part:
    """The room under the data directory."""
    left = f"{free_bytes // 1_000_000} MB free"
    if free_bytes < floor_bytes:
        reason = f"{left}, below the floor of {floor_bytes // 1_000_000} MB: no evidence is taken"
        return Part(part="disk", state=State.DEGRADED, reason=reason)
    return Part(part="disk", state=State.OK, reason=left)


def worker_troubles(not_ready: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """Why the workers of hosts cannot be reached. What a host itself tells of its Ray node is nearer to the cause than
    that nobody answers there.
    """
    return {host: told.get(host) or why for host, why in not_ready.items()}


def host_parts(hosts: Iterable[str], not_ready: Mapping[str, str], unheard_s: Mapping[str, float]) -> list[Part]:
    """Each host's Ray worker and agent; ``unheard_s`` has the silent agents and for how long they are."""
    found = []
    for host in sorted(hosts):
        why = not_ready.get(host)
        state = State.OK if why is None else State.DEGRADED
        found.append(Part(part=f"Ray worker of {host}", state=state, reason=why or ""))
        silent_s = unheard_s.get(host)
        if silent_s is None:
            found.append(Part(part=f"agent of {host}", state=State.OK))
        else:
            reason = f"not heard of for {silent_s:.0f} s; is its 'assay-agent serve' running?"
            found.append(Part(part=f"agent of {host}", state=State.DEGRADED, reason=reason))
    return found


def quarantine_parts(rows: Iterable[Mapping[str, str]]) -> list[Part]:
    """Benches that are out, and whatever a person has to look at."""
    return [
        Part(part=f"{row['resource'].replace(':', ' ', 1)} in quarantine", state=State.DEGRADED, reason=row["reason"])
        for row in rows
        if row["resource"].startswith("bench:") or row["state"] == "needs-person"
    ]


def paused_parts(paused: Mapping[str, str]) -> list[Part]:
    """Subscriptions that are paused: somebody is not told of what they asked for."""
    return [
        Part(part=f"subscription {name}", state=State.DEGRADED, reason=f"is paused: {reason}")
        for name, reason in paused.items()
    ]


def drift_parts(drifts: Iterable[DriftView]) -> list[Part]:
    """Benches with a drift that nobody has explained."""
    waits = "what was measured on this bench is not judged or decided until somebody explains it"
    return [
        Part(part=f"bench {one.bench}, {one.chart}", state=State.DEGRADED, reason=f"{one.words}; {waits} ({one.drift})")
        for one in drifts
    ]


def fault_parts(faults: Iterable[Mapping[str, str]]) -> list[Part]:
    """The slots that cannot be used; two hosts may call theirs the same."""
    found: dict[str, Part] = {}
    for fault in faults:
        name = f"slot {fault['slot']}"
        name = f"{name} of {fault['host']}" if name in found else name
        found[name] = Part(part=name, state=State.DEGRADED, reason=fault["detail"])
    return list(found.values())


@dataclass(kw_only=True)
class Health:
    """Looks at the running server: one look at a time in a thread of its own, so that no other work holds it up."""

    store: Store
    dispatcher: Dispatcher
    watch: Watch
    clock: Clock
    data: Path
    free_bytes_min: int
    host_silent_s: float
    leadership: Leadership
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="assay-readiness"), init=False
    )
    _looking: asyncio.Future[Readiness] | None = field(default=None, init=False)
    _written: tuple[float, Part] | None = field(default=None, init=False)

    async def answer(self) -> Readiness:
        """What a look finds; whoever asks during one gets its answer, and nobody waits longer than ``ANSWER_S``."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().run_in_executor(self._thread, self.look)
        done, _ = await asyncio.wait({self._looking}, timeout=ANSWER_S)
        if not done:
            reason = f"did not answer within {ANSWER_S:g} s"
            return readiness_of([Part(part="database", state=State.FAILED, reason=reason)])
        return self._looking.result()

    def look(self) -> Readiness:
        """Look at every part."""
        now_s = self.clock.boottime_s()
        watch = self.watch
        found = [self._database(now_s)]
        if self.leadership.words:
            found.append(leadership_part(self.leadership))
        if self.leadership.epoch is None:
            # What runs and who is heard of, the server that leads knows.
            return readiness_of([*found, self._disk()])
        passed_at_s = watch.started_s if watch.passed_at_s is None else watch.passed_at_s
        found += [loop_part(watch.loop_trouble, now_s - passed_at_s), self._disk(), self._ray()]
        found += self._lab(now_s)
        return readiness_of(found[:PARTS_MAX])

    def close(self) -> None:
        """Take no further look."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _database(self, now_s: float) -> Part:
        """Anybody may ask, and writing costs the disk something: so what was found is good for a second."""
        if self._written is None or now_s - self._written[0] >= WRITE_AGAIN_S:
            self._written = (now_s, self._write())
        return self._written[1]

    def _write(self) -> Part:
        try:
            self.store.try_write(WRITE_S)
        except Exception as error:
            return Part(part="database", state=State.FAILED, reason=_words(error))
        return Part(part="database", state=State.OK)

    def _disk(self) -> Part:
        # What is open goes on being written to in a directory that became read-only: the database says nothing of it.
        for folder in (self.data, self.data / "artifacts"):
            if not os.access(folder, os.W_OK | os.X_OK):
                reason = f"{folder} cannot be written to: no evidence is taken, and the server could not start again"
                return Part(part="disk", state=State.DEGRADED, reason=reason)
        try:
            return disk_part(shutil.disk_usage(self.data).free, self.free_bytes_min)
        except OSError as error:
            return Part(part="disk", state=State.DEGRADED, reason=f"{self.data}: {error.strerror}")

    def _ray(self) -> Part:
        why = self.dispatcher.health
        return Part(part="ray", state=State.DEGRADED if why else State.OK, reason=why)

    def _lab(self, now_s: float) -> list[Part]:
        watch = self.watch
        not_ready = dict(watch.not_ready)
        try:
            with self.store.reading() as connection:
                hosts = views.hosts(connection)
                faults = listings.host_faults(connection)
                out = listings.quarantine(connection)
                paused = subscription_views.paused(connection)
                drifting = control_views.drifts(connection, only_open=True)
        except Exception as error:
            # What cannot be read cannot be said to be well.
            return [
                Part(part="lab", state=State.FAILED, reason=_words(error)),
                *host_parts(not_ready, not_ready, {}),
            ]
        silent = watch.silent(hosts, now_s, self.host_silent_s)
        unheard_s = {host: now_s - watch.heard_at_s.get(host, watch.started_s) for host in silent}
        said = {name: host.full for name, host in hosts.items() if host.full}
        full = [
            Part(part=f"host {host}", state=State.DEGRADED, reason=f"it takes no run now: {why}")
            for host, why in sorted((watch.refusing() | said).items())
        ]
        of_hosts = host_parts(hosts, worker_troubles(not_ready, watch.ray_trouble), unheard_s) + full
        of_lab = quarantine_parts(out) + paused_parts(paused) + fault_parts(faults) + drift_parts(drifting)
        return of_hosts + of_lab


def _words(error: Exception) -> str:
    return error.detail if isinstance(error, AssayError) else type(error).__name__
