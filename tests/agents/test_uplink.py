"""The uplink against an orchestrator behind a network that loses, repeats and reorders."""

from collections.abc import Sequence

from agent_nouns import host, registration
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.uplink import BACK_OFF_MAX_S, REFUSED_AGAIN_S, Uplink
from agents.uplink_events import (
    Acknowledge,
    Answered,
    Effect,
    Event,
    Failed,
    LeaseAnswered,
    Link,
    LinkChanged,
    Observed,
    RunHeld,
    RunOver,
    Send,
    Spooled,
    Trouble,
    Upload,
)
from lab_inventory.clock import ManualClock
from lab_inventory.device import Registration
from lab_inventory.measurement import Evidence
from lab_inventory.messages import (
    CaseEnded,
    CaseStarted,
    CaseStatus,
    Heartbeat,
    HeartbeatReply,
    ReceivedReport,
    Reception,
    RenewedLease,
    RenewReply,
    RenewRequest,
    ReportBatch,
    ReportReply,
    RunReport,
    Standing,
)

EPOCHS = {"device:d": 1}
DIGEST = "sha256:" + "a" * 64


def new_uplink(clock: ManualClock) -> Uplink:
    return Uplink(clock=clock, renewal_s=2.0, heartbeat_s=2.0)


def report(seq: int, digest: str | None = None) -> RunReport:
    at = ManualClock().now()
    if digest is None:
        return RunReport(seq=seq, at=at, body=CaseStarted(case="case-1", repeat=seq))
    evidence = (Evidence(digest=digest, name="trace", media_type="text/plain", size_bytes=1),)
    ended = CaseEnded(case="case-1", repeat=seq, status=CaseStatus.MEASURED, evidence=evidence, duration_s=1)
    return RunReport(seq=seq, at=at, body=ended)


def spooled(*reports: RunReport, run: str = "run-1") -> Spooled:
    return Spooled(run=run, epochs=EPOCHS, reports=reports)


def heartbeat(*devices: Registration) -> Heartbeat:
    return Heartbeat(agent_version="1", boot="boot-1", inbox="/inbox", devices=devices)


def sends(effects: Sequence[Effect], kind: type) -> list[Send]:
    return [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, kind)]


def recorded(*seqs: int) -> tuple[ReceivedReport, ...]:
    return tuple(ReceivedReport(seq=seq, reception=Reception.RECORDED) for seq in seqs)


class FarSide:
    """Records as the orchestrator does: in sequence, once, and nothing whose evidence it misses."""

    def __init__(self) -> None:
        self.kept: list[RunReport] = []
        self.applied = 0
        self.artifacts: set[str] = set()

    def take(self, effect: Send | Upload) -> HeartbeatReply | RenewReply | ReportReply | None:
        if isinstance(effect, Upload):
            self.artifacts.add(effect.digest)
            return None
        message = effect.message
        if isinstance(message, Heartbeat):
            return HeartbeatReply(next_s=1.0, host=host())
        if isinstance(message, RenewRequest):
            leases = [RenewedLease(run=one.run, standing=Standing.RENEWED, ttl_s=60) for one in message.renewals]
            return RenewReply(leases=tuple(leases))
        received, missing = [], []
        for one in message.reports:
            missing += [e.digest for e in getattr(one.body, "evidence", ()) if e.digest not in self.artifacts]
            if missing:
                break
            if one.seq <= len(self.kept):
                assert self.kept[one.seq - 1] == one
            elif one.seq == len(self.kept) + 1:
                self.kept.append(one)
                self.applied += 1
            else:
                continue
            received.append(ReceivedReport(seq=one.seq, reception=Reception.RECORDED))
        return ReportReply(received=tuple(received), missing_evidence=tuple(missing), next_seq=len(self.kept) + 1)


