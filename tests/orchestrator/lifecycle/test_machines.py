"""Every machine against a table written by hand: a pair of state and fact moves as the table says, or is refused."""

from collections.abc import Iterator
from typing import cast

import pytest

from lab_inventory.errors import Conflict
from orchestrator.authority import review
from orchestrator.lifecycle import (
    batch,
    certificate,
    control,
    device,
    host,
    lease,
    offering,
    person,
    prompt,
    quarantine,
    report,
    run,
    sample,
    signing_key,
    subscription,
    verdict,
    waiver,
)
from orchestrator.lifecycle.machine import Fact, Machine

GOLDEN = """
batch        -           BatchAccepted       open
batch        open        BatchHeld           held
batch        held        BatchReleased       open
batch        open        BatchCancelled      cancelled
batch        held        BatchCancelled      cancelled
batch        open        BatchCompleted      completed
batch        held        BatchCompleted      completed
submission   -           BatchAccepted       open
submission   open        SubmissionJudged    judged
submission   open        SubmissionCancelled cancelled
device       -           DeviceRegistered    in-service
device       in-service  DeviceChanged       in-service
device       held        DeviceChanged       held
device       in-service  DeviceHeld          held
device       held        DeviceReleased      in-service
host         -           HostDrained         drained
host         in-service  HostDrained         drained
host         drained     HostUndrained       in-service
lease        -           LeaseGranted        live
lease        live        LeaseReleased       released
lease        live        LeaseLapsed         lapsed
lease        live        LeaseRevoked        revoked
run          -           RunQueued           waiting
run          waiting     RunPlaced           placed
run          waiting     RunCancelled        cancelled
run          placed      RunTaken            taken
run          running     RunTaken            running
run          stopping    RunTaken            stopping
run          placed      RunStarted          running
run          taken       RunStarted          running
run          stopping    RunStarted          stopping
run          placed      RunCompleted        completed
run          taken       RunCompleted        completed
run          running     RunCompleted        completed
run          placed      RunErrored          error
run          taken       RunErrored          error
run          running     RunErrored          error
run          placed      RunLapsed           lapsed
run          taken       RunLapsed           lapsed
run          running     RunLapsed           lapsed
run          placed      RunStopRequested    stopping
run          taken       RunStopRequested    stopping
run          running     RunStopRequested    stopping
run          placed      RunCancelled        cancelled
run          taken       RunCancelled        cancelled
run          running     RunCancelled        cancelled
run          stopping    RunCancelled        cancelled
run          stopping    RunLapsed           cancelled
control      -           ControlMarked       marked
control      marked      ControlEnded        ended
control      ended       ControlMarked       marked
drift        -           DriftFound          open
drift        open        DriftExplained      explained
quarantine   -           Quarantined         quarantined
quarantine   ended       Quarantined         quarantined
quarantine   quarantined ProbationBegun      probation
quarantine   needs-person ProbationBegun     probation
quarantine   probation   ProbationFailed     quarantined
quarantine   quarantined RecoveryGivenUp     needs-person
quarantine   quarantined QuarantineEnded     ended
quarantine   probation   QuarantineEnded     ended
quarantine   needs-person QuarantineEnded    ended
certificate  -           CertificateGranted  granted
certificate  granted     CertificateSuspended suspended
certificate  -           CertificateProvisionallyGranted provisional
certificate  provisional CertificateConfirmed granted
certificate  provisional CertificateReduced  provisional
certificate  provisional CertificateExtended provisional
certificate  provisional CertificateExpired  expired
certificate  provisional CertificateWithdrawn withdrawn
certificate  provisional CertificateRevoked  revoked
certificate  suspended   CertificateReinstated granted
certificate  granted     CertificateReduced  granted
certificate  suspended   CertificateReduced  suspended
certificate  granted     CertificateExtended granted
certificate  suspended   CertificateExtended suspended
certificate  expired     CertificateExtended granted
certificate  granted     CertificateExpired  expired
certificate  granted     CertificateWithdrawn withdrawn
certificate  suspended   CertificateWithdrawn withdrawn
certificate  expired     CertificateWithdrawn withdrawn
certificate  granted     CertificateRevoked  revoked
certificate  suspended   CertificateRevoked  revoked
certificate  expired     CertificateRevoked  revoked
report       -           ReportIssued        issued
report       issued      ReportAmended       amended
programme    -           ProgrammeOffered    offered
programme    offered     ProgrammeWithdrawn  withdrawn
programme    withdrawn   ProgrammeOffered    offered
review       -           ReviewOpened        open
review       open        QuestionAsked       asked
review       answered    QuestionAsked       asked
review       recommended QuestionAsked       asked
review       asked       QuestionAnswered    answered
review       open        Recommended         recommended
review       answered    Recommended         recommended
review       open        Returned            returned
review       asked       Returned            returned
review       answered    Returned            returned
review       recommended Returned            returned
review       recommended ReviewDecided       decided
prompt       -           PromptOpened        open
prompt       open        PromptAnswered      answered
prompt       open        PromptAnsweredByOne unconfirmed
prompt       unconfirmed PromptConfirmed     confirmed
prompt       unconfirmed PromptDiffered      open
prompt       open        PromptAborted       aborted
prompt       unconfirmed PromptAborted       aborted
prompt       open        PromptLapsed        lapsed
prompt       unconfirmed PromptLapsed        lapsed
person       -           PersonAdded         active
person       active      RolesChanged        active
person       active      PasswordSet         active
person       active      PersonDisabled      disabled
person       disabled    PersonEnabled       active
token        -           TokenMade           live
token        live        TokenEnded          ended
sample       -           SampleAnnounced     announced
sample       announced   SampleReceived      received
sample       announced   SampleLost          lost
sample       announced   SampleLinked        announced
sample       lost        SampleReceived      received
sample       received    SampleStored        stored
sample       received    SampleBroughtToBench at-bench
sample       received    SampleReturned      returned
sample       received    SampleDisposed      disposed
sample       received    SampleLost          lost
sample       received    SampleLinked        received
sample       received    SampleUnitNamed     received
sample       stored      SampleStored        stored
sample       stored      SampleBroughtToBench at-bench
sample       stored      SampleReturned      returned
sample       stored      SampleDisposed      disposed
sample       stored      SampleLost          lost
sample       stored      SampleLinked        stored
sample       stored      SampleUnitNamed     stored
sample       at-bench    SampleStored        stored
sample       at-bench    SampleBroughtToBench at-bench
sample       at-bench    SampleReturned      returned
sample       at-bench    SampleDisposed      disposed
sample       at-bench    SampleLost          lost
sample       at-bench    SampleLinked        at-bench
sample       at-bench    SampleUnitNamed     at-bench
signing-key  -           SigningKeyIntroduced current
signing-key  current     SigningKeyRetired   retired
signing-key  retired     SigningKeyCompromised compromised
signing-key  compromised SigningKeyCompromised compromised
subscription -           SubscriptionAdded   live
subscription removed     SubscriptionAdded   live
subscription live        SubscriptionPaused  paused
subscription paused      SubscriptionResumed live
subscription live        SubscriptionRemoved removed
subscription paused      SubscriptionRemoved removed
waiver       -           WaiverProposed      proposed
waiver       proposed    WaiverApproved      approved
waiver       proposed    WaiverRefused       refused
waiver       proposed    WaiverLapsed        lapsed
waiver       approved    WaiverRevoked       revoked
waiver       approved    WaiverLapsed        lapsed
"""
MOVES = {
    (machine, None if state == "-" else state, fact): after
    for machine, state, fact, after in (line.split() for line in GOLDEN.strip().splitlines())
}
TERMINAL = {
    "batch": {"completed", "cancelled"},
    "submission": {"judged", "cancelled"},
    "device": set[str](),
    "host": set[str](),
    "lease": {"released", "lapsed", "revoked"},
    "run": {"completed", "error", "cancelled", "lapsed"},
    "control": set[str](),
    "drift": {"explained"},
    "quarantine": set[str](),
    "certificate": {"withdrawn", "revoked"},
    "report": {"amended"},
    "programme": set[str](),
    "review": {"returned", "decided"},
    "prompt": {"answered", "confirmed", "aborted", "lapsed"},
    "person": set[str](),
    "token": {"ended"},
    "subscription": set[str](),
    "sample": {"returned", "disposed"},
    "waiver": {"refused", "revoked", "lapsed"},
    "signing-key": set[str](),
}
MACHINES: dict[str, Machine] = {
    machine.name: machine
    for machine in (
        batch.MACHINE,
        batch.SUBMISSION_MACHINE,
        device.MACHINE,
        host.MACHINE,
        lease.MACHINE,
        run.MACHINE,
        control.MACHINE,
        control.DRIFT_MACHINE,
        quarantine.MACHINE,
        certificate.MACHINE,
        report.MACHINE,
        offering.MACHINE,
        review.MACHINE,
        prompt.MACHINE,
        person.MACHINE,
        person.TOKEN_MACHINE,
        subscription.MACHINE,
        sample.MACHINE,
        waiver.MACHINE,
        signing_key.MACHINE,
    )
}
STATES: dict[str, list[str | None]] = {
    "batch": [None, *batch.BatchState],
    "submission": [None, *batch.SubmissionState],
    "device": [None, "in-service", "held"],
    "host": [None, *host.HostIntent],
    "lease": [None, *lease.LeaseState],
    "run": [None, *run.RunState],
    "control": [None, *control.ControlState],
    "drift": [None, *control.DriftState],
    "quarantine": [None, *quarantine.QuarantineState],
    "certificate": [None, *certificate.CertificateState],
    "report": [None, *report.ReportState],
    "programme": [None, *offering.OfferingState],
    "review": [None, *review.ReviewState],
    "prompt": [None, *prompt.PromptState],
    "person": [None, *person.PersonState],
    "token": [None, *person.TokenState],
    "subscription": [None, *subscription.SubscriptionState],
    "sample": [None, *sample.SampleState],
    "waiver": [None, *waiver.WaiverState],
    "signing-key": [None, *signing_key.SigningKeyState],
}
MODULES = (
    batch,
    certificate,
    control,
    device,
    host,
    lease,
    offering,
    person,
    prompt,
    quarantine,
    report,
    review,
    run,
    sample,
    signing_key,
    subscription,
    verdict,
    waiver,
)
FACTS: dict[str, type[Fact]] = {
    name: of
    for module in MODULES
    for name, of in vars(module).items()
    if isinstance(of, type)
    and issubclass(of, Fact)
    and of not in (Fact, review.Entry, prompt.PromptEntry)
    and not name.startswith("_")
}


