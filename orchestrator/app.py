"""The composition root: the only place where the parts meet. Gives the ASGI application of ``assay serve``."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import IO

from fastapi import FastAPI

from lab_inventory.clock import Clock, SystemClock
from lab_inventory.errors import AssayError
from lab_inventory.shipped import shipped_programmes
from orchestrator.agent_keys import AgentKeys
from orchestrator.api import agents, health, operators
from orchestrator.api import certificates as certificates_api
from orchestrator.api import evidence as evidence_api
from orchestrator.api import listing as listing_api
from orchestrator.api import people as people_api
from orchestrator.api import programmes as programmes_api
from orchestrator.api import prompts as prompts_api
from orchestrator.api import reports as reports_api
from orchestrator.api import reviews as reviews_api
from orchestrator.api import samples as samples_api
from orchestrator.api import subscriptions as subscriptions_api
from orchestrator.api import waivers as waivers_api
from orchestrator.api.access import Access
from orchestrator.api.admission import Admission
from orchestrator.api.parts import Parts
from orchestrator.api.problems import DOCUMENTED, BodyCap, add_handlers
from orchestrator.api.readiness import Health
from orchestrator.api.rights import require_rights
from orchestrator.api.watchers import Watchers
from orchestrator.certificates import Certificates
from orchestrator.desk import Desk
from orchestrator.dispatch.port import Dispatcher, Report
from orchestrator.dispatch.supervisor import RayDispatcher, driver_command
from orchestrator.issuing import Issuing
from orchestrator.lifecycle.machine import Fact
from orchestrator.logs import JsonLog, Log
from orchestrator.loop import Effects, Event, Loop
from orchestrator.mail import Mail
from orchestrator.metrics import Metrics
from orchestrator.notifiers import Notifiers
from orchestrator.offering import Offering
from orchestrator.people import People
from orchestrator.prompts import Prompts
from orchestrator.reviewing import Reviewing
from orchestrator.samples import Samples
from orchestrator.scoring import Scoring
from orchestrator.security import Security
from orchestrator.settings import Settings
from orchestrator.signing import Signer
from orchestrator.signing_keys import signer_at
from orchestrator.store import views
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.directory import take
from orchestrator.store.leadership import Leadership, News, SharedLeadership, SoleLeadership
from orchestrator.store.store import Store, Superseded
from orchestrator.waiving import Waiving
from orchestrator.watch import Watch
from orchestrator.web import (
    benches,
    case_pages,
    layout,
    listing,
    pages,
    prompts,
    reviews,
    sample_pages,
    signing_in,
    submitting,
    waivers,
)
from orchestrator.webhook import Webhooks

PASS_S = 1.0
SAME_LINES_MAX = 5


def create_app(
    settings: Settings, dispatcher: Dispatcher | None = None, clock: Clock | None = None, log: Log | None = None
) -> FastAPI:
    """Put the server together on ``settings``; raises BadInput where its data directory cannot be used."""
    clock = clock or SystemClock()
    log = log or JsonLog(clock)
    lock = take(settings.data, shared=settings.sqlite_path is None)
    store = Store(settings.database_url, clock)
    waker = Waker()
    artifacts = Artifacts(settings.data / "artifacts", free_bytes_min=settings.free_bytes_min)
    artifacts.sweep()
    signer = signer_at(settings.data, store, name=settings.issuer)
    leadership = _leadership(settings, store, clock, signer)
    desk = Desk(
        store=store,
        artifacts=artifacts,
        clock=clock,
        watch=Watch(started_s=clock.boottime_s()),
        deciding=threading.RLock(),
        wake=waker.wake,
        leads=leadership.leads,
    )
    desk.keep_programmes(shipped_programmes())
    loop = Loop(desk, signer, lease_ttl_s=settings.lease_ttl_s, host_silent_s=settings.host_silent_s)

    metrics = Metrics(store, clock, leadership.leads)
    watchers = Watchers()
    store.listen(watchers.follow)
    store.listen(_teller(log))
    people = People(store, clock)
    webhooks = Webhooks(clock, settings.webhook_networks)
    notifiers = Notifiers(store, clock, log, webhooks, Mail(settings, clock), settings.address)
    store.listen(notifiers.follow)
    dispatcher = dispatcher or _ray(settings, store)
    parts = Parts(
        settings=settings,
        store=store,
        desk=desk,
        reviewing=Reviewing(desk, signer),
        loop=loop,
        dispatcher=dispatcher,
        scoring=Scoring(artifacts, dispatcher, partial(_benches, store)),
        security=Security(store, clock, people),
        agent_keys=AgentKeys(store, clock),
        people=people,
        samples=Samples(store, clock),
        waiving=Waiving(store, clock),
        prompts=Prompts(desk),
        notifiers=notifiers,
        issuing=Issuing(store, clock),
        offering=Offering(store, clock),
        certificates=Certificates(store, clock, signer),
        admission=Admission(clock, requests_per_s=settings.requests_per_s),
        metrics=metrics,
        watchers=watchers,
        health=Health(
            store=store,
            dispatcher=dispatcher,
            watch=desk.watch,
            clock=clock,
            data=settings.data,
            free_bytes_min=settings.free_bytes_min,
            host_silent_s=settings.host_silent_s,
            leadership=leadership,
        ),
        leadership=leadership,
        log=log,
    )
    app = FastAPI(
        title="Assay",
        version="0.1.0",
        description="Runs device certification programmes in a physical lab.",
        responses=DOCUMENTED,
        # The usual documentation pages load scripts from elsewhere; the document itself stays at /openapi.json.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(parts, waker, clock, lock),
    )
    app.state.parts = parts
    add_handlers(app)
    app.add_middleware(BodyCap, bytes_max=settings.body_bytes_max)
    app.add_middleware(Access, clock=clock, log=log)
    for api in (
        agents,
        operators,
        programmes_api,
        people_api,
        certificates_api,
        listing_api,
        reports_api,
        samples_api,
        reviews_api,
        waivers_api,
        prompts_api,
        subscriptions_api,
        evidence_api,
        health,
        pages,
        benches,
        case_pages,
        sample_pages,
        listing,
        reviews,
        waivers,
        prompts,
        signing_in,
        submitting,
    ):
        app.include_router(api.router)
    layout.add_static(app)
    require_rights(app)
    return app


def _teller(log: Log) -> Callable[[Sequence[Fact]], None]:
    """Tells the log what was decided: a line for each fact that is journaled, or for many of a kind their number."""

    def tell(facts: Sequence[Fact]) -> None:
        numbers = Counter(type(fact).__name__ for fact in facts if fact.journaled)
        for kind, number in numbers.items():
            if number > SAME_LINES_MAX:
                log.info("committed", fact=kind, number=number)
        for fact in facts:
            kind = type(fact).__name__
            if 0 < numbers[kind] <= SAME_LINES_MAX:
                named = {name: getattr(fact, name, None) for name in ("batch", "submission", "run")}
                entity = {fact.machine or "entity": fact.entity}
                log.info("committed", fact=kind, **{name: value for name, value in named.items() if value} | entity)

    return tell


def _leadership(settings: Settings, store: Store, clock: Clock, signer: Signer) -> Leadership:
    """Raises BadInput where a server that lives signs with another key."""
    if settings.sqlite_path is not None:
        return SoleLeadership()
    leadership = SharedLeadership(
        store,
        clock,
        server=clock.new_id("srv"),
        address=f"{settings.host}:{settings.port}",
        issuer=signer.issuer.thumbprint,
    )
    leadership.require_the_same_issuer()
    return leadership


def _ray(settings: Settings, store: Store) -> Dispatcher:
    local_host = settings.ray_local_host
    if local_host is None:
        with store.reading() as connection:
            lab = views.lab(connection)
        local_host = lab.hosts[0].name if lab else "local"
    return RayDispatcher(
        driver_command(
            address=settings.ray_address,
            local_host=local_host,
            doors_of=settings.ray_doors_of,
            access=settings.ray_access,
        )
    )


def _benches(store: Store) -> frozenset[str]:
    """The hosts of the lab that have a bench."""
    with store.reading() as connection:
        lab = views.lab(connection)
    return frozenset(host.name for host in lab.hosts if host.slots()) if lab else frozenset()


class Waker:
    """Wakes the loop from any thread; ringing while it is awake means one more pass."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The event loop in which the passes are made."""
        self._loop = loop

    def wake(self) -> None:
        """Ask for a pass."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout_s: float) -> None:
        """Until somebody rings, or for ``timeout_s``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
        self._event.clear()