class NearSide:
    """The agent's disk and the network in between, with a delay for each message drawn by the test."""

    def __init__(self, reports: list[RunReport]) -> None:
        self.clock = ManualClock(seed=1)
        self.uplink = new_uplink(self.clock)
        self.far = FarSide()
        self.reports = reports
        self.written = 0
        self.acknowledged = 0
        self.late: list[Send | Upload] = []
        self.sent_batches: list[tuple[int, ...]] = []

    def spool_event(self) -> Spooled:
        return spooled(*self.reports[self.acknowledged : self.written])

    def turn(self, fate: str) -> None:
        """One pass in which every request meets the same fate."""
        self.written = min(len(self.reports), self.written + 1)
        inbox: list[Event] = [self.spool_event(), Observed(heartbeat=heartbeat())]
        while inbox:
            effects = self.uplink.step(self.clock.boottime_s(), inbox).effects
            inbox = []
            for effect in effects:
                if isinstance(effect, Acknowledge):
                    self.acknowledged = effect.up_to
                    inbox.append(self.spool_event())
                elif isinstance(effect, Send | Upload):
                    inbox.append(self.meet(fate, effect))
        self.clock.advance(BACK_OFF_MAX_S + 0.1)

    def meet(self, fate: str, effect: Send | Upload) -> Event:
        if isinstance(effect, Send) and isinstance(effect.message, ReportBatch):
            self.sent_batches.append(tuple(one.seq for one in effect.message.reports))
        lost = Failed(ticket=effect.ticket, trouble=Trouble.UNREACHABLE, detail="timeout")
        if fate == "lost":
            return lost
        if fate == "delayed":
            self.late.append(effect)
            return lost
        if fate == "answer-lost":
            self.far.take(effect)
            return lost
        if fate == "doubled":
            self.far.take(effect)
        if fate == "overtaken":
            for old in reversed(self.late):
                self.far.take(old)
        return Answered(ticket=effect.ticket, reply=self.far.take(effect))


FATES = st.sampled_from(["lost", "answer-lost", "delayed", "doubled", "overtaken", "fine"])


@settings(max_examples=150, deadline=None)
@given(fates=st.lists(FATES, max_size=40), count=st.integers(1, 12), with_evidence=st.sets(st.integers(1, 12)))
def test_every_report_arrives_once_in_effect_and_in_order_whatever_the_network_does(
    fates: list[str], count: int, with_evidence: set[int]
) -> None:
    digests = {seq: f"sha256:{seq:064x}" for seq in with_evidence}
    reports = [report(seq, digests.get(seq)) for seq in range(1, count + 1)]
    near = NearSide(reports)
    for fate in fates:
        near.turn(fate)
        assert near.acknowledged <= len(near.far.kept)
        assert near.far.kept == reports[: len(near.far.kept)]
    for _ in range(count + 3):
        near.turn("fine")
    assert near.far.kept == reports
    assert near.far.applied == count
    assert near.acknowledged == count
    assert all(batch == tuple(range(batch[0], batch[0] + len(batch))) for batch in near.sent_batches)


def test_evidence_goes_up_before_the_reports_that_name_it_go_again() -> None:
    uplink = new_uplink(ManualClock())
    first = uplink.step(0.0, [spooled(report(1, DIGEST))]).effects[0]
    assert isinstance(first, Send)
    missing = ReportReply(received=(), missing_evidence=(DIGEST,), next_seq=1)
    upload = uplink.step(0.1, [Answered(ticket=first.ticket, reply=missing)]).effects[-1]
    assert isinstance(upload, Upload)
    assert (upload.run, upload.digest) == ("run-1", DIGEST)
    again = uplink.step(0.2, [Answered(ticket=upload.ticket, reply=None)]).effects[-1]
    assert isinstance(again, Send)
    assert isinstance(again.message, ReportBatch)


def test_an_orchestrator_that_misses_what_it_was_given_is_not_flooded_with_it() -> None:
    uplink = new_uplink(ManualClock())
    step = uplink.step(0.0, [spooled(report(1, DIGEST))])
    missing = ReportReply(received=(), missing_evidence=(DIGEST,), next_seq=1)
    requests = 0
    while step.effects and requests < 10:
        [effect] = [one for one in step.effects if isinstance(one, Send | Upload)]
        requests += 1
        reply = missing if isinstance(effect, Send) else None
        step = uplink.step(0.1, [Answered(ticket=effect.ticket, reply=reply)])
    assert requests == 3
    assert step.wake_at_s > 0.1


