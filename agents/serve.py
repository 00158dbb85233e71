"""The agent: where its parts meet. ``assay-agent serve``.

    slots ── devices, faults ──┐                    ┌── heartbeats, renewals, reports ── orchestrator
    inbox ── assignments ── runs ── delivery(uplink) ┘
                             └── one process each

Stopped gracefully, it leaves its runs alive: the next agent in the same work directory adopts them.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agents.acceptance import answer_to
from agents.adopt import Drivers
from agents.bench_file import keep_bench, kept_bench
from agents.bench_record import records_of
from agents.delivery import Delivery
from agents.endure import endure
from agents.far_inbox import FarInbox
from agents.inbox import Inbox
from agents.key import AgentKey, join, kept_key, old_credential
from agents.launch import RUN_COMMAND
from agents.logs import Log
from agents.proof import Proof
from agents.ray_node import RayNode
from agents.runs import Runs
from agents.settings import AgentSettings
from agents.slots import ProbeFor, Slots
from agents.sound_scores.carrying import ScoreCarrier
from agents.uplink_events import Event, Observed, Trouble
from agents.version import VERSION
from agents.wire import Wire, WireTrouble
from agents.words import describe
from lab_inventory.characterisation import CharacterisedBench
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict
from lab_inventory.lab import Host
from lab_inventory.messages import BENCHES_MAX, Acceptance, Assignment, AssignmentAnswer, Heartbeat
from lab_inventory.trust import require_safe

JOIN_AGAIN_S = 2.0
_LISTED_MAX = 256


class Agent:
    """One agent on one host, from its start to its stop."""

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        log: Log,
        wire: Wire,
        *,
        drivers: Drivers,
        probe_for: ProbeFor,
        command: Sequence[str] = RUN_COMMAND,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._boot = clock.new_id("boot")
        self._slots = Slots(
            settings.host,
            clock,
            log,
            drivers=drivers,
            probe_for=probe_for,
            absent_after_s=settings.absent_after_s,
        )
        self._runs = Runs(
            settings,
            clock,
            log,
            drivers=drivers,
            tell=self._tell,
            hold_slots=self._slots.hold,
            free_slot=self._slots.free,
            command=command,
        )
        self._delivery = Delivery(
            settings,
            clock,
            log,
            wire,
            acknowledge=self._runs.acknowledge,
            lease_answered=self._runs.lease_answered,
            bench_told=self._bench_told,
        )
        self._scores = ScoreCarrier(wire, clock, log)
        self._inbox = Inbox(settings.inbox_path, self._take, log)
        self._far_inbox = None if settings.inbox_listen is None else FarInbox(settings, self._inbox, clock)
        self._ray_node = None if settings.ray_address is None else RayNode(settings, settings.ray_address, clock, log)

    async def carry_on(self, stop: asyncio.Event) -> None:
        """Serve until told to stop. Runs are adopted before slots are watched, for they hold their slots' addresses."""
        self._runs.adopt()
        self._bench_known()
        await self._inbox.open()
        if self._far_inbox is not None:
            await self._far_inbox.open()
        parts = {"delivery": self._delivery.carry_on, "slots": self._look_at_slots, "spools": self._look_at_spools}
        if self._ray_node is not None:
            parts["ray node"] = self._ray_node.carry_on
        tasks = [asyncio.create_task(endure(name, part, self._clock, self._log)) for name, part in parts.items()]
        self._log.info("agent-serves", host=self._settings.host, inbox=str(self._settings.inbox_path), boot=self._boot)
        try:
            await stop.wait()
        finally:
            if self._far_inbox is not None:
                await self._far_inbox.close()
            await self._inbox.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._scores.close()
            await self._runs.stop_following()
            self._slots.close()
            self._log.info("agent-stopped", runs_left_alive=len(self._runs.held()))

    def _tell(self, event: Event) -> None:
        self._delivery.tell(event)

    def _take(self, assignment: Assignment) -> AssignmentAnswer:
        if self._delivery.refused:
            # Its lease could not be renewed, nor anything delivered: it would only drive the device for nothing.
            return answer_to(assignment, Acceptance.REFUSED, f"this agent is refused: {self._delivery.refused}")
        answer = self._runs.take(assignment)
        self._observe()
        return answer

    def _observe(self) -> None:
        """Tell what this host is and has now; the uplink decides whether that is news."""
        heartbeat = Heartbeat(
            agent_version=VERSION,
            boot=self._boot,
            inbox=str(self._settings.inbox_path) if self._far_inbox is None else self._far_inbox.name,
            full=self._runs.full(),
            ray="" if self._ray_node is None else self._ray_node.trouble,
            devices=self._slots.devices()[:_LISTED_MAX],
            faults=self._slots.faults()[:_LISTED_MAX],
            runs=self._runs.held()[:_LISTED_MAX],
            characterised=self._characterised(),
        )
        self._tell(Observed(heartbeat=heartbeat))

    def _characterised(self) -> tuple[CharacterisedBench, ...]:
        host = self._runs.host
        return () if host is None else records_of(self._settings.work_dir, host)[:BENCHES_MAX]

    def _bench_known(self) -> None:
        try:
            bench = kept_bench(self._settings.work_dir)
        except (OSError, BadInput) as error:
            # The orchestrator tells it again with the first heartbeat.
            self._log.warning("bench-unreadable", error=describe(error))
            return
        if bench is not None and bench.name == self._settings.host:
            self._runs.host = bench
            self._slots.configure(bench)

    def _bench_told(self, bench: Host) -> None:
        if bench != self._runs.host:
            self._log.info("bench-told", slots=len(bench.slots()))
            keep_bench(self._settings.work_dir, bench, self._clock)
        self._runs.host = bench
        self._slots.configure(bench)

    async def _look_at_slots(self) -> None:
        while True:
            again_s = self._slots.look()
            self._observe()
            await asyncio.sleep(again_s)

    async def _look_at_spools(self) -> None:
        while True:
            self._runs.look()
            self._scores.look(self._runs.living())
            await asyncio.sleep(self._settings.spool_look_s)


