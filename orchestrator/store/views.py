"""Reading: tables to the plain frozen views that stages, API and pages look at. Never writes."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, true

from lab_inventory.device import Identity, IdentityKind, Intent, Presence, Registration
from lab_inventory.lab import Host, Lab
from lab_inventory.messages import RunReport
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.batch import Submission, SubmissionState
from orchestrator.lifecycle.host import HostIntent
from orchestrator.lifecycle.lease import LeaseState
from orchestrator.lifecycle.run import Need, PlacedCompanion, RunState
from orchestrator.lifecycle.snapshot import (
    DeviceView,
    HostView,
    LeaseView,
    QueuedRun,
    RecordedReport,
    RunView,
    Snapshot,
    SubmissionView,
    UnitKey,
)
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.store import prompt_views, quarantine_views
from orchestrator.store import tables as t

QUEUE_MAX = 20_000


@lru_cache(maxsize=8192)
def _registration(text: str) -> Registration:
    return Registration.model_validate_json(text)


@lru_cache(maxsize=64)
def _host(text: str) -> Host:
    return Host.model_validate_json(text)


@lru_cache(maxsize=64)
def _programme(text: str) -> Programme:
    return Programme.model_validate_json(text)


def _device(row: Any) -> DeviceView:
    return DeviceView(
        device=row.device,
        host=row.host,
        registration=_registration(row.registration),
        presence=Presence(row.presence),
        presence_reason=row.presence_reason,
        intent=Intent(row.intent),
        intent_reason=row.intent_reason,
        changed_at=datetime.fromisoformat(row.changed_at),
    )


def devices(connection: Connection) -> tuple[DeviceView, ...]:
    """Every registered unit, by host and slot."""
    rows = connection.execute(select(t.devices).order_by(t.devices.c.host, t.devices.c.slot, t.devices.c.device))
    return tuple(_device(row) for row in rows)


def device(connection: Connection, device_id: str) -> DeviceView | None:
    """One unit, or None."""
    row = connection.execute(select(t.devices).where(t.devices.c.device == device_id)).first()
    return _device(row) if row else None


def placed_unit(connection: Connection, run_id: str) -> Registration | None:
    """The unit of a run as it was registered when the run was placed, or None where it was not."""
    text = connection.execute(select(t.runs.c.registration).where(t.runs.c.run == run_id)).scalar_one_or_none()
    return _registration(text) if text else None


def placed_companions(connection: Connection, run_id: str) -> tuple[PlacedCompanion, ...]:
    """The units that a run was given beside the one under test, as they were registered when it was placed."""
    text = connection.execute(select(t.runs.c.companions).where(t.runs.c.run == run_id)).scalar_one_or_none()
    return tuple(PlacedCompanion.model_validate(one) for one in json.loads(text or "[]"))


def known_units(connection: Connection) -> Mapping[Identity, DeviceView]:
    """Every registered unit by its identity."""
    rows = connection.execute(select(t.devices))
    return {Identity(kind=IdentityKind(row.identity_kind), value=row.identity_value): _device(row) for row in rows}


def hosts_of_units(connection: Connection) -> tuple[str, ...]:
    """The hosts at which units are registered, also those that are no longer in the lab file."""
    return tuple(connection.execute(select(t.devices.c.host).distinct()).scalars())


def hosts(connection: Connection) -> Mapping[str, HostView]:
    """Every host of the lab file."""
    i = t.host_intents.c
    rows = connection.execute(
        select(t.hosts.c.host, t.hosts.c.body, t.hosts.c.inbox, t.hosts.c.full, i.intent, i.reason).outerjoin(
            t.host_intents, i.host == t.hosts.c.host
        )
    )
    return {
        row.host: HostView(
            host=row.host,
            config=_host(row.body),
            inbox=row.inbox,
            full=row.full,
            intent=HostIntent(row.intent or HostIntent.IN_SERVICE),
            intent_reason=row.reason or "",
        )
        for row in rows
    }


def lab(connection: Connection) -> Lab | None:
    """The lab file that was applied, or None."""
    body = connection.execute(select(t.labs.c.body)).scalar_one_or_none()
    return Lab.model_validate_json(body) if body else None


def programmes(connection: Connection, chosen: ColumnElement[bool] = t.programmes.c.offered) -> tuple[Programme, ...]:
    """The programmes that are offered to new batches, or those ``chosen``; others are kept for what is under them."""
    bodies = select(t.programmes.c.body).where(chosen)
    rows = connection.execute(bodies.order_by(t.programmes.c.id, t.programmes.c.version))
    return tuple(_programme(body) for body in rows.scalars())


def programme(connection: Connection, digest: str) -> Programme | None:
    """The programme of that digest, or None."""
    body = connection.execute(select(t.programmes.c.body).where(t.programmes.c.digest == digest)).scalar_one_or_none()
    return _programme(body) if body else None


_LEASE_COLUMNS = (
    t.leases.c.lease,
    t.leases.c.run,
    t.leases.c.host,
    t.leases.c.state,
    t.leases.c.epochs,
    t.leases.c.ttl_s,
    t.leases.c.deadline_s,
    t.leases.c.granted_at,
    t.runs.c.state.label("run_state"),
    t.runs.c.reason.label("stop_reason"),
    t.runs.c.device,
    t.runs.c.slot,
)


def _lease(row: Any) -> LeaseView:
    return LeaseView(
        lease=row.lease,
        run=row.run,
        run_state=RunState(row.run_state),
        stop_reason=row.stop_reason,
        state=LeaseState(row.state),
        host=row.host,
        device=row.device or "",
        slot=row.slot or "",
        epochs=json.loads(row.epochs),
        ttl_s=row.ttl_s,
        deadline_s=row.deadline_s,
        granted_at=datetime.fromisoformat(row.granted_at),
    )


def leases(connection: Connection, where: ColumnElement[bool]) -> tuple[LeaseView, ...]:
    """The leases that meet a condition on ``tables.leases``."""
    joined = select(*_LEASE_COLUMNS).join(t.runs, t.runs.c.run == t.leases.c.run)
    return tuple(_lease(row) for row in connection.execute(joined.where(where)))


def live_leases(connection: Connection) -> tuple[LeaseView, ...]:
    """Every live lease."""
    return leases(connection, t.leases.c.state == LeaseState.LIVE.value)


def lease_of_run(connection: Connection, run_id: str) -> LeaseView | None:
    """The lease a run was granted, or None."""
    found = leases(connection, t.leases.c.run == run_id)
    return found[0] if found else None


def queue(connection: Connection) -> tuple[QueuedRun, ...]:
    """The runs that wait, at most :data:`QUEUE_MAX`, in the order of their turn."""
    r, s, b = t.runs.c, t.submissions.c, t.batches.c
    rows = connection.execute(
        select(
            r.run, r.batch, r.submission, r.suite, r.attempt, r.queued_at, r.duration_s, r.avoid_device,
            s.maker, s.model, s.firmware, s.hardware_revision, s.mode, s.category,
            s.unit, b.priority, b.state.label("batch_state"), b.purpose, r.needs,
        )
        .join(t.submissions, s.submission == r.submission)
        .join(t.batches, b.batch == r.batch)
        .where(r.state == RunState.WAITING.value)
        .order_by(b.priority.desc(), r.queued_at, r.run)
        .limit(QUEUE_MAX)
    )  # fmt: skip
    keys: dict[tuple[str, ...], UnitKey] = {}
    found: list[QueuedRun] = []
    for row in rows:
        named = (row.maker, row.model, row.firmware, row.hardware_revision, row.mode)
        key = keys.get(named)
        if key is None:
            key = keys[named] = UnitKey(
                maker=row.maker,
                model=row.model,
                firmware=row.firmware,
                hardware_revision=row.hardware_revision,
                mode=row.mode,
            )
        found.append(
            QueuedRun(
                run=row.run,
                batch=row.batch,
                submission=row.submission,
                suite=row.suite,
                attempt=row.attempt,
                priority=row.priority,
                queued_at=datetime.fromisoformat(row.queued_at),
                duration_s=row.duration_s,
                category=row.category,
                key=key,
                batch_held=row.batch_state == "held",
                avoid_device=row.avoid_device,
                unit=row.unit,
                probation=row.purpose == Purpose.PROBATION.value,
                needs=_needs(row.needs) if row.needs else (),
            )
        )
    return tuple(found)


@lru_cache(maxsize=64)
def _needs(text: str) -> tuple[Need, ...]:
    return tuple(Need.model_validate(one) for one in json.loads(text))


def waiting(connection: Connection) -> int:
    """How many runs wait."""
    return count(connection, t.runs, t.runs.c.state == RunState.WAITING.value)


def epochs(connection: Connection) -> dict[str, int]:
    """The last epoch of each resource ever granted."""
    rows = connection.execute(select(t.resources.c.resource, t.resources.c.epoch))
    return {row.resource: row.epoch for row in rows}


def snapshot(connection: Connection) -> Snapshot:
    """Everything placing needs, as one committed state."""
    return Snapshot(
        queue=queue(connection),
        devices=devices(connection),
        leases=live_leases(connection),
        epochs=epochs(connection),
        hosts=hosts(connection),
        quarantines=quarantine_views.quarantines(connection),
    )


def _run(connection: Connection, row: Any) -> RunView:
    lease = lease_of_run(connection, row.run)
    r, q, s = t.reports.c, t.quarantined_reports.c, t.submissions.c
    counting = connection.execute(select(r.seq, r.digest, r.kind).where(r.run == row.run)).all()
    digests = {report.seq: report.digest for report in counting}
    apart = connection.execute(select(q.seq, q.digest).where(q.run == row.run))
    state = connection.execute(select(s.state).where(s.submission == row.submission)).scalar_one()
    later = False
    if lease is not None:
        now = epochs_of(connection, tuple(lease.epochs))
        later = any(now.get(resource, 0) > epoch for resource, epoch in lease.epochs.items())
    return RunView(
        run=row.run,
        submission=row.submission,
        batch=row.batch,
        suite=row.suite,
        attempt=row.attempt,
        state=RunState(row.state),
        cases=tuple(json.loads(row.cases)),
        lease=lease,
        later_epoch_granted=later,
        submission_state=SubmissionState(state),
        digests=digests,
        quarantined=frozenset((report.seq, report.digest) for report in apart),
        ended=any(report.kind == "ended" for report in counting),
        next_seq=max(digests, default=0) + 1,
    )


def epochs_of(connection: Connection, resources: tuple[str, ...]) -> dict[str, int]:
    """The last epochs of some resources."""
    rows = connection.execute(
        select(t.resources.c.resource, t.resources.c.epoch).where(t.resources.c.resource.in_(resources))
    )
    return {row.resource: row.epoch for row in rows}


def run(connection: Connection, run_id: str) -> RunView | None:
    """One run with its lease and what it recorded, or None."""
    row = connection.execute(select(t.runs).where(t.runs.c.run == run_id)).first()
    return _run(connection, row) if row else None


def of_vendor(vendor: str | None) -> ColumnElement[bool]:
    """The condition that a submission is this vendor's; None: anybody's."""
    return true() if vendor is None else t.submissions.c.vendor == vendor


def open_submissions_of_vendor(connection: Connection, vendor: str) -> int:
    """How many of a vendor's submissions are not judged yet."""
    is_open = t.submissions.c.state == SubmissionState.OPEN.value
    return count(connection, t.submissions, of_vendor(vendor) & is_open)


