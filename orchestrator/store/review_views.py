"""Reading reviews, and who took part in an evaluation: from what was recorded, mostly from the journal itself."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from orchestrator.authority.impediments import Part
from orchestrator.authority.review import ENTRIES, WAITS_IN, ReviewState, ReviewView, Waits
from orchestrator.lifecycle.person import NONE
from orchestrator.store import prompt_views, views
from orchestrator.store import tables as t
from orchestrator.store.listings import PAGE_MAX

Row = dict[str, Any]
r, j = t.reviews.c, t.journal.c

_ORDERS = {
    "BatchHeld": "held the batch",
    "BatchReleased": "released the batch",
    "BatchCancelled": "cancelled the batch",
    "DeviceHeld": "held the unit",
    "DeviceReleased": "released the unit",
    "HostDrained": "drained the host",
    "HostUndrained": "put back the host",
    "ProbationBegun": "began a probation of",
    "QuarantineEnded": "put back",
    "PromptAnswered": "measured by hand, for the prompt",
    "PromptAnsweredByOne": "measured by hand, for the prompt",
    "PromptConfirmed": "confirmed the answer to the prompt",
    "PromptDiffered": "differed from the answer to the prompt",
    "PromptAborted": "aborted the prompt",
}
"""What somebody orders in the lab while a submission is evaluated, and how it is told."""


def review(connection: Connection, submission: str, vendor: str | None = None) -> ReviewView | None:
    """The review of a submission, or None; for a vendor only of its own."""
    chosen = select(t.reviews).join(t.submissions, t.submissions.c.submission == r.submission)
    row = connection.execute(chosen.where(r.submission == submission, views.of_vendor(vendor))).first()
    if row is None:
        return None
    e = t.review_entries.c
    said = connection.execute(select(e.kind, e.body).where(e.submission == submission).order_by(e.place))
    return ReviewView(
        submission=row.submission,
        state=ReviewState(row.state),
        judgement_digest=row.judgement_digest,
        opened_at=datetime.fromisoformat(row.opened_at),
        decision=row.decision,
        entries=tuple(ENTRIES[entry.kind].model_validate_json(entry.body) for entry in said),
    )


def reviews(
    connection: Connection,
    *,
    waits_for: Waits | None = None,
    vendor: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Reviews, those first that wait longest; where they wait for nothing, the last one first. A vendor's own only."""
    s, b = t.submissions.c, t.batches.c
    query: Select[Any] = (
        select(r.submission, r.state, r.opened_at, r.changed_at, r.decision, s.content, s.earned, s.batch)
        .add_columns(b.programme, b.programme_version)
        .join(t.submissions, s.submission == r.submission)
        .join(t.batches, b.batch == s.batch)
        .where(views.of_vendor(vendor))
    )
    if waits_for is not None:
        query = query.where(r.state.in_([state.value for state, waits in WAITS_IN.items() if waits is waits_for]))
    first = r.changed_at.desc() if waits_for in (None, Waits.NOTHING) else r.changed_at
    rows = connection.execute(query.order_by(first, r.submission).limit(min(limit, PAGE_MAX)).offset(offset))
    return [_listed(row) for row in rows]


def _listed(row: Any) -> Row:
    content = json.loads(row.content)
    own = content.get("programme") or {}
    return {
        "submission": row.submission,
        "state": row.state,
        "waits_for": WAITS_IN[ReviewState(row.state)].value,
        "title": content["title"],
        "vendor": content["vendor"],
        "product": " ".join(content["product"][name] for name in ("maker", "model", "firmware")),
        "programme": own.get("id", row.programme),
        "programme_version": own.get("version", row.programme_version),
        "batch": row.batch,
        "earned": row.earned,
        "opened_at": row.opened_at,
        "changed_at": row.changed_at,
        "decision": row.decision,
    }


def decision(connection: Connection, decision_id: str) -> Row | None:
    """A decision as it was made, or None."""
    body = connection.execute(
        select(t.decisions.c.body).where(t.decisions.c.decision == decision_id)
    ).scalar_one_or_none()
    return json.loads(body) if body else None


