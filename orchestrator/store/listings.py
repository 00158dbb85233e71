"""Reading for people: what API, pages and tables show, as plain dictionaries with a bound on their number."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from lab_inventory.device import Intent, Presence
from orchestrator.lifecycle.host import HostIntent
from orchestrator.lifecycle.run import HOLDS_A_LEASE
from orchestrator.store import prompt_views, quarantine_views, views
from orchestrator.store import tables as t

PAGE_MAX = 200
DEVICE_STATES = ("idle", "busy", "absent", "quarantined", "held", "no-driver")
Row = dict[str, Any]


def devices(connection: Connection) -> list[Row]:
    """Every unit with the one state that matters most to an operator, and the run it is busy with."""
    held = {
        row.resource.removeprefix("device:"): row.run
        for row in connection.execute(
            select(t.held_resources.c.resource, t.leases.c.run).join(
                t.leases, t.leases.c.lease == t.held_resources.c.lease
            )
        )
        if row.resource.startswith("device:")
    }
    out = quarantine_views.quarantines(connection)
    rows: list[Row] = []
    for view in views.devices(connection):
        registration = view.registration
        run = held.get(view.device)
        quarantined = out.get(f"device:{view.device}")
        if view.intent is Intent.HELD:
            state, why = "held", view.intent_reason
        elif registration.driver is None:
            state, why = "no-driver", "nothing here can press its keys"
        elif run is not None:
            state, why = "busy", "on probation" if quarantined else ""
        elif view.presence is Presence.ABSENT:
            state, why = "absent", view.presence_reason
        elif quarantined is not None:
            state, why = "quarantined", quarantined.reason
        else:
            state, why = "idle", ""
        rows.append(
            {
                "device": view.device,
                "state": state,
                "reason": why,
                "run": run,
                "maker": registration.product.maker,
                "model": registration.product.model,
                "firmware": registration.product.firmware,
                "hardware_revision": registration.hardware_revision,
                "mode": registration.mode,
                "category": registration.category,
                "identity": registration.identity.value,
                "identity_kind": registration.identity.kind.value,
                "identity_weak": registration.identity.weak,
                "driver": registration.driver,
                "driver_in_words": registration.driver_in_words(),
                "host": view.host,
                "slot": registration.slot,
                "presence": view.presence.value,
                "intent": view.intent.value,
                "quarantine": quarantined.state.value if quarantined else None,
                "user_agent": registration.user_agent,
            }
        )
    return rows


def quarantine(connection: Connection) -> list[Row]:
    """What is out: why, since when, how often it was tried to bring it back, and the last probation's batch."""
    return [
        {
            "resource": view.resource,
            "state": view.state.value,
            "reason": view.reason,
            "since": view.since.isoformat(),
            "probations": view.attempts,
            "batch": view.batch,
        }
        for view in quarantine_views.quarantines(connection).values()
    ]


def hosts(connection: Connection) -> list[Row]:
    """Every host of the lab file: what people want of it, its agent, its units by presence, its runs under a lease."""
    h, i, d, le = t.hosts.c, t.host_intents.c, t.devices.c, t.leases.c
    present = select(d.host, func.count().label("n")).where(d.presence == Presence.PRESENT.value).group_by(d.host)
    known = select(d.host, func.count().label("n")).group_by(d.host)
    runs = select(le.host, func.count().label("n")).where(le.state == "live").group_by(le.host)
    numbers = [{row.host: row.n for row in connection.execute(query)} for query in (present, known, runs)]
    rows = connection.execute(
        select(h.host, h.agent_version, h.boot, h.inbox, h.faults)
        .add_columns(i.intent, i.reason, i.by, i.at)
        .outerjoin(t.host_intents, i.host == h.host)
        .order_by(h.host)
    )
    return [
        {
            "host": row.host,
            "intent": row.intent or HostIntent.IN_SERVICE.value,
            "reason": row.reason or "",
            "by": row.by,
            "since": row.at,
            "agent_version": row.agent_version,
            "boot": row.boot,
            "devices_present": numbers[0].get(row.host, 0),
            "devices": numbers[1].get(row.host, 0),
            "runs": numbers[2].get(row.host, 0),
            "faults": json.loads(row.faults),
        }
        for row in rows
    ]


def batches(connection: Connection, *, vendor: str | None = None, limit: int = 50, offset: int = 0) -> list[Row]:
    """Batches, newest first, with how many of their submissions are judged; of a vendor only its own submissions."""
    b, s = t.batches.c, t.submissions.c
    chosen = select(t.batches)
    if vendor is not None:
        chosen = chosen.where(b.batch.in_(select(s.batch).where(s.vendor == vendor)))
    rows = connection.execute(chosen.order_by(b.at.desc(), b.batch).limit(min(limit, PAGE_MAX)).offset(offset)).all()
    counted: dict[str, dict[str, int]] = {}
    for row in connection.execute(
        select(s.batch, s.state, func.count().label("n"))
        .where(s.batch.in_([row.batch for row in rows]), views.of_vendor(vendor))
        .group_by(s.batch, s.state)
    ):
        counted.setdefault(row.batch, {})[row.state] = row.n
    return [_batch(row, counted.get(row.batch, {})) for row in rows]


