"""A rollout over all hosts: many are prepared at once, few are out of service at once, and each goes back by itself.

Takes a rollout file, a build and the orchestrator; gives one outcome a host. A failure at one host touches no other,
but after ``limits.failures`` of them no further host is taken out of service.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum

from deploy.build import Manifest
from deploy.connection import HostConnection, connected
from deploy.decide import PREPARING, Seen, Step, refusals, steps
from deploy.facts import HostFacts
from deploy.host_steps import Host
from deploy.orchestrator import Orchestrator
from deploy.release import release_of, version_of
from deploy.rollout_file import Rollout, Target
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, Conflict, Unavailable

LOCK_TRIES = 20


class Result(StrEnum):
    """What came of a host."""

    DONE = "done"
    NOTHING = "nothing to do"
    REFUSED = "refused"
    UNCHANGED = "failed, unchanged"
    BACK = "failed, back on the old release"
    BROKEN = "failed, OUT OF SERVICE"
    NOT_BEGUN = "not begun"


FAILED = frozenset({Result.UNCHANGED, Result.BACK, Result.BROKEN})
BAD = FAILED | {Result.REFUSED, Result.NOT_BEGUN}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One host after an apply. ``release``: the one that is current there, where that is known."""

    host: str
    result: Result
    release: str | None
    detail: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """What an apply would do at one host. ``refused``: why it would do nothing."""

    host: str
    facts: HostFacts | None
    seen: Seen | None
    release: str
    steps: tuple[Step, ...]
    refused: tuple[str, ...]


Tell = Callable[[str, str, str], None]
"""Told of each step: host, slug, words."""