def test_quarantined_reports_are_done_with_though_the_sequence_does_not_advance() -> None:
    uplink = new_uplink(ManualClock())
    first = uplink.step(0.0, [spooled(report(1), report(2))]).effects[0]
    assert isinstance(first, Send)
    quarantined = tuple(ReceivedReport(seq=seq, reception=Reception.QUARANTINED) for seq in (1, 2))
    reply = ReportReply(received=quarantined, next_seq=1)
    assert Acknowledge(run="run-1", up_to=2) in uplink.step(0.1, [Answered(ticket=first.ticket, reply=reply)]).effects


def test_an_orchestrator_that_lost_reports_is_given_them_again() -> None:
    uplink = new_uplink(ManualClock())
    first = uplink.step(0.0, [spooled(report(5))]).effects[0]
    assert isinstance(first, Send)
    reply = ReportReply(received=(), next_seq=3)
    assert Acknowledge(run="run-1", up_to=2) in uplink.step(0.1, [Answered(ticket=first.ticket, reply=reply)]).effects


def test_a_reply_that_brings_nothing_on_is_not_asked_for_again_at_once() -> None:
    uplink = new_uplink(ManualClock())
    first = uplink.step(0.0, [spooled(report(1))]).effects[0]
    assert isinstance(first, Send)
    step = uplink.step(0.1, [Answered(ticket=first.ticket, reply=ReportReply(received=(), next_seq=1))])
    assert sends(step.effects, ReportBatch) == []
    assert step.wake_at_s > 0.1


def test_one_run_that_is_rejected_keeps_no_other_back() -> None:
    uplink = new_uplink(ManualClock())
    effects = uplink.step(0.0, [spooled(report(1), run="bad"), spooled(report(1), run="good")]).effects
    bad, good = sends(effects, ReportBatch)
    rejected = Failed(ticket=bad.ticket, trouble=Trouble.REJECTED, detail="there is no run bad")
    fine = Answered(ticket=good.ticket, reply=ReportReply(received=recorded(1), next_seq=2))
    later = uplink.step(1.0, [rejected, fine, spooled(report(2), run="good")]).effects
    assert [send.message.run for send in sends(later, ReportBatch) if isinstance(send.message, ReportBatch)] == ["good"]


def test_back_off_grows_to_its_bound_and_never_beyond() -> None:
    uplink = new_uplink(ManualClock())
    now_s, waits = 0.0, []
    step = uplink.step(now_s, [spooled(report(1))])
    for _ in range(12):
        ticket = sends(step.effects, ReportBatch)[0].ticket
        failed = Failed(ticket=ticket, trouble=Trouble.UNREACHABLE, detail="no route")
        waits.append(uplink.step(now_s, [failed]).wake_at_s - now_s)
        now_s += waits[-1]
        step = uplink.step(now_s, [])
    assert waits[0] < 0.3
    assert all(wait <= BACK_OFF_MAX_S for wait in waits)
    assert waits[-1] >= BACK_OFF_MAX_S / 2


def test_a_refused_credential_is_told_once_and_tried_again_slowly() -> None:
    uplink = new_uplink(ManualClock())
    first = sends(uplink.step(0.0, [Observed(heartbeat=heartbeat())]).effects, Heartbeat)[0]
    refused = Failed(ticket=first.ticket, trouble=Trouble.REFUSED, detail="revoked")
    step = uplink.step(0.1, [refused])
    assert step.effects == (LinkChanged(link=Link.REFUSED, detail="revoked"),)
    assert REFUSED_AGAIN_S / 2 <= step.wake_at_s - 0.1 <= REFUSED_AGAIN_S
    again = sends(uplink.step(step.wake_at_s, []).effects, Heartbeat)[0]
    assert uplink.step(30.0, [Failed(ticket=again.ticket, trouble=Trouble.REFUSED, detail="revoked")]).effects == ()


