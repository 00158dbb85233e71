"""Carries out what the uplink says: posts, uploads, acknowledges; brings back what came of it. The thin shell.

One loop steps the uplink when something was told or is due; requests run beside it, and each brings exactly one event.
"""

import asyncio
from collections.abc import Callable

from agents.logs import Log
from agents.measure import evidence_path
from agents.settings import AgentSettings
from agents.uplink import Uplink
from agents.uplink_events import (
    Acknowledge,
    Answered,
    BenchTold,
    Effect,
    Event,
    Failed,
    LeaseAnswered,
    Link,
    LinkChanged,
    Send,
    Trouble,
    Upload,
)
from agents.wire import Wire, WireTrouble
from agents.words import describe
from lab_inventory.clock import Clock
from lab_inventory.lab import Host

JOIN_AGAIN = (
    "runs go on until their lease ends, and none is taken; to serve again: stop this agent, "
    "'assay lab join HOST' makes a token, 'assay-agent join' takes it, start the agent"
)


class Delivery:
    """The talk with the orchestrator. The callbacks are given what concerns the rest of the agent."""

    def __init__(
        self,
        settings: AgentSettings,
        clock: Clock,
        log: Log,
        wire: Wire,
        *,
        acknowledge: Callable[[str, int], None],
        lease_answered: Callable[[LeaseAnswered], None],
        bench_told: Callable[[Host], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._wire = wire
        self._acknowledge = acknowledge
        self._lease_answered = lease_answered
        self._bench_told = bench_told
        self._uplink = Uplink(clock=clock, renewal_s=settings.renewal_s, heartbeat_s=settings.heartbeat_s)
        self.refused = ""
        """Why the orchestrator refuses this agent; empty while it does not."""
        self._inbox: list[Event] = []
        self._told = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()

    def tell(self, event: Event) -> None:
        """Let the uplink know of something; never blocks."""
        self._inbox.append(event)
        self._told.set()

    async def carry_on(self) -> None:
        """Talk until cancelled; what is on its way then is dropped, and said again by the next agent."""
        try:
            while True:
                self._told.clear()
                inbox, self._inbox = self._inbox, []
                step = self._uplink.step(self._clock.boottime_s(), inbox)
                for effect in step.effects:
                    self._carry_out_safely(effect)
                await self._until(step.wake_at_s)
        finally:
            for request in self._requests:
                request.cancel()
            await asyncio.gather(*self._requests, return_exceptions=True)

    async def _until(self, wake_at_s: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, wake_at_s - self._clock.boottime_s())):
                await self._told.wait()
        except TimeoutError:
            return

    def _carry_out_safely(self, effect: Effect) -> None:
        """What goes wrong with one effect must not keep the others back: a ticket that is lost is never answered."""
        try:
            self._carry_out(effect)
        except Exception as error:
            self._log.warning("effect-failed", effect=type(effect).__name__, error=describe(error))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send() | Upload():
                request = asyncio.create_task(self._request(effect))
                self._requests.add(request)
                request.add_done_callback(self._requests.discard)
            case Acknowledge(run=run, up_to=up_to):
                self._acknowledge(run, up_to)
            case LeaseAnswered():
                self._lease_answered(effect)
            case BenchTold(host=host):
                self._bench_told(host)
            case LinkChanged(link=link, detail=detail):
                self._note(link, detail)

    async def _request(self, effect: Send | Upload) -> None:
        try:
            if isinstance(effect, Send):
                self.tell(Answered(ticket=effect.ticket, reply=await self._wire.send(effect.message)))
            else:
                folder = self._settings.runs_dir / effect.run / "evidence"
                await self._wire.upload(effect.digest, evidence_path(folder, effect.digest))
                self.tell(Answered(ticket=effect.ticket, reply=None))
        except WireTrouble as error:
            if error.trouble in (Trouble.REJECTED, Trouble.LOCAL):
                self._log.warning("request-rejected", detail=error.detail)
            self.tell(Failed(ticket=effect.ticket, trouble=error.trouble, detail=error.detail))
        except Exception as error:
            self._log.warning("request-crashed", error=describe(error))
            self.tell(Failed(ticket=effect.ticket, trouble=Trouble.LOCAL, detail=describe(error)))

    def _note(self, link: Link, detail: str) -> None:
        self.refused = detail if link is Link.REFUSED else ""
        match link:
            case Link.UP:
                self._log.info("orchestrator-answers")
            case Link.DOWN:
                self._log.warning("orchestrator-unreachable", detail=detail)
            case _:
                self._log.warning("credential-refused", detail=detail, advice=JOIN_AGAIN)
