"""Tells subscribers what happened: each at its own pace, in the journal's order, at least once, with the same id.

Only the server that leads sends. A subscriber that is slow or gone holds up nobody but itself: its notice is tried
again later and later, and after a day its subscription is paused, which the lab's health says.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime, timedelta

from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, BadInput, Conflict, NotFound, Problem
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.subscription import (
    SubscriptionAdded,
    SubscriptionPaused,
    SubscriptionRemoved,
    SubscriptionResumed,
    Way,
)
from orchestrator.logs import Log
from orchestrator.mail import Mail, why_no_address
from orchestrator.pipeline.notify import EVENTS, FIRST_AGAIN_S, JournaledEvent, again_after_s, gives_up
from orchestrator.store import subscription_views
from orchestrator.store.store import Store, Superseded, head
from orchestrator.store.subscription_views import SubscriptionView
from orchestrator.webhook import Said, Webhooks, new_secret, target_of

Fence = Callable[[], AbstractContextManager[None]]
SUBSCRIPTIONS_MAX = 50
AT_ONCE_MAX = 8
LOOK_AGAIN_S = 30.0
"""Also without news: somebody else may have written to the database."""


class Notifiers:
    """Subscriptions, and what is sent for them."""

    def __init__(self, store: Store, clock: Clock, log: Log, webhooks: Webhooks, mail: Mail, server: str) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._webhooks = webhooks
        self._mail = mail
        self._server = server
        self._looked_to: dict[str, int] = {}
        self._not_before_s: dict[str, float] = {}
        self._woken: asyncio.Event | None = None
        self._running: asyncio.AbstractEventLoop | None = None

    # What people order

    def add(self, name: str, way: Way, target: str, events: Sequence[str], by: str) -> str:
        """Tell somebody from now on; gives the secret that signs webhooks, empty for email.

        Raises BadInput with everything that is wrong, Conflict for a name that is taken or too many.
        """
        problems = [
            Problem(path=f"events[{n}]", wrong=f"is {event!r}", expected="one of " + ", ".join(EVENTS))
            for n, event in enumerate(events)
            if event not in EVENTS
        ]
        wrong = self._why_not(way, target)
        if wrong:
            problems.append(Problem(path="target", wrong=wrong, expected=f"where a {way.value} can be sent to"))
        if problems:
            raise BadInput("this cannot be subscribed to", problems=tuple(problems))
        secret = new_secret(self._clock) if way is Way.WEBHOOK else ""
        wanted = tuple(sorted(set(events)))
        with self._store.deciding() as connection:
            if subscription_views.number(connection) >= SUBSCRIPTIONS_MAX:
                raise Conflict(f"there are {SUBSCRIPTIONS_MAX} subscriptions already; remove one")
            now = self._clock.now()
            added = SubscriptionAdded(
                subscription=name, way=way, target=target, events=wanted, secret=secret, by=by, at=now
            )
            self._store.commit([added])
        return secret

    def _why_not(self, way: Way, target: str) -> str:
        if way is Way.EMAIL:
            return why_no_address(target) or self._mail.why_not
        found = target_of(target)
        return found if isinstance(found, str) else ""

    def remove(self, name: str, by: str) -> None:
        """Tell this one nothing any more."""
        self._order(name, lambda at: SubscriptionRemoved(subscription=name, by=by, at=at))

    def resume(self, name: str, by: str) -> None:
        """Send what waited."""
        self._order(name, lambda at: SubscriptionResumed(subscription=name, by=by, at=at))

    def pause(self, name: str, reason: str, by: str) -> None:
        """Send nothing for now, and keep what comes."""
        self._order(name, lambda at: SubscriptionPaused(subscription=name, reason=reason, by=by, at=at))

    def _order(self, name: str, fact: Callable[[datetime], Fact]) -> None:
        with self._store.deciding():
            self._view(name)
            self._store.commit([fact(self._clock.now())])

    def _view(self, name: str) -> SubscriptionView:
        with self._store.reading() as connection:
            found = subscription_views.subscription(connection, name)
        if found is None:
            raise NotFound(f"there is no subscription {name[:80]}")
        return found

    def try_out(self, name: str) -> Said:
        """Send a test notice now, whatever waits; nothing is counted."""
        view = self._view(name)
        now = self._clock.now().isoformat()
        event = JournaledEvent(seq=0, event="test", at=now, machine="subscription", entity=name, body={})
        return self._send(view, self._clock.new_id("test"), event)

    # What is sent

    def follow(self, facts: Sequence[Fact]) -> None:
        """Something was committed; called from any thread."""
        if self._woken is not None and self._running is not None and not self._running.is_closed():
            self._running.call_soon_threadsafe(self._woken.set)

    async def run(self, fence: Fence | None = None) -> None:
        """Send whatever is due, while this server leads; ``fence`` is what each count is written under."""
        self._running, self._woken = asyncio.get_running_loop(), asyncio.Event()
        sending: dict[str, asyncio.Future[None]] = {}
        with ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="assay-notices") as threads:
            try:
                while True:
                    self._woken.clear()
                    sending = {name: task for name, task in sending.items() if not task.done()}
                    wait_s = LOOK_AGAIN_S
                    with suppress(AssayError):
                        due, wait_s = await asyncio.to_thread(self._due, frozenset(sending))
                        for view, event in due[: AT_ONCE_MAX - len(sending)]:
                            task = self._running.run_in_executor(threads, self._deliver, view, event, fence)
                            task.add_done_callback(lambda _: self._woken.set() if self._woken else None)
                            sending[view.subscription] = task
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), wait_s)
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _due(self, busy: frozenset[str]) -> tuple[list[tuple[SubscriptionView, JournaledEvent]], float]:
        """What is to be sent now, and after how long to look again."""
        now = self._clock.now()
        found, wait_s = [], LOOK_AGAIN_S
        with self._store.reading() as connection:
            length = head(connection).length
            for view in subscription_views.live(connection):
                if view.subscription in busy:
                    continue
                held_s = self._not_before_s.get(view.subscription, 0.0) - self._clock.boottime_s()
                if held_s > 0:
                    wait_s = min(wait_s, held_s)
                    continue
                if view.next_try_at is not None and view.next_try_at > now:
                    wait_s = min(wait_s, (view.next_try_at - now).total_seconds())
                    continue
                after = self._looked_to.get(view.subscription, 0)
                event = subscription_views.next_event(connection, view, after=after)
                if event is not None:
                    found.append((view, event))
                else:
                    # What was looked through once for nothing is not looked through again with every commit.
                    self._looked_to[view.subscription] = length
        return found, max(0.05, wait_s)

    def _deliver(
        self,
        view: SubscriptionView,
        event: JournaledEvent,
        fence: Fence | None,
    ) -> None:
        """Try one notice, and write down what came of it."""
        said = self._send(view, f"{view.subscription}-{event.seq}", event)
        try:
            with fence() if fence else nullcontext():
                self._keep(view, event, said)
        except Superseded:
            return  # whoever leads now sends it again, under the same id
        except AssayError as error:
            # It may have arrived: without a pause it would be sent again and again for as long as nothing can be kept.
            self._not_before_s[view.subscription] = self._clock.boottime_s() + FIRST_AGAIN_S
            self._log.error("notice-not-counted", error=error, subscription=view.subscription)
            return
        tell = self._log.info if said.arrived else self._log.warning
        tell("notice", subscription=view.subscription, event=event.event, seq=event.seq, said=said.words)

    def _keep(self, view: SubscriptionView, event: JournaledEvent, said: Said) -> None:
        now = self._clock.now()
        with self._store.administering() as connection:
            if said.arrived:
                subscription_views.keep_delivered(connection, view.subscription, event.seq, now, said.words)
                return
            wait_s = again_after_s(view.tries + 1)
            again_at = now + timedelta(seconds=self._clock.uniform(wait_s / 2, wait_s))
            subscription_views.keep_failed(connection, view, now, again_at, said.words)
            subscription_views.pass_over(connection, view, head(connection).length)
        if said.gone or (view.failing_since is not None and gives_up(view.failing_since, now)):
            why = "it says that it is gone (410)" if said.gone else f"nothing arrived for a day: {said.words}"
            with suppress(Conflict, NotFound):
                self.pause(view.subscription, why[:120], "assay")

    def _send(self, view: SubscriptionView, delivery: str, event: JournaledEvent) -> Said:
        notice = event.notice(self._server)
        if view.way is Way.WEBHOOK:
            body = json.dumps(notice, sort_keys=True).encode()
            return self._webhooks.send(view.target, view.secret, delivery, body)
        link = notice["data"].get("link", self._server)
        text = f"{event.in_words()}\n\nat {event.at}\n{link}\n\nYou get this by the subscription {view.subscription}.\n"
        return self._mail.send(view.target, delivery, f"Assay: {event.in_words()}", text)