def _lifespan(parts: Parts, waker: Waker, clock: Clock, lock: IO[str]):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.get_running_loop()
        waker.attach(running)
        parts.watchers.attach(running)
        inbox: list[Event] = []

        def report(event: Event) -> None:
            inbox.append(event)
            waker.wake()

        def heard(news: News) -> None:
            parts.watchers.tell(news.notices)
            if news.missed:
                parts.watchers.miss()
            parts.loop.changed_elsewhere(news.notices)
            parts.desk.watch.lab_changed |= news.lab_changed or news.missed
            waker.wake()

        await asyncio.to_thread(parts.leadership.start, waker.wake, heard)
        leading = asyncio.create_task(_lead(parts, waker, clock, inbox, report))
        try:
            yield
        finally:
            leading.cancel()
            with suppress(asyncio.CancelledError):
                await leading
            await asyncio.to_thread(parts.leadership.stop)
            parts.health.close()
            parts.store.close()
            lock.close()

    return lifespan


async def _lead(parts: Parts, waker: Waker, clock: Clock, inbox: list[Event], report: Report) -> None:
    """Whenever this server leads: its dispatcher runs, and pass follows pass. Nobody else's does meanwhile."""
    while True:
        while (epoch := parts.leadership.epoch) is None:
            await waker.wait(PASS_S)
        if parts.leadership.words:
            parts.log.info("leads", epoch=epoch)
        inbox.clear()
        parts.desk.watch.begin(clock.boottime_s())
        parts.metrics.begin()
        await parts.dispatcher.start(report)
        fenced = bool(parts.leadership.words)
        telling = asyncio.create_task(parts.notifiers.run(partial(parts.store.as_leader, epoch) if fenced else None))
        try:
            await _passes(parts, epoch, waker, clock, inbox)
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            await parts.dispatcher.stop()
        parts.log.warning("leads-no-longer", epoch=epoch)