def submission(connection: Connection, submission_id: str, vendor: str | None = None) -> SubmissionView | None:
    """One submission with its attempts and everything recorded, or None; for a vendor only its own."""
    row = connection.execute(
        select(t.submissions, t.batches.c.programme_digest)
        .join(t.batches, t.batches.c.batch == t.submissions.c.batch)
        .where(t.submissions.c.submission == submission_id, of_vendor(vendor))
    ).first()
    if row is None:
        return None
    attempts = connection.execute(
        select(t.runs).where(t.runs.c.submission == submission_id).order_by(t.runs.c.attempt, t.runs.c.suite)
    ).all()
    recorded = connection.execute(
        select(t.reports.c.run, t.reports.c.digest, t.reports.c.body, t.runs.c.attempt)
        .join(t.runs, t.runs.c.run == t.reports.c.run)
        .where(t.runs.c.submission == submission_id)
        .order_by(t.runs.c.attempt, t.reports.c.run, t.reports.c.seq)
    )
    said = Submission.model_validate_json(row.content)
    return SubmissionView(
        submission=row.submission,
        batch=row.batch,
        state=SubmissionState(row.state),
        content=said,
        programme_digest=said.bound_to(row.programme_digest),
        runs=tuple(_run(connection, attempt) for attempt in attempts),
        reports=tuple(
            RecordedReport(
                run=report.run,
                attempt=report.attempt,
                digest=report.digest,
                report=RunReport.model_validate_json(report.body),
            )
            for report in recorded
        ),
        prompts=prompt_views.of_submission(connection, row.submission),
    )


