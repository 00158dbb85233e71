"""What an agent says to the orchestrator next: heartbeats, renewals, reports. Sans-IO: no network, no disk, no waiting.

``step(now_s, inbox)`` takes what was seen and what was answered, and gives what is to be done. Three kinds of channel,
each with at most one request on its way: the heartbeat, the renewals of all living runs, and the reports of each run,
in their order. A request that fails is repeated after a back-off with jitter; the orchestrator drops what it has
already. Evidence goes up when the orchestrator says that it misses it, before the reports that name it go again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    Observed,
    RunDelivered,
    RunHeld,
    RunOver,
    Send,
    Spooled,
    Trouble,
    Upload,
)
from lab_inventory.clock import Clock
from lab_inventory.messages import (
    Heartbeat,
    HeartbeatReply,
    Renewal,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    Standing,
)

BACK_OFF_FIRST_S = 0.25
BACK_OFF_MAX_S = 5.0
REFUSED_AGAIN_S = 20.0
HEARTBEAT_GAP_S = 0.25
RENEWALS_MAX = 256
HEARTBEAT = "heartbeat"
RENEWALS = "renewals"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One line of talk: the request on its way, if any, and when the next may go."""

    ticket: int | None = None
    failures: int = 0
    due_at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Lease:
    renewal: Renewal
    ttl_s: float