def certificate_of(connection: Connection, submission: str) -> str | None:
    """The certificate that a submission was granted, or None."""
    c = t.certificates.c
    return connection.execute(select(c.certificate).where(c.submission == submission)).scalars().first()


def parts(connection: Connection, submission: str) -> tuple[Part, ...]:
    """Who took part in the evaluation of a submission, and how, up to its judgement; until now where there is none yet.

    Whoever queued its batch; held, released or cancelled it; answered, confirmed or aborted its prompts; and whoever
    held, drained, tried or put back what its runs were on, from when it was queued until it was judged.
    """
    row = connection.execute(
        select(t.batches.c.batch, t.batches.c.by)
        .join(t.submissions, t.submissions.c.batch == t.batches.c.batch)
        .where(t.submissions.c.submission == submission)
    ).one()
    accepted = _journaled(connection, "batch", row.batch, "BatchAccepted")
    judged = select(j.seq).where(j.machine == "submission", j.entity == submission, j.fact == "SubmissionJudged")
    first, last = accepted.seq, connection.execute(judged).scalar_one_or_none()
    # Of batches from before there were reviews only the table says who queued them.
    queued_by = json.loads(accepted.body).get("by", row.by)
    found = [Part(person=queued_by, did=f"queued the batch {row.batch}")]
    concerned = {("batch", row.batch), *_resources(connection, submission)}
    concerned |= {("prompt", one.prompt) for one in prompt_views.of_submission(connection, submission)}
    conditions = [and_(j.machine == machine, j.entity == entity) for machine, entity in sorted(concerned)]
    orders = connection.execute(
        select(j.seq, j.fact, j.entity, j.machine, j.body)
        .where(or_(*conditions), j.fact.in_(list(_ORDERS)))
        .order_by(j.seq)
    )
    # A batch can be ordered about until all of it is judged; the lab's things matter only while this was measured.
    found += [
        Part(person=json.loads(order.body)["by"], did=f"{_ORDERS[order.fact]} {order.entity}")
        for order in orders
        if order.machine == "batch" or (first < order.seq and (last is None or order.seq < last))
    ]
    return tuple(dict.fromkeys(found))


def ever_took_part(connection: Connection, person: str) -> bool:
    """Whether somebody ever queued a batch, or ordered anything that counts as a part in an evaluation."""
    queued = select(t.batches.c.batch).where(t.batches.c.by == person).limit(1)
    if connection.execute(queued).first() is not None:
        return True
    orders = connection.execute(select(j.body).where(j.fact.in_(list(_ORDERS)))).scalars()
    return any(json.loads(body)["by"] == person for body in orders)


def _journaled(connection: Connection, machine: str, entity: str, fact: str) -> Any:
    """The one journal row of a fact: its seq and body."""
    chosen = select(j.seq, j.body).where(j.machine == machine, j.entity == entity, j.fact == fact)
    return connection.execute(chosen).one()


def _resources(connection: Connection, submission: str) -> Iterator[tuple[str, str]]:
    """The units, hosts and benches that the runs of a submission were on, as the journal names them."""
    hosts = views.hosts(connection)
    u = t.runs.c
    places = select(u.device, u.host, u.slot).where(u.submission == submission, u.device.is_not(None)).distinct()
    for run in connection.execute(places):
        yield "device", run.device
        yield "host", run.host
        yield "quarantine", f"device:{run.device}"
        on = hosts[run.host].config.slot(run.slot) if run.host in hosts else None
        if on is not None:
            yield "quarantine", f"bench:{on[0].name}"


def vendors_of(connection: Connection, people: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """The vendors that each of these people ever stood for: a role that was taken away is still remembered."""
    found: dict[str, set[str]] = {person: set() for person in people}
    given = select(j.entity, j.body).where(
        j.machine == "person", j.entity.in_(sorted(found)), j.fact.in_(["PersonAdded", "RolesChanged"])
    )
    for row in connection.execute(given):
        found[row.entity].add(json.loads(row.body)["vendor"])
    return {person: frozenset(vendors - {NONE}) for person, vendors in found.items()}