async def serve(
    settings: AgentSettings,
    clock: Clock,
    log: Log,
    *,
    stop: asyncio.Event,
    drivers: Drivers,
    probe_for: ProbeFor,
    command: Sequence[str] = RUN_COMMAND,
) -> None:
    """Join if need be, then serve until ``stop``.

    Raises Conflict where another agent has the work directory, Unauthorised and WireTrouble where the orchestrator does
    not let this host join, BadInput where what is kept on disk is broken, OSError where the disk is at fault.
    """
    settings.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with sole_agent(settings.work_dir):
        wire = wire_of(settings)
        try:
            key = await _key(settings, clock, log, wire, stop)
            if key is None:
                return
            wire.use_credentials(Proof(key, clock))
            agent = Agent(settings, clock, log, wire, drivers=drivers, probe_for=probe_for, command=command)
            await agent.carry_on(stop)
        finally:
            await wire.close()


def wire_of(settings: AgentSettings, timeout_s: float | None = None) -> Wire:
    """The connections that the settings ask for. Raises BadInput where they would not be safe, or the CA file is
    none.
    """
    require_safe(
        settings.server_url, trusted_network=settings.trusted_network, setting="ASSAY_AGENT_TRUSTED_NETWORK=true"
    )
    return Wire(settings.server_url, timeout_s=timeout_s or settings.request_timeout_s, ca_file=settings.ca_file)


async def join_once(settings: AgentSettings, token: str, clock: Clock) -> AgentKey:
    """Join with a token and keep the key of this host, while no agent serves.

    Raises Conflict where one does, and as :func:`agents.key.join`.
    """
    settings.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with sole_agent(settings.work_dir):
        wire = wire_of(settings)
        try:
            return await join(wire, settings.work_dir, host=settings.host, token=token, clock=clock)
        finally:
            await wire.close()


async def _key(settings: AgentSettings, clock: Clock, log: Log, wire: Wire, stop: asyncio.Event) -> AgentKey | None:
    """The key, kept or joined with; an orchestrator that cannot be reached yet is waited for. None: stopped."""
    token = settings.join_token.get_secret_value() if settings.join_token else None
    brings_old = old_credential(settings.work_dir, settings.host) is not None
    while not stop.is_set():
        kept = kept_key(settings.work_dir, settings.host)
        if kept is not None:
            return kept
        try:
            told = None if brings_old else token
            return await join(wire, settings.work_dir, host=settings.host, token=told, clock=clock)
        except WireTrouble as error:
            if error.trouble is Trouble.REFUSED and brings_old and token is not None:
                brings_old = False
                continue
            if error.trouble is not Trouble.UNREACHABLE:
                raise
            log.warning("orchestrator-unreachable", detail=error.detail)
        try:
            async with asyncio.timeout(JOIN_AGAIN_S * clock.uniform(0.5, 1.0)):
                await stop.wait()
        except TimeoutError:
            continue
    return None


@contextmanager
def sole_agent(work: Path) -> Iterator[None]:
    """Be the only agent of a work directory. Raises Conflict where another is."""
    descriptor = os.open(work / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another agent already serves the work directory {work}") from error
        yield
    finally:
        os.close(descriptor)