@dataclass
class _Delivery:
    """What is known of a run's reports; ``sent`` is what the request on its way carries, ``uploaded`` the evidence that
    went up since reports were last taken.
    """

    spooled: Spooled
    sent: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    uploaded: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do now, and when to come back at the latest though nothing was seen."""

    effects: tuple[Effect, ...]
    wake_at_s: float


@dataclass
class Uplink:
    """The state of the talk with the orchestrator. ``clock`` is asked for jitter only."""

    clock: Clock
    renewal_s: float
    heartbeat_s: float
    _heartbeat: Heartbeat | None = None
    _told: Heartbeat | None = None
    _told_at_s: float = float("-inf")
    _leases: dict[str, _Lease] = field(default_factory=dict)
    _deliveries: dict[str, _Delivery] = field(default_factory=dict)
    _channels: dict[str, Channel] = field(default_factory=dict)
    _requests: dict[int, tuple[str, float]] = field(default_factory=dict)
    _tickets: int = 0
    _link: Link = Link.UNKNOWN

    def step(self, now_s: float, inbox: Sequence[Event]) -> Step:
        """Take what came, give what is to be done. ``now_s`` is CLOCK_BOOTTIME."""
        effects: list[Effect] = []
        for event in inbox:
            effects += self._take(event, now_s)
        effects += self._speak(now_s)
        waiting = [channel.due_at_s for name, channel in self._channels.items() if self._wants(name)]
        return Step(effects=tuple(effects), wake_at_s=min(waiting, default=now_s + self.heartbeat_s))

    def _take(self, event: Event, now_s: float) -> list[Effect]:
        match event:
            case Observed(heartbeat=heartbeat):
                self._heartbeat = heartbeat
                if self._has_news():
                    self._hurry(HEARTBEAT, self._told_at_s + HEARTBEAT_GAP_S)
            case RunHeld(run=run, epochs=epochs, ttl_s=ttl_s):
                self._leases[run] = _Lease(renewal=Renewal(run=run, epochs=epochs), ttl_s=ttl_s)
                self._hurry(RENEWALS, now_s)
            case RunOver(run=run):
                self._leases.pop(run, None)
            case RunDelivered(run=run):
                self._leases.pop(run, None)
                self._deliveries.pop(run, None)
                self._channels.pop(run, None)
            case Spooled(run=run):
                delivery = self._deliveries.setdefault(run, _Delivery(spooled=event))
                delivery.spooled = event
                self._channels.setdefault(run, Channel(due_at_s=now_s))
            case Answered(ticket=ticket):
                return self._answered(ticket, event, now_s)
            case Failed(ticket=ticket):
                return self._failed(ticket, event, now_s)
        return []

    # What is due

    def _wants(self, name: str) -> bool:
        """Whether a channel has anything to say, and nothing on its way."""
        if self._channels[name].ticket is not None:
            return False
        if name == HEARTBEAT:
            return self._heartbeat is not None
        if name == RENEWALS:
            return bool(self._leases)
        return bool(self._deliveries[name].spooled.reports)

    def _has_news(self) -> bool:
        """Whether the host has changed since the orchestrator was told."""
        heartbeat, told = self._heartbeat, self._told
        return heartbeat is not None and (told is None or _gist(heartbeat) != _gist(told))

    def _speak(self, now_s: float) -> list[Effect]:
        return [
            self._say(name, now_s)
            for name, channel in sorted(self._channels.items())
            if self._wants(name) and channel.due_at_s <= now_s
        ]

    def _say(self, name: str, now_s: float) -> Effect:
        self._tickets += 1
        ticket = self._tickets
        self._requests[ticket] = (name, now_s)
        self._channels[name] = replace(self._channels[name], ticket=ticket)
        if name == HEARTBEAT and self._heartbeat is not None:
            self._told, self._told_at_s = self._heartbeat, now_s
            return Send(ticket=ticket, message=self._heartbeat)
        if name == RENEWALS:
            renewals = [lease.renewal for _, lease in sorted(self._leases.items())][:RENEWALS_MAX]
            return Send(ticket=ticket, message=RenewRequest(renewals=tuple(renewals)))
        delivery = self._deliveries[name]
        if delivery.missing:
            return Upload(ticket=ticket, run=name, digest=delivery.missing[0])
        spooled = delivery.spooled
        delivery.sent = tuple(report.seq for report in spooled.reports)
        return Send(ticket=ticket, message=ReportBatch(run=name, epochs=spooled.epochs, reports=spooled.reports))

    def _hurry(self, name: str, due_at_s: float) -> None:
        """Have a channel speak soon, unless it waits because it failed."""
        channel = self._channels.get(name)
        if channel is None:
            self._channels[name] = Channel(due_at_s=due_at_s)
        elif channel.failures == 0:
            self._channels[name] = replace(channel, due_at_s=min(channel.due_at_s, due_at_s))

    # What was answered

    def _answered(self, ticket: int, event: Answered, now_s: float) -> list[Effect]:
        request = self._requests.pop(ticket, None)
        if request is None or request[0] not in self._channels:
            return []
        name, sent_at_s = request
        effects = self._link_is(Link.UP, "")
        match event.reply:
            case HeartbeatReply(next_s=next_s, host=host):
                gap_s = HEARTBEAT_GAP_S if self._has_news() else max(next_s, HEARTBEAT_GAP_S)
                self._channels[name] = Channel(due_at_s=sent_at_s + gap_s)
                effects.append(BenchTold(host=host))
            case RenewReply() as reply:
                self._channels[name] = Channel(due_at_s=max(now_s, sent_at_s + self._renewal_gap_s()))
                effects += self._leases_answered(reply, sent_at_s)
            case ReportReply() as reply:
                effects += self._reports_answered(name, reply, now_s)
            case None:
                delivery = self._deliveries[name]
                delivery.uploaded |= {delivery.missing[0]}
                delivery.missing = delivery.missing[1:]
                self._channels[name] = replace(self._channels[name], ticket=None, due_at_s=now_s)
        return effects

    def _renewal_gap_s(self) -> float:
        """Often enough that an order to stop comes soon, and that several answers may be lost before the run stops."""
        return min([self.renewal_s, *(lease.ttl_s / 6 for lease in self._leases.values())])

    def _leases_answered(self, reply: RenewReply, sent_at_s: float) -> list[Effect]:
        effects: list[Effect] = []
        for answer in reply.leases:
            if answer.run not in self._leases:
                continue
            if answer.standing is not Standing.RENEWED:
                del self._leases[answer.run]
            elif answer.ttl_s > 0:
                self._leases[answer.run] = replace(self._leases[answer.run], ttl_s=answer.ttl_s)
            effects.append(LeaseAnswered(lease=answer, sent_at_s=sent_at_s))
        return effects

    def _reports_answered(self, run: str, reply: ReportReply, now_s: float) -> list[Effect]:
        """All that is told as received is done with; the rest goes again, after its evidence."""
        delivery = self._deliveries[run]
        received = {report.seq for report in reply.received}
        first = delivery.sent[0]
        done = first - 1
        while done + 1 in received:
            done += 1
        if done < first and reply.next_seq < first and not reply.missing_evidence:
            # It asks for reports from before those it acknowledged: it was restored from a backup.
            done = reply.next_seq - 1
        delivery.missing = tuple(dict.fromkeys(reply.missing_evidence))
        if done == first - 1 and delivery.uploaded.issuperset(delivery.missing):
            # Nothing came of it, and there is nothing new to send.
            self._back_off(run, now_s, BACK_OFF_MAX_S)
            return []
        if done != first - 1:
            delivery.uploaded = frozenset()
        self._channels[run] = Channel(due_at_s=now_s)
        left = tuple(report for report in delivery.spooled.reports if report.seq > done)
        delivery.spooled = replace(delivery.spooled, reports=() if done < first - 1 else left)
        return [Acknowledge(run=run, up_to=done)] if done != first - 1 else []

    # What failed

    def _failed(self, ticket: int, event: Failed, now_s: float) -> list[Effect]:
        request = self._requests.pop(ticket, None)
        if request is None or request[0] not in self._channels:
            return []
        name, _ = request
        most_s = BACK_OFF_MAX_S if event.trouble is Trouble.UNREACHABLE else REFUSED_AGAIN_S
        if name == RENEWALS:
            most_s = min([most_s, *(lease.ttl_s / 6 for lease in self._leases.values())])
        self._back_off(name, now_s, most_s)
        if event.trouble is Trouble.UNREACHABLE:
            return self._link_is(Link.DOWN, event.detail)
        if event.trouble is Trouble.REFUSED:
            return self._link_is(Link.REFUSED, event.detail)
        return []

    def _back_off(self, name: str, now_s: float, most_s: float) -> None:
        """Wait twice as long after each failure, up to ``most_s``; the jitter keeps agents from coming all at once."""
        failures = min(self._channels[name].failures + 1, 16)
        first_s = most_s if most_s > BACK_OFF_MAX_S else BACK_OFF_FIRST_S
        wait_s = min(most_s, first_s * 2 ** (failures - 1)) * self.clock.uniform(0.5, 1.0)
        self._channels[name] = Channel(failures=failures, due_at_s=now_s + wait_s)

    def _link_is(self, link: Link, detail: str) -> list[Effect]:
        if link is self._link:
            return []
        self._link = link
        return [LinkChanged(link=link, detail=detail)]


def _gist(heartbeat: Heartbeat) -> Heartbeat:
    """The heartbeat without the times of its sightings, which change though nothing else does."""
    devices = tuple(device.model_copy(update={"seen_at": None}) for device in heartbeat.devices)
    return heartbeat.model_copy(update={"devices": devices})