def test_leases_are_renewed_in_one_request_and_the_answer_counts_from_its_sending() -> None:
    uplink = new_uplink(ManualClock())
    held: list[Event] = [RunHeld(run=run, epochs=EPOCHS, ttl_s=60.0) for run in ("run-1", "run-2")]
    request = sends(uplink.step(5.0, held).effects, RenewRequest)[0]
    assert isinstance(request.message, RenewRequest)
    assert [renewal.run for renewal in request.message.renewals] == ["run-1", "run-2"]
    leases = tuple(RenewedLease(run=run, standing=Standing.RENEWED, ttl_s=60) for run in ("run-1", "run-2"))
    effects = uplink.step(6.5, [Answered(ticket=request.ticket, reply=RenewReply(leases=leases))]).effects
    assert [effect.sent_at_s for effect in effects if isinstance(effect, LeaseAnswered)] == [5.0, 5.0]
    assert sends(uplink.step(7.0, []).effects, RenewRequest)


def test_a_run_that_was_told_to_stop_or_is_over_is_no_longer_renewed() -> None:
    uplink = new_uplink(ManualClock())
    held: list[Event] = [RunHeld(run=run, epochs=EPOCHS, ttl_s=60.0) for run in ("run-1", "run-2")]
    request = sends(uplink.step(0.0, held).effects, RenewRequest)[0]
    leases = (RenewedLease(run="run-1", standing=Standing.CANCELLED, ttl_s=0, reason="by an operator"),)
    uplink.step(0.1, [Answered(ticket=request.ticket, reply=RenewReply(leases=leases)), RunOver(run="run-2")])
    assert sends(uplink.step(100.0, []).effects, RenewRequest) == []


def test_a_short_lease_is_renewed_several_times_before_its_run_would_stop() -> None:
    uplink = new_uplink(ManualClock())
    uplink.renewal_s = 20.0
    now_s, requests, ttl_s = 0.0, 0, 6.0
    step = uplink.step(now_s, [RunHeld(run="run-1", epochs=EPOCHS, ttl_s=ttl_s)])
    while now_s < ttl_s * 2 / 3:
        inbox: list[Event] = []
        for send in sends(step.effects, RenewRequest):
            requests += 1
            inbox.append(Failed(ticket=send.ticket, trouble=Trouble.REFUSED, detail="not now"))
        now_s = max(now_s + 0.01, uplink.step(now_s, inbox).wake_at_s)
        step = uplink.step(now_s, [])
    assert requests >= 4


def test_a_change_on_the_host_is_told_soon_and_no_change_only_when_asked_for() -> None:
    uplink = new_uplink(ManualClock())
    first = sends(uplink.step(0.0, [Observed(heartbeat=heartbeat())]).effects, Heartbeat)[0]
    uplink.step(0.1, [Answered(ticket=first.ticket, reply=HeartbeatReply(next_s=30, host=host()))])
    assert sends(uplink.step(1.0, [Observed(heartbeat=heartbeat())]).effects, Heartbeat) == []
    changed = sends(uplink.step(1.1, [Observed(heartbeat=heartbeat(registration()))]).effects, Heartbeat)
    assert len(changed) == 1
    uplink.step(1.2, [Answered(ticket=changed[0].ticket, reply=HeartbeatReply(next_s=30, host=host()))])
    seen_again = registration().model_copy(update={"seen_at": ManualClock().now()})
    assert sends(uplink.step(2.0, [Observed(heartbeat=heartbeat(seen_again))]).effects, Heartbeat) == []
    assert len(sends(uplink.step(31.2, []).effects, Heartbeat)) == 1


def test_a_change_that_comes_while_a_heartbeat_is_on_its_way_is_told_after_it() -> None:
    uplink = new_uplink(ManualClock())
    first = sends(uplink.step(0.0, [Observed(heartbeat=heartbeat())]).effects, Heartbeat)[0]
    uplink.step(0.1, [Observed(heartbeat=heartbeat(registration()))])
    step = uplink.step(0.2, [Answered(ticket=first.ticket, reply=HeartbeatReply(next_s=30, host=host()))])
    assert step.wake_at_s < 1.0
    told = sends(uplink.step(step.wake_at_s, []).effects, Heartbeat)[0].message
    assert isinstance(told, Heartbeat)
    assert told.devices == (registration(),)