def content(connection: Connection, submission_id: str) -> tuple[Submission, str] | None:
    """What a submission says, and the digest of its programme; None where there is none."""
    row = connection.execute(
        select(t.submissions.c.content, t.batches.c.programme_digest)
        .join(t.batches, t.batches.c.batch == t.submissions.c.batch)
        .where(t.submissions.c.submission == submission_id)
    ).first()
    if row is None:
        return None
    said = Submission.model_validate_json(row.content)
    return said, said.bound_to(row.programme_digest)


def untaken(connection: Connection, run_id: str | None = None) -> tuple[LeaseView, ...]:
    """The live leases of runs of which no Ray node is on record: nobody has said yet that they were taken.

    With ``run_id``: the lease of that run alone, where it is one of them.
    """
    where = (t.leases.c.state == LeaseState.LIVE.value) & t.runs.c.ray_node.is_(None)
    return leases(connection, where if run_id is None else where & (t.leases.c.run == run_id))


def judgement(connection: Connection, submission_id: str) -> Judgement | None:
    """What a submission was judged, or None."""
    body = connection.execute(
        select(t.judgements.c.body).where(t.judgements.c.submission == submission_id)
    ).scalar_one_or_none()
    return Judgement.model_validate_json(body) if body else None


def judgements_of_batch(connection: Connection, batch_id: str) -> tuple[Judgement, ...]:
    """What the submissions of a batch were judged, of those that are."""
    rows = connection.execute(
        select(t.judgements.c.body)
        .join(t.submissions, t.submissions.c.submission == t.judgements.c.submission)
        .where(t.submissions.c.batch == batch_id)
        .order_by(t.submissions.c.place)
    )
    return tuple(Judgement.model_validate_json(body) for body in rows.scalars())