@dataclass(kw_only=True)
class Applying:
    """One apply. Every host has its own connection; going back has a new one."""

    rollout: Rollout
    manifest: Manifest
    orchestrator: Orchestrator
    clock: Clock
    tell: Tell
    _failed: int = 0
    _parallel: asyncio.Semaphore = field(init=False)
    _out: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._parallel = asyncio.Semaphore(self.rollout.limits.parallel)
        self._out = asyncio.Semaphore(self.rollout.limits.out_of_service)

    async def apply(self) -> tuple[Outcome, ...]:
        """Bring every host to its release; one outcome for each, in the order of the file."""
        return tuple(await asyncio.gather(*(self._bounded(target) for target in self.rollout.hosts)))

    async def plan(self) -> tuple[HostPlan, ...]:
        """Look at every host and change nothing."""
        return tuple(await asyncio.gather(*(self._plan(target) for target in self.rollout.hosts)))

    async def _plan(self, target: Target) -> HostPlan:
        release = release_of(self.rollout, target, self.manifest)
        nothing = HostPlan(host=target.name, facts=None, seen=None, release=release.name, steps=(), refused=())
        async with self._parallel:
            try:
                seen = await self.orchestrator.seen(target.name)
                async with connected(self.rollout, target) as connection:
                    facts = await self._host(target, connection).facts(wait=False)
            except AssayError as error:
                return replace(nothing, refused=(error.detail,))
        refused = tuple(self._refusals(facts))
        todo = () if refused else steps(facts, release, seen, self.rollout.limits.runs)
        return replace(nothing, facts=facts, seen=seen, steps=todo, refused=refused)

    async def _bounded(self, target: Target) -> Outcome:
        async with self._parallel:
            outcome = await self._apply(target)
        self.tell(
            target.name, "host-ended", f"{outcome.result}: {outcome.detail}" if outcome.detail else outcome.result
        )
        return outcome

    async def _apply(self, target: Target) -> Outcome:
        """Prepare without touching what serves, then take the host out, switch, verify and put it back."""
        done: list[Step] = []
        try:
            async with AsyncExitStack() as held:
                host = await self._held(target, held)
                facts, seen = await host.facts(wait=True), await self.orchestrator.seen(target.name)
                refused = self._refusals(facts)
                if refused:
                    return _outcome(target, Result.REFUSED, facts.current, "; ".join(refused))
                todo = steps(facts, host.release, seen, self.rollout.limits.runs)
                if not todo:
                    return _outcome(target, Result.NOTHING, facts.current, "")
                await self._do(host, [step for step in todo if step in PREPARING], done)
                if todo[-1] in PREPARING:
                    return _outcome(target, Result.DONE, facts.current, "", done)
                async with self._out:
                    if self._failed >= self.rollout.limits.failures:
                        why = f"{self._failed} host(s) failed before; this one is prepared and serves on as it did"
                        return _outcome(target, Result.NOT_BEGUN, facts.current, why, done)
                    outcome = await self._switch(target, host, done)
                    # Counted before the next host may go: it asks for this number first.
                    self._failed += outcome.result in FAILED
                    return outcome
        except AssayError as error:
            result = Result.UNCHANGED if done else Result.REFUSED
            self._failed += result in FAILED
            return _outcome(target, result, None, f"{done[-1]}: {error.detail}" if done else error.detail, done)

    async def _switch(self, target: Target, host: Host, done: list[Step]) -> Outcome:
        facts, seen = await host.facts(wait=True), await self.orchestrator.seen(target.name)
        todo = steps(facts, host.release, seen, self.rollout.limits.runs)
        try:
            await self._do(host, [step for step in todo if step not in PREPARING], done)
            facts, seen = await host.facts(wait=True), await self.orchestrator.seen(target.name)
            left = steps(facts, host.release, seen, self.rollout.limits.runs)
            if not left:
                return _outcome(target, Result.DONE, facts.current, "", done)
            why = f"after all steps there is still to be done: {', '.join(left)}"
        except AssayError as error:
            why = f"{done[-1] if done else 'begin'}: {error.detail}"
        self.tell(target.name, "going-back", why)
        return await self._go_back(target, host, why, done)

    async def _do(self, host: Host, todo: list[Step], done: list[Step]) -> None:
        deeds = host.deeds()
        for step in todo:
            done.append(step)
            self.tell(host.name, "step-begins", step)
            await deeds[step]()
            self.tell(host.name, "step-done", step)

    async def _go_back(self, target: Target, first: Host, why: str, done: list[Step]) -> Outcome:
        """Back to the proven release, over the connection that is there, or over a new one where that broke."""
        try:
            return await self._back(target, first, why, done)
        except Unavailable as error:
            self.tell(target.name, "connecting-again", error.detail)
        except AssayError as error:
            return self._broken(target, why, error, done)
        try:
            async with AsyncExitStack() as held:
                return await self._back(target, await self._held(target, held), why, done)
        except AssayError as error:
            return self._broken(target, why, error, done)

    @staticmethod
    def _broken(target: Target, why: str, error: AssayError, done: list[Step]) -> Outcome:
        detail = f"{why}; and going back failed: {error.detail}; it stays drained, apply again goes on from there"
        return _outcome(target, Result.BROKEN, None, detail, done)

    async def _back(self, target: Target, host: Host, why: str, done: list[Step]) -> Outcome:
        facts, seen = await host.facts(wait=True), await self.orchestrator.seen(target.name)
        proven = facts.proven
        if proven is None:
            await host.stop()
            detail = (
                f"{why}; there is no earlier release to go back to: the agent is stopped and the host stays drained"
            )
            return _outcome(target, Result.BROKEN, facts.current, detail, done)
        untouched = facts.current == proven and facts.running == proven
        if not untouched:
            await host.switch_to(proven)
            await host.start()
            units = facts.before.units if facts.before else frozenset[str]()
            await host.verify(proven, version_of(proven), boot_before=seen.boot, units_before=units)
        await host.undrain()
        return _outcome(target, Result.UNCHANGED if untouched else Result.BACK, proven, why, done)

    async def _held(self, target: Target, held: AsyncExitStack) -> Host:
        """Connect and be alone there; the lock of an apply that was cut a moment ago is waited for."""
        connection = await held.enter_async_context(connected(self.rollout, target))
        for left in reversed(range(LOCK_TRIES)):
            try:
                await held.enter_async_context(connection.alone(self.rollout.agent.install_dir))
            except Conflict:
                if left == 0:
                    raise
                await asyncio.sleep(0.25)
            else:
                break
        return self._host(target, connection)

    def _host(self, target: Target, connection: HostConnection) -> Host:
        return Host(
            name=target.name,
            connection=connection,
            rollout=self.rollout,
            manifest=self.manifest,
            release=release_of(self.rollout, target, self.manifest),
            orchestrator=self.orchestrator,
            clock=self.clock,
        )

    def _refusals(self, facts: HostFacts) -> list[str]:
        now_s = self.clock.now().timestamp()
        return refusals(facts, self.manifest, self.rollout.limits, self.rollout.agent.supervisor, now_s)


def _outcome(
    target: Target, result: Result, release: str | None, detail: str, done: list[Step] | None = None
) -> Outcome:
    return Outcome(host=target.name, result=result, release=release, detail=detail, steps=tuple(done or ()))
