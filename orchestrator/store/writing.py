"""How each fact is written into the tables. Called inside the store's transaction, after the machine said yes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from lab_inventory.canonical import digest, sha256
from lab_inventory.errors import Conflict, InvariantBroken
from lab_inventory.noun import Noun
from lab_inventory.programme import Purpose
from orchestrator.authority import review as rev
from orchestrator.envelope import signed_with
from orchestrator.lifecycle import batch as b
from orchestrator.lifecycle import certificate as c
from orchestrator.lifecycle import control as ctl
from orchestrator.lifecycle import device as d
from orchestrator.lifecycle import host as h
from orchestrator.lifecycle import lease as le
from orchestrator.lifecycle import offering as off
from orchestrator.lifecycle import person as p
from orchestrator.lifecycle import prompt as pr
from orchestrator.lifecycle import quarantine as q
from orchestrator.lifecycle import report as rep
from orchestrator.lifecycle import run as r
from orchestrator.lifecycle import sample as sm
from orchestrator.lifecycle import signing_key as sk
from orchestrator.lifecycle import subscription as sub
from orchestrator.lifecycle import verdict as v
from orchestrator.lifecycle import waiver as w
from orchestrator.lifecycle.certificate_moved import CertificateMoved
from orchestrator.lifecycle.machine import Fact
from orchestrator.store import key_views
from orchestrator.store import tables as t

Writer = Callable[[Connection, Any, str], None]


def write(connection: Connection, fact: Fact, state: str) -> None:
    """Write one fact; ``state`` is the state its entity has now, empty where it moves no machine."""
    _WRITERS[type(fact)](connection, fact, state)


def _device_registered(connection: Connection, fact: d.DeviceRegistered, state: str) -> None:
    values = _registration(fact)
    values |= {"device": fact.device, "intent": state, "presence": "present"}
    connection.execute(insert(t.devices).values(values))


def _device_changed(connection: Connection, fact: d.DeviceChanged, state: str) -> None:
    _update(connection, t.devices, fact.device, **_registration(fact))


def _registration(fact: d.DeviceRegistered | d.DeviceChanged) -> dict[str, Any]:
    registration = fact.registration
    return {
        "identity_kind": registration.identity.kind.value,
        "identity_value": registration.identity.value,
        "host": fact.host,
        "slot": registration.slot,
        "registration": registration.model_dump_json(),
        "changed_at": fact.at.isoformat(),
    }


def _presence(connection: Connection, fact: d.PresenceObserved, state: str) -> None:
    _update(
        connection,
        t.devices,
        fact.device,
        presence=fact.presence.value,
        presence_reason=fact.reason,
        changed_at=fact.at.isoformat(),
    )


def _device_intent(connection: Connection, fact: d.DeviceHeld | d.DeviceReleased, state: str) -> None:
    reason = fact.reason if isinstance(fact, d.DeviceHeld) else ""
    _update(connection, t.devices, fact.device, intent=state, intent_reason=reason)


def _host_intent(connection: Connection, fact: h.HostDrained | h.HostUndrained, state: str) -> None:
    reason = fact.reason if isinstance(fact, h.HostDrained) else ""
    values = {"intent": state, "reason": reason, "by": fact.by, "at": fact.at.isoformat()}
    known = connection.execute(update(t.host_intents).where(t.host_intents.c.host == fact.host).values(values))
    if known.rowcount == 0:
        connection.execute(insert(t.host_intents).values(host=fact.host, **values))


def _batch_accepted(connection: Connection, fact: b.BatchAccepted, state: str) -> None:
    bound = {accepted.content.bound_to(fact.programme_digest) for accepted in fact.submissions}
    wanted = bound | {fact.programme_digest}
    p = t.programmes.c
    kept = {
        row.digest: json.loads(row.body)
        for row in connection.execute(select(p.digest, p.body).where(p.digest.in_(sorted(wanted))))
    }
    if missing := wanted - kept.keys():
        raise InvariantBroken(f"programme {', '.join(sorted(missing))} is not kept")
    programme = kept[fact.programme_digest]
    connection.execute(
        insert(t.batches).values(
            batch=fact.batch,
            title=fact.title,
            priority=fact.priority,
            state=state,
            programme=fact.programme,
            programme_version=fact.programme_version,
            programme_digest=fact.programme_digest,
            purpose=programme.get("purpose", Purpose.CERTIFICATION.value),
            by=fact.by,
            at=fact.at.isoformat(),
        )
    )
    rows = [
        {
            "submission": accepted.submission,
            "batch": fact.batch,
            "place": place,
            "state": b.SubmissionState.OPEN.value,
            "content": accepted.content.model_dump_json(),
            "maker": accepted.content.product.maker,
            "model": accepted.content.product.model,
            "firmware": accepted.content.product.firmware,
            "hardware_revision": accepted.content.hardware_revision,
            "mode": accepted.content.mode,
            "category": kept[accepted.content.bound_to(fact.programme_digest)]["category"],
            "vendor": accepted.content.vendor,
            "unit": accepted.content.unit,
        }
        for place, accepted in enumerate(fact.submissions)
    ]
    connection.execute(insert(t.submissions), rows)


def _batch_moved(connection: Connection, fact: b.BatchHeld, state: str) -> None:
    _update(connection, t.batches, fact.batch, state=state, reason=fact.reason)


def _submission_cancelled(connection: Connection, fact: b.SubmissionCancelled, state: str) -> None:
    _update(connection, t.submissions, fact.submission, state=state)


def _submission_judged(connection: Connection, fact: v.SubmissionJudged, state: str) -> None:
    _update(connection, t.submissions, fact.submission, state=state, earned=fact.judgement.earned)
    connection.execute(
        insert(t.judgements).values(
            submission=fact.submission,
            digest=fact.digest,
            body=fact.judgement.model_dump_json(),
            at=fact.at.isoformat(),
        )
    )


def _run_queued(connection: Connection, fact: r.RunQueued, state: str) -> None:
    before = connection.execute(
        select(t.runs.c.device)
        .where(t.runs.c.submission == fact.submission, t.runs.c.suite == fact.suite)
        .order_by(t.runs.c.attempt.desc())
        .limit(1)
    ).scalar_one_or_none()
    connection.execute(
        insert(t.runs).values(
            run=fact.run,
            submission=fact.submission,
            batch=fact.batch,
            suite=fact.suite,
            attempt=fact.attempt,
            state=state,
            cases=json.dumps(fact.cases),
            duration_s=fact.duration_s,
            queued_at=fact.at.isoformat(),
            avoid_device=before,
            needs=_as_json(fact.needs),
        )
    )


def _run_placed(connection: Connection, fact: r.RunPlaced, state: str) -> None:
    _update(
        connection,
        t.runs,
        fact.run,
        state=state,
        lease=fact.lease,
        device=fact.device,
        host=fact.host,
        slot=fact.slot,
        registration=fact.registration.model_dump_json(),
        companions=_as_json(fact.companions),
        placed_at=fact.at.isoformat(),
    )


def _as_json(nouns: Sequence[Noun]) -> str | None:
    """A list as JSON; nothing where it is empty."""
    return json.dumps([noun.model_dump(mode="json") for noun in nouns]) if nouns else None


def _run_taken(connection: Connection, fact: r.RunTaken, state: str) -> None:
    _update(connection, t.runs, fact.run, state=state, ray_node=fact.ray_node, ray_actor=fact.ray_actor)


def _run_started(connection: Connection, fact: r.RunStarted, state: str) -> None:
    _update(connection, t.runs, fact.run, state=state, started_at=fact.at.isoformat())


def _run_stop_requested(connection: Connection, fact: r.RunStopRequested, state: str) -> None:
    _update(connection, t.runs, fact.run, state=state, reason=fact.reason)


def _run_completed(connection: Connection, fact: r.RunCompleted, state: str) -> None:
    ended = fact.at.isoformat()
    _update(connection, t.runs, fact.run, state=state, reports_digest=fact.reports_digest, ended_at=ended)


def _run_ended(connection: Connection, fact: r.RunErrored | r.RunCancelled, state: str) -> None:
    _update(connection, t.runs, fact.run, state=state, reason=fact.reason, ended_at=fact.at.isoformat())


def _run_lapsed(connection: Connection, fact: r.RunLapsed, state: str) -> None:
    reason = "its lease passed without a renewal"
    _update(connection, t.runs, fact.run, state=state, reason=reason, ended_at=fact.at.isoformat())


def _evidence(connection: Connection, fact: r.EvidenceRecorded, state: str) -> None:
    connection.execute(
        insert(t.reports).values(
            run=fact.run,
            seq=fact.report.seq,
            digest=fact.digest,
            kind=fact.report.body.kind,
            body=fact.report.model_dump_json(),
            at=fact.at.isoformat(),
        )
    )


def _quarantined(connection: Connection, fact: r.ReportQuarantined, state: str) -> None:
    known = select(t.quarantined_reports.c.run).where(
        t.quarantined_reports.c.run == fact.run, t.quarantined_reports.c.digest == fact.digest
    )
    if connection.execute(known).first() is not None:
        return
    connection.execute(
        insert(t.quarantined_reports).values(
            run=fact.run,
            digest=fact.digest,
            seq=fact.report.seq,
            body=fact.report.model_dump_json(),
            reason=fact.reason,
            at=fact.at.isoformat(),
        )
    )


def _lease_granted(connection: Connection, fact: le.LeaseGranted, state: str) -> None:
    """All resources or none: each must be free and its epoch the one after the last."""
    connection.execute(
        insert(t.leases).values(
            lease=fact.lease,
            run=fact.run,
            host=fact.host,
            state=state,
            epochs=json.dumps(fact.epochs, sort_keys=True),
            ttl_s=fact.ttl_s,
            deadline_s=fact.deadline_s,
            granted_at=fact.at.isoformat(),
        )
    )
    for resource, epoch in sorted(fact.epochs.items()):
        last = connection.execute(
            select(t.resources.c.epoch).where(t.resources.c.resource == resource)
        ).scalar_one_or_none()
        if epoch != (last or 0) + 1:
            raise Conflict(f"{resource} is at epoch {last or 0}; {epoch} does not follow")
        if last is None:
            connection.execute(insert(t.resources).values(resource=resource, epoch=epoch))
        else:
            connection.execute(update(t.resources).where(t.resources.c.resource == resource).values(epoch=epoch))
        try:
            connection.execute(insert(t.held_resources).values(resource=resource, lease=fact.lease))
        except IntegrityError as error:
            raise Conflict(f"{resource} is held by another lease") from error


def _lease_ended(connection: Connection, fact: le.LeaseReleased | le.LeaseLapsed | le.LeaseRevoked, state: str) -> None:
    reason = fact.reason if isinstance(fact, le.LeaseRevoked) else ""
    _update(connection, t.leases, fact.lease, state=state, reason=reason, ended_at=fact.at.isoformat())
    connection.execute(delete(t.held_resources).where(t.held_resources.c.lease == fact.lease))


def _quarantined_resource(connection: Connection, fact: q.Quarantined, state: str) -> None:
    connection.execute(delete(t.quarantines).where(t.quarantines.c.resource == fact.resource))
    connection.execute(
        insert(t.quarantines).values(
            resource=fact.resource, state=state, reason=fact.reason, since=fact.at.isoformat(), attempts=0
        )
    )


def _control(connection: Connection, fact: ctl.ControlMarked | ctl.ControlEnded, state: str) -> None:
    reason = fact.reason if isinstance(fact, ctl.ControlMarked) else ""
    values = {"state": state, "reason": reason, "by": fact.by, "at": fact.at.isoformat()}
    known = connection.execute(update(t.controls).where(t.controls.c.device == fact.device).values(values))
    if known.rowcount == 0:
        connection.execute(insert(t.controls).values(device=fact.device, **values))


def _drift_found(connection: Connection, fact: ctl.DriftFound, state: str) -> None:
    connection.execute(
        insert(t.drifts).values(
            drift=fact.drift,
            state=state,
            bench=fact.bench,
            chart=fact.chart,
            run=fact.run,
            words=fact.words,
            found_at=fact.at.isoformat(),
        )
    )


def _drift_explained(connection: Connection, fact: ctl.DriftExplained, state: str) -> None:
    _update(
        connection,
        t.drifts,
        fact.drift,
        state=state,
        explanation=fact.words,
        explanation_digest=sha256(fact.words.encode()),
        explained_by=fact.by,
        explained_at=fact.at.isoformat(),
        anew=int(fact.anew),
    )


def _probation_begun(connection: Connection, fact: q.ProbationBegun, state: str) -> None:
    _update(connection, t.quarantines, fact.resource, state=state, batch=fact.batch, attempts=fact.attempt)


def _probation_failed(connection: Connection, fact: q.ProbationFailed, state: str) -> None:
    _update(connection, t.quarantines, fact.resource, state=state, reason=fact.reason)


def _recovery_given_up(connection: Connection, fact: q.RecoveryGivenUp, state: str) -> None:
    _update(connection, t.quarantines, fact.resource, state=state)


def _quarantine_ended(connection: Connection, fact: q.QuarantineEnded, state: str) -> None:
    ended_at = fact.at.isoformat()
    _update(connection, t.quarantines, fact.resource, state=state, reason=fact.reason, ended_at=ended_at)


def _decision(connection: Connection, fact: c.DecisionMade, state: str) -> None:
    connection.execute(
        insert(t.decisions).values(
            decision=fact.decision,
            submission=fact.submission,
            body=fact.model_dump_json(),
            at=fact.at.isoformat(),
        )
    )


def _review_opened(connection: Connection, fact: rev.ReviewOpened, state: str) -> None:
    at = fact.at.isoformat()
    connection.execute(
        insert(t.reviews).values(
            submission=fact.submission,
            state=state,
            judgement_digest=fact.judgement_digest,
            opened_at=at,
            changed_at=at,
        )
    )


def _review_entry(connection: Connection, fact: rev.Entry, state: str) -> None:
    entries = t.review_entries.c
    said = select(func.count()).select_from(t.review_entries).where(entries.submission == fact.submission)
    connection.execute(
        insert(t.review_entries).values(
            entry=fact.entry,
            submission=fact.submission,
            place=connection.execute(said).scalar_one() + 1,
            kind=type(fact).__name__,
            body=fact.model_dump_json(),
        )
    )
    _update(connection, t.reviews, fact.submission, state=state, changed_at=fact.at.isoformat())


def _review_decided(connection: Connection, fact: rev.ReviewDecided, state: str) -> None:
    values = {"decision": fact.decision, "changed_at": fact.at.isoformat()}
    _update(connection, t.reviews, fact.submission, state=state, **values)


def _prompt_opened(connection: Connection, fact: pr.PromptOpened, state: str) -> None:
    at = fact.at.isoformat()
    connection.execute(
        insert(t.prompts).values(
            prompt=fact.prompt,
            submission=fact.submission,
            requirement=fact.requirement,
            state=state,
            second_person=fact.second_person,
            opened_at=at,
            due_at=fact.due_at.isoformat(),
            changed_at=at,
        )
    )


def _prompt_entry(connection: Connection, fact: pr.PromptEntry, state: str) -> None:
    there = select(func.count()).select_from(t.prompt_entries).where(t.prompt_entries.c.prompt == fact.prompt)
    connection.execute(
        insert(t.prompt_entries).values(
            entry=fact.entry,
            prompt=fact.prompt,
            place=connection.execute(there).scalar_one() + 1,
            kind=type(fact).__name__,
            body=fact.model_dump_json(),
        )
    )
    _update(connection, t.prompts, fact.prompt, state=state, changed_at=fact.at.isoformat())


def _certificate(connection: Connection, fact: c.CertificateGranted, state: str) -> None:
    key_views.require_signs_now(connection, signed_with(fact.document), fact.at)
    given = fact.provisional if isinstance(fact, c.CertificateProvisionallyGranted) else None
    connection.execute(
        insert(t.certificates).values(
            ends_on=given.ends_on.isoformat() if given else None,
            conditions=given.conditions if given else "",
            granted_as=state,
            certificate=fact.certificate,
            submission=fact.submission,
            state=state,
            level=fact.level,
            document=fact.document,
            document_digest=fact.document_digest,
            at=fact.at.isoformat(),
            head=fact.document_digest,
        )
    )


def _certificate_moved(connection: Connection, fact: CertificateMoved, state: str) -> None:
    key_views.require_signs_now(connection, signed_with(fact.document), fact.at)
    said = {"state": state, "ends_on": fact.ends_on.isoformat() if fact.ends_on else None, "limits": fact.limits}
    connection.execute(
        insert(t.certificate_links).values(
            certificate=fact.certificate,
            number=fact.number,
            document=fact.document,
            document_digest=fact.document_digest,
            at=fact.at.isoformat(),
            **said,
        )
    )
    _update(
        connection,
        t.certificates,
        fact.certificate,
        **said,
        conditions=fact.conditions,
        links=fact.number,
        head=fact.document_digest,
    )


def _key_introduced(connection: Connection, fact: sk.SigningKeyIntroduced, state: str) -> None:
    connection.execute(
        insert(t.signing_keys).values(
            thumbprint=fact.thumbprint,
            number=fact.number,
            state=state,
            x=fact.x,
            previous=fact.previous or "none",
            valid_from=fact.at.isoformat(),
            document=fact.document,
            document_digest=fact.document_digest,
        )
    )


def _key_retired(connection: Connection, fact: sk.SigningKeyRetired, state: str) -> None:
    _update(connection, t.signing_keys, fact.thumbprint, state=state, retired_at=fact.at.isoformat())


def _key_compromised(connection: Connection, fact: sk.SigningKeyCompromised, state: str) -> None:
    values = {"compromised_since": fact.since.isoformat(), "reason": fact.reason}
    _update(connection, t.signing_keys, fact.thumbprint, state=state, **values)


def _report_issued(connection: Connection, fact: rep.ReportIssued, state: str) -> None:
    connection.execute(
        insert(t.test_reports).values(
            number=fact.number,
            submission=fact.submission,
            state=state,
            amends=fact.amends or "none",
            document=fact.document,
            document_digest=fact.document_digest,
            by=fact.by,
            at=fact.at.isoformat(),
        )
    )


def _programme_offered(connection: Connection, fact: off.ProgrammeOffered, state: str) -> None:
    known = select(t.programmes.c.digest).where(t.programmes.c.digest == fact.digest)
    if connection.execute(known).first() is None:
        kept = {"digest": fact.digest, "id": fact.programme, "version": fact.version, "body": fact.document}
        connection.execute(insert(t.programmes).values(**kept, offered=True))
    _update(connection, t.programmes, fact.digest, offered=True)
    said = {"state": state, "by": fact.by, "reason": "", "at": fact.at.isoformat()}
    again = select(t.offerings.c.programme).where(t.offerings.c.programme == fact.entity)
    if connection.execute(again).first() is None:
        connection.execute(insert(t.offerings).values(programme=fact.entity, digest=fact.digest, **said))
    else:
        _update(connection, t.offerings, fact.entity, **said)


def _programme_withdrawn(connection: Connection, fact: off.ProgrammeWithdrawn, state: str) -> None:
    _update(connection, t.offerings, fact.entity, state=state, by=fact.by, reason=fact.reason, at=fact.at.isoformat())
    digest = select(t.offerings.c.digest).where(t.offerings.c.programme == fact.entity).scalar_subquery()
    connection.execute(update(t.programmes).where(t.programmes.c.digest == digest).values(offered=False))


def _report_amended(connection: Connection, fact: rep.ReportAmended, state: str) -> None:
    _update(connection, t.test_reports, fact.number, state=state, amended_by=fact.amended_by)


def _person_added(connection: Connection, fact: p.PersonAdded, state: str) -> None:
    connection.execute(
        insert(t.persons).values(
            person=fact.person,
            state=state,
            roles=p.words(fact.roles),
            vendor=fact.vendor or p.NONE,
            by=fact.by,
            at=fact.at.isoformat(),
        )
    )


def _roles_changed(connection: Connection, fact: p.RolesChanged, state: str) -> None:
    _update(connection, t.persons, fact.person, roles=p.words(fact.roles), vendor=fact.vendor or p.NONE)


def _person_moved(connection: Connection, fact: p.PersonDisabled | p.PersonEnabled, state: str) -> None:
    _update(connection, t.persons, fact.person, state=state)


def _password_set(connection: Connection, fact: p.PasswordSet, state: str) -> None:
    _update(connection, t.persons, fact.person, password=fact.password)


def _token_made(connection: Connection, fact: p.TokenMade, state: str) -> None:
    connection.execute(
        insert(t.person_tokens).values(
            token=fact.token,
            digest=fact.digest,
            person=fact.person,
            state=state,
            kind=fact.kind.value,
            title=fact.title,
            scopes=p.words(fact.scopes),
            by=fact.by,
            at=fact.at.isoformat(),
            expires_at=fact.expires_at.isoformat(),
        )
    )


def _token_ended(connection: Connection, fact: p.TokenEnded, state: str) -> None:
    values = {"state": state, "ended_at": fact.at.isoformat(), "ended_why": fact.why}
    _update(connection, t.person_tokens, fact.token, **values)


def _subscription_added(connection: Connection, fact: sub.SubscriptionAdded, state: str) -> None:
    # From the row after this one on: the journal's head is what was there before.
    head = connection.execute(select(func.max(t.journal.c.seq))).scalar_one_or_none() or 0
    connection.execute(delete(t.subscriptions).where(t.subscriptions.c.subscription == fact.subscription))
    connection.execute(
        insert(t.subscriptions).values(
            subscription=fact.subscription,
            state=state,
            way=fact.way.value,
            target=fact.target,
            events=" ".join(fact.events),
            secret=fact.secret,
            by=fact.by,
            at=fact.at.isoformat(),
            delivered_seq=head,
        )
    )


def _subscription_paused(connection: Connection, fact: sub.SubscriptionPaused, state: str) -> None:
    _update(connection, t.subscriptions, fact.subscription, state=state, reason=fact.reason)


def _subscription_resumed(connection: Connection, fact: sub.SubscriptionResumed, state: str) -> None:
    values = {"tries": 0, "failing_since": None, "next_try_at": None}
    _update(connection, t.subscriptions, fact.subscription, state=state, reason="", **values)


def _subscription_removed(connection: Connection, fact: sub.SubscriptionRemoved, state: str) -> None:
    _update(connection, t.subscriptions, fact.subscription, state=state, reason="", target="", secret="")


def _sample_announced(connection: Connection, fact: sm.SampleAnnounced, state: str) -> None:
    connection.execute(insert(t.samples).values(sample=fact.sample, state=state, **fact.columns()))
    _custody(connection, fact, 1)


def _sample_moved(connection: Connection, fact: sm.SampleReceived | sm.SampleLinked, state: str) -> None:
    _update(connection, t.samples, fact.sample, state=state, **fact.columns())
    numbers = select(func.max(t.custody.c.number)).where(t.custody.c.sample == fact.sample)
    _custody(connection, fact, connection.execute(numbers).scalar_one() + 1)
    if isinstance(fact, sm.SampleLinked):
        connection.execute(insert(t.sample_submissions).values(sample=fact.sample, submission=fact.submission))


def _custody(connection: Connection, fact: Fact, number: int) -> None:
    values = {"fact": type(fact).__name__, "digest": digest(fact), "body": fact.model_dump_json()}
    connection.execute(insert(t.custody).values(sample=fact.entity, number=number, **values))


def _waiver_proposed(connection: Connection, fact: w.WaiverProposed, state: str) -> None:
    connection.execute(insert(t.waivers).values(waiver=fact.waiver, state=state, **fact.columns()))
    _waiver_entry(connection, fact, 1)


def _waiver_moved(connection: Connection, fact: Fact, state: str) -> None:
    _update(connection, t.waivers, fact.entity, state=state)
    numbers = select(func.max(t.waiver_entries.c.number)).where(t.waiver_entries.c.waiver == fact.entity)
    _waiver_entry(connection, fact, connection.execute(numbers).scalar_one() + 1)


def _waiver_entry(connection: Connection, fact: Fact, number: int) -> None:
    values = {"fact": type(fact).__name__, "digest": digest(fact), "body": fact.model_dump_json()}
    connection.execute(insert(t.waiver_entries).values(waiver=fact.entity, number=number, **values))


def _update(connection: Connection, table: Any, key: str, **values: Any) -> None:
    """Update the one row whose primary key is ``key``."""
    column = next(iter(table.primary_key.columns))
    result = connection.execute(update(table).where(column == key).values(**values))
    if result.rowcount != 1:
        raise Conflict(f"there is no {table.name} row {key}")


_WRITERS: dict[type[Fact], Writer] = {
    d.DeviceRegistered: _device_registered,
    d.DeviceChanged: _device_changed,
    d.PresenceObserved: _presence,
    d.DeviceHeld: _device_intent,
    d.DeviceReleased: _device_intent,
    h.HostDrained: _host_intent,
    h.HostUndrained: _host_intent,
    b.BatchAccepted: _batch_accepted,
    b.BatchHeld: _batch_moved,
    b.BatchReleased: _batch_moved,
    b.BatchCancelled: _batch_moved,
    b.BatchCompleted: _batch_moved,
    b.SubmissionCancelled: _submission_cancelled,
    v.SubmissionJudged: _submission_judged,
    r.RunQueued: _run_queued,
    r.RunPlaced: _run_placed,
    r.RunTaken: _run_taken,
    r.RunStarted: _run_started,
    r.RunStopRequested: _run_stop_requested,
    r.RunCompleted: _run_completed,
    r.RunErrored: _run_ended,
    r.RunCancelled: _run_ended,
    r.RunLapsed: _run_lapsed,
    r.EvidenceRecorded: _evidence,
    r.ReportQuarantined: _quarantined,
    le.LeaseGranted: _lease_granted,
    le.LeaseReleased: _lease_ended,
    le.LeaseLapsed: _lease_ended,
    le.LeaseRevoked: _lease_ended,
    ctl.ControlMarked: _control,
    ctl.ControlEnded: _control,
    ctl.DriftFound: _drift_found,
    ctl.DriftExplained: _drift_explained,
    q.Quarantined: _quarantined_resource,
    q.ProbationBegun: _probation_begun,
    q.ProbationFailed: _probation_failed,
    q.RecoveryGivenUp: _recovery_given_up,
    q.QuarantineEnded: _quarantine_ended,
    c.DecisionMade: _decision,
    rev.ReviewOpened: _review_opened,
    rev.QuestionAsked: _review_entry,
    rev.QuestionAnswered: _review_entry,
    rev.Recommended: _review_entry,
    rev.Returned: _review_entry,
    rev.ReviewDecided: _review_decided,
    pr.PromptOpened: _prompt_opened,
    **dict.fromkeys(pr.ENTRIES.values(), _prompt_entry),
    c.CertificateGranted: _certificate,
    c.CertificateProvisionallyGranted: _certificate,
    **dict.fromkeys(c.MOVES.values(), _certificate_moved),
    off.ProgrammeOffered: _programme_offered,
    off.ProgrammeWithdrawn: _programme_withdrawn,
    sk.SigningKeyIntroduced: _key_introduced,
    sk.SigningKeyRetired: _key_retired,
    sk.SigningKeyCompromised: _key_compromised,
    rep.ReportIssued: _report_issued,
    rep.ReportAmended: _report_amended,
    p.PersonAdded: _person_added,
    p.RolesChanged: _roles_changed,
    p.PersonDisabled: _person_moved,
    p.PersonEnabled: _person_moved,
    p.PasswordSet: _password_set,
    p.TokenMade: _token_made,
    p.TokenEnded: _token_ended,
    sub.SubscriptionAdded: _subscription_added,
    sub.SubscriptionPaused: _subscription_paused,
    sub.SubscriptionResumed: _subscription_resumed,
    sub.SubscriptionRemoved: _subscription_removed,
    sm.SampleAnnounced: _sample_announced,
    sm.SampleReceived: _sample_moved,
    sm.SampleStored: _sample_moved,
    sm.SampleBroughtToBench: _sample_moved,
    sm.SampleReturned: _sample_moved,
    sm.SampleDisposed: _sample_moved,
    sm.SampleLost: _sample_moved,
    sm.SampleLinked: _sample_moved,
    sm.SampleUnitNamed: _sample_moved,
    w.WaiverProposed: _waiver_proposed,
    w.WaiverApproved: _waiver_moved,
    w.WaiverRefused: _waiver_moved,
    w.WaiverRevoked: _waiver_moved,
    w.WaiverLapsed: _waiver_moved,
}