class _Named:
    """Answers for a fact of a class without its fields: a machine asks for no more than its class and entity."""

    entity = "thing-1"


def a(fact: type[Fact]) -> Fact:
    return cast(Fact, type(fact.__name__, (_Named,), {})())


def pairs() -> Iterator[tuple[str, str | None, str]]:
    for machine, states in STATES.items():
        for state in states:
            for fact in FACTS:
                yield machine, state, fact


def test_the_table_names_only_machines_states_and_facts_that_there_are() -> None:
    assert set(MOVES) <= set(pairs())
    assert set(MACHINES) == set(STATES)


@pytest.mark.parametrize("machine", STATES)
def test_each_pair_of_state_and_fact_moves_as_the_table_says_or_is_refused(machine: str) -> None:
    for name, state, fact in pairs():
        if name != machine:
            continue
        if (name, state, fact) in MOVES:
            assert MACHINES[name].next(state, a(FACTS[fact])) == MOVES[name, state, fact], (state, fact)
        else:
            with pytest.raises(Conflict, match=fact):
                MACHINES[name].next(state, a(FACTS[fact]))


@pytest.mark.parametrize("machine", STATES)
def test_nothing_moves_a_machine_out_of_a_terminal_state(machine: str) -> None:
    assert MACHINES[machine].terminal == TERMINAL[machine]
    assert not [state for name, state, _ in MOVES if name == machine and state in TERMINAL[machine]]


@pytest.mark.parametrize("machine", STATES)
def test_every_state_can_be_come_to(machine: str) -> None:
    reached: set[str | None] = {None}
    while True:
        more = {after for (name, state, _), after in MOVES.items() if name == machine and state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(STATES[machine])


def test_every_fact_that_claims_a_machine_moves_it() -> None:
    moved = {(machine, fact) for machine, _, fact in MOVES}
    assert {(of.machine, name) for name, of in FACTS.items() if of.machine} - moved == set()


def test_a_refusal_says_what_where_and_why() -> None:
    with pytest.raises(Conflict, match="run thing-1 is completed: RunStarted does not follow from that"):
        run.MACHINE.next("completed", a(run.RunStarted))
    with pytest.raises(Conflict, match="lease thing-1 is not yet there"):
        lease.MACHINE.next(None, a(lease.LeaseLapsed))