async def _passes(parts: Parts, epoch: int, waker: Waker, clock: Clock, inbox: list[Event]) -> None:
    """Pass after pass, each in a thread, while this server leads under ``epoch``; woken by events, and once a second
    for what only time brings.
    """
    watch = parts.desk.watch

    def hosts() -> frozenset[str]:
        with parts.store.reading() as connection:
            return frozenset(views.hosts(connection))

    def tick(events: list[Event]) -> Effects:
        if not parts.leadership.words:
            return parts.loop.tick(events)
        with parts.store.as_leader(epoch):
            return parts.loop.tick(events)

    while parts.leadership.epoch == epoch:
        began_s = clock.boottime_s()
        taken: list[Event] = []
        again = False
        try:
            # Watched before the pass: nothing is placed at a host before it is known whether its worker is there.
            parts.dispatcher.watch(await asyncio.to_thread(hosts))
            await asyncio.to_thread(parts.metrics.look)
            taken, inbox[:] = list(inbox), []
            effects = await asyncio.to_thread(tick, taken)
        except Superseded:
            parts.leadership.superseded(epoch)
            return
        except Exception as error:  # the passes must go on whatever one of them met; /readyz says what it was
            # What could not be committed now is met again in the next pass; only the events must not be lost.
            inbox[:0] = taken
            watch.loop_trouble = error.detail if isinstance(error, AssayError) else type(error).__name__
            parts.log.error("loop-pass-failed", error=error)
        else:
            watch.loop_trouble = ""
            again = effects.again
            for dispatch in effects.dispatches:
                parts.dispatcher.dispatch(dispatch)
        watch.passed_at_s = clock.boottime_s()
        parts.metrics.pass_ended(watch.passed_at_s - began_s, failed=bool(watch.loop_trouble))
        await waker.wait(0.01 if again else PASS_S)