def _batch(row: Any, counted: dict[str, int]) -> Row:
    return {
        "batch": row.batch,
        "title": row.title,
        "priority": row.priority,
        "state": row.state,
        "reason": row.reason,
        "programme": row.programme,
        "programme_version": row.programme_version,
        "programme_digest": row.programme_digest,
        "submitted_by": row.by,
        "at": row.at,
        "submissions": sum(counted.values()),
        "judged": counted.get("judged", 0),
    }


def batch(connection: Connection, batch_id: str, vendor: str | None = None) -> Row | None:
    """One batch with its submissions, their runs and what was earned; None where there is none.

    For a vendor it has only that vendor's submissions, and there is none where none of them is.
    """
    row = connection.execute(select(t.batches).where(t.batches.c.batch == batch_id)).first()
    chosen = (t.submissions.c.batch == batch_id) & views.of_vendor(vendor)
    rows = connection.execute(select(t.submissions).where(chosen).order_by(t.submissions.c.place)).all()
    if row is None or (vendor is not None and not rows):
        return None
    counted: dict[str, int] = {}
    for entry in rows:
        counted[entry.state] = counted.get(entry.state, 0) + 1
    runs: dict[str, list[Row]] = {}
    for run in runs_of(connection, t.runs.c.submission.in_(select(t.submissions.c.submission).where(chosen))):
        runs.setdefault(run["submission"], []).append(run)
    certificates = {
        entry.submission: entry.certificate
        for entry in connection.execute(
            select(t.certificates.c.submission, t.certificates.c.certificate)
            .join(t.submissions, t.submissions.c.submission == t.certificates.c.submission)
            .where(chosen)
        )
    }
    return _batch(row, counted) | {
        "entries": [
            {
                "submission": entry.submission,
                **_told(entry.content, row.programme_digest),
                "programme": _own_programme(entry.content) or f"{row.programme} {row.programme_version}",
                "maker": entry.maker,
                "model": entry.model,
                "firmware": entry.firmware,
                "hardware_revision": entry.hardware_revision,
                "mode": entry.mode,
                "state": entry.state,
                "earned": entry.earned,
                "certificate": certificates.get(entry.submission),
                "runs": runs.get(entry.submission, []),
            }
            for entry in rows
        ]
    }


def _told(content: str, of_batch: str) -> Row:
    """A submission's title, and the digest of its programme: its own, or the batch's."""
    said = json.loads(content)
    own = said.get("programme") or {}
    return {"title": said["title"], "programme_digest": own.get("digest", of_batch)}


def _own_programme(content: str) -> str:
    """Programme and version that a submission is bound to by itself; empty where it is its batch's."""
    own = json.loads(content).get("programme")
    return f"{own['id']} {own['version']}" if own else ""


def verdicts(connection: Connection, *, vendor: str | None = None, limit: int = 10) -> list[Row]:
    """The submissions that were judged last, newest first, with what each earned; of a vendor only its own."""
    s, j, c = t.submissions.c, t.judgements.c, t.certificates.c
    rows = connection.execute(
        select(s.submission, s.batch, s.content, s.maker, s.model, s.firmware, s.mode, s.earned, s.state, j.at)
        .add_columns(c.certificate, t.batches.c.programme_digest)
        .join(t.judgements, j.submission == s.submission)
        .join(t.batches, t.batches.c.batch == s.batch)
        .outerjoin(t.certificates, c.submission == s.submission)
        .where(views.of_vendor(vendor))
        .order_by(j.at.desc(), s.submission)
        .limit(min(limit, PAGE_MAX))
    )
    return [dict(row._mapping) | _told(row.content, row.programme_digest) for row in rows]


def runs_of_device(connection: Connection, device: str, *, limit: int = 50) -> list[Row]:
    """The runs that a unit was leased for, newest first."""
    chosen = select(t.runs.c.run).where(t.runs.c.device == device).order_by(t.runs.c.placed_at.desc()).limit(limit)
    found = runs_of(connection, t.runs.c.run.in_(chosen))
    return sorted(found, key=lambda run: run["placed_at"] or "", reverse=True)


def runs_of(connection: Connection, where: Any) -> list[Row]:
    """Runs that meet a condition, by attempt, with how many of their cases have ended."""
    rows = connection.execute(select(t.runs).where(where).order_by(t.runs.c.submission, t.runs.c.attempt)).all()
    ended: dict[str, int] = {
        row.run: row.n
        for row in connection.execute(
            select(t.reports.c.run, func.count().label("n"))
            .where(t.reports.c.kind == "case-ended", t.reports.c.run.in_([row.run for row in rows]))
            .group_by(t.reports.c.run)
        )
    }
    return [_run(row, ended.get(row.run, 0)) for row in rows]