def unjudged(connection: Connection, most: int, *, but: Collection[str] = ()) -> tuple[str, ...]:
    """Open submissions of which no run waits or is held under a lease, and no person is asked for: they are to be
    judged or tried again. ``but``: those that are not.
    """
    asked = select(t.prompts.c.submission).where(prompt_views.unclosed())
    chosen = _measured().where(t.submissions.c.submission.not_in(asked))
    if but:
        chosen = chosen.where(t.submissions.c.submission.not_in(list(but)))
    rows = connection.execute(chosen.limit(most))
    return tuple(rows.scalars())


def waiting_for_people(connection: Connection) -> tuple[str, ...]:
    """Open submissions of which no run waits or is held under a lease, and people are still asked: they may have to be
    tried again meanwhile.
    """
    asked = select(t.prompts.c.submission).where(prompt_views.unclosed())
    rows = connection.execute(
        _measured().where(t.submissions.c.submission.in_(asked)).order_by(t.submissions.c.submission)
    )
    return tuple(rows.scalars())


def _measured() -> Select[Any]:
    """The open submissions of which no run waits or is held under a lease."""
    active = select(t.runs.c.submission).where(t.runs.c.state.in_([state.value for state in _ACTIVE]))
    return select(t.submissions.c.submission).where(
        t.submissions.c.state == SubmissionState.OPEN.value, t.submissions.c.submission.not_in(active)
    )


_ACTIVE = (RunState.WAITING, RunState.PLACED, RunState.TAKEN, RunState.RUNNING, RunState.STOPPING)


def finished_batches(connection: Connection, most: int) -> tuple[str, ...]:
    """Batches that are open or held though every submission of theirs has ended."""
    still_open = select(t.submissions.c.batch).where(t.submissions.c.state == SubmissionState.OPEN.value)
    rows = connection.execute(
        select(t.batches.c.batch)
        .where(t.batches.c.state.in_(["open", "held"]), t.batches.c.batch.not_in(still_open))
        .limit(most)
    )
    return tuple(rows.scalars())


def runs_of_batch(connection: Connection, batch_id: str) -> tuple[tuple[str, RunState], ...]:
    """The runs of a batch with their states."""
    rows = connection.execute(select(t.runs.c.run, t.runs.c.state).where(t.runs.c.batch == batch_id))
    return tuple((row.run, RunState(row.state)) for row in rows)


def open_submissions_of_batch(connection: Connection, batch_id: str) -> tuple[str, ...]:
    """The submissions of a batch that are still open."""
    rows = connection.execute(
        select(t.submissions.c.submission).where(
            t.submissions.c.batch == batch_id, t.submissions.c.state == SubmissionState.OPEN.value
        )
    )
    return tuple(rows.scalars())


def count(connection: Connection, table: Any, where: ColumnElement[bool] | None = None) -> int:
    """How many rows of a table meet a condition."""
    query = select(func.count()).select_from(table)
    return int(connection.execute(query.where(where) if where is not None else query).scalar_one())


def documents(connection: Connection, submission_id: str) -> tuple[str, ...]:
    """The signed certificates of a submission."""
    rows = connection.execute(select(t.certificates.c.document).where(t.certificates.c.submission == submission_id))
    return tuple(rows.scalars())


def batch_state(connection: Connection, batch_id: str) -> str | None:
    """The state of a batch, or None."""
    return connection.execute(select(t.batches.c.state).where(t.batches.c.batch == batch_id)).scalar_one_or_none()


def quarantined(connection: Connection, run_id: str) -> tuple[tuple[int, str], ...]:
    """The reports of a run that do not count: number and reason."""
    q = t.quarantined_reports.c
    rows = connection.execute(select(q.seq, q.reason).where(q.run == run_id).order_by(q.seq))
    return tuple((row.seq, row.reason) for row in rows)