def _run(row: Any, ended: int) -> Row:
    return {
        "run": row.run,
        "submission": row.submission,
        "batch": row.batch,
        "suite": row.suite,
        "attempt": row.attempt,
        "state": row.state,
        "reason": row.reason,
        "cases": json.loads(row.cases),
        "cases_ended": ended,
        "device": row.device,
        "host": row.host,
        "slot": row.slot,
        "ray_node": row.ray_node,
        "ray_actor": row.ray_actor,
        "queued_at": row.queued_at,
        "placed_at": row.placed_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    } | _companions(row)


def _companions(row: Any) -> Row:
    """The units that a run has beside the one under test; nothing of a run that has none."""
    if not row.companions:
        return {}
    shown = ("role", "device", "slot")
    return {
        "companions": [
            {name: one[name] for name in shown} | {"product": one["registration"]["product"]}
            for one in json.loads(row.companions)
        ]
    }


def run(connection: Connection, run_id: str, vendor: str | None = None) -> Row | None:
    """One run with its reports, and those that do not count; for a vendor None where it is of another's product."""
    where = t.runs.c.run == run_id
    if vendor is not None:
        where &= t.runs.c.submission.in_(select(t.submissions.c.submission).where(views.of_vendor(vendor)))
    found = runs_of(connection, where)
    if not found:
        return None
    reports = connection.execute(select(t.reports.c.body).where(t.reports.c.run == run_id).order_by(t.reports.c.seq))
    lease = views.lease_of_run(connection, run_id)
    return found[0] | {
        "epochs": dict(lease.epochs) if lease else {},
        "lease": lease.lease if lease else None,
        "lease_state": lease.state.value if lease else None,
        "reports": [json.loads(body) for body in reports.scalars()],
        "quarantined": [{"seq": seq, "reason": reason} for seq, reason in views.quarantined(connection, run_id)],
    }


def certificates(connection: Connection, *, vendor: str | None = None, limit: int = 50, offset: int = 0) -> list[Row]:
    """Certificates, newest first; of a vendor only its own."""
    c = t.certificates.c
    rows = connection.execute(
        select(c.certificate, c.submission, c.level, c.state, c.ends_on, c.limits, c.conditions, c.at)
        .add_columns(c.document_digest)
        .join(t.submissions, t.submissions.c.submission == c.submission)
        .where(views.of_vendor(vendor))
        .order_by(c.at.desc(), c.certificate)
        .limit(min(limit, PAGE_MAX))
        .offset(offset)
    )
    return [dict(row._mapping) for row in rows]


def certificate_document(connection: Connection, certificate: str) -> str | None:
    """The signed document, or None."""
    return connection.execute(
        select(t.certificates.c.document).where(t.certificates.c.certificate == certificate)
    ).scalar_one_or_none()


def host_faults(connection: Connection) -> list[Row]:
    """What keeps slots from being used, as their hosts said last."""
    rows = connection.execute(select(t.hosts.c.host, t.hosts.c.faults, t.hosts.c.boot).order_by(t.hosts.c.host))
    return [{"host": row.host, **fault} for row in rows for fault in json.loads(row.faults)]


def counts(connection: Connection) -> Row:
    """The numbers that gauges show: units by state, runs that wait, runs that hold a lease, what is in quarantine, and
    prompts that wait.
    """
    waiting = views.count(connection, t.runs, t.runs.c.state == "waiting")
    active = views.count(connection, t.runs, t.runs.c.state.in_([state.value for state in HOLDS_A_LEASE]))
    out = dict.fromkeys(("device", "bench"), 0)
    for resource in quarantine_views.quarantines(connection):
        out[resource.partition(":")[0]] += 1
    return {
        "devices": device_states(connection),
        "waiting": waiting,
        "active": active,
        "quarantined": out,
        "prompts": prompt_views.count_open(connection),
    }


def device_states(connection: Connection) -> dict[str, int]:
    """How many units are in each state."""
    by_state = dict.fromkeys(DEVICE_STATES, 0)
    for device in devices(connection):
        by_state[device["state"]] += 1
    return by_state


def oldest_waiting_since(connection: Connection) -> datetime | None:
    """Since when the run waits that has waited longest, of those whose batch is not held; None where none does."""
    r, b = t.runs.c, t.batches.c
    since = connection.execute(
        select(r.queued_at)
        .join(t.batches, b.batch == r.batch)
        .where(r.state == "waiting", b.state != "held")
        .order_by(r.queued_at)
        .limit(1)
    ).scalar_one_or_none()
    return datetime.fromisoformat(since) if since else None
