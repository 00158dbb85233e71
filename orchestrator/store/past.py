"""Reading what was judged, with everything it rests on, for judging it again. Never writes.

Each submission is read in a transaction of its own: what was judged does not change any more, and no long transaction
stands in the way of a running server.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from lab_inventory.errors import BadInput, InvariantBroken, NotFound
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.lifecycle.waiver import WaiverView
from orchestrator.pipeline.waived import waived_in
from orchestrator.store import tables as t
from orchestrator.store import views, waiver_views

SUBMISSIONS_MAX = 50_000


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A certificate of a submission, and the state it is in."""

    certificate: str
    level: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Past:
    """A judged submission with its programme, what it was judged and when (ISO 8601), and its certificates.

    ``waivers``: those that the judgement rests on, by id, as they stand now.
    """

    view: SubmissionView
    programme: Programme
    judgement: Judgement
    judged_at: str
    certificates: tuple[Granted, ...]
    waivers: Mapping[str, WaiverView]


def judged(
    connection: Connection,
    *,
    named: Sequence[str] | None = None,
    category: str | None = None,
    instrument: str | None = None,
) -> tuple[str, ...]:
    """The submissions that were judged, earliest first: those named, or all but probations; of a category alone where
    one is given.

    With ``instrument`` those alone whose reports name it; some may name it in another place than a measurement.
    Raises NotFound for one that was not judged, BadInput where there are more than :data:`SUBMISSIONS_MAX`.
    """
    s, j = t.submissions.c, t.judgements.c
    if named is not None:
        known = connection.execute(select(j.submission).where(j.submission.in_(named))).scalars()
        missing = sorted(set(named) - set(known))
        if missing:
            raise NotFound(f"no judged submission: {', '.join(one[:80] for one in missing[:10])}")
    query = select(s.submission).join(t.judgements, j.submission == s.submission).order_by(j.at, s.submission)
    if named is None:
        query = query.join(t.batches, t.batches.c.batch == s.batch)
        query = query.where(t.batches.c.purpose == Purpose.CERTIFICATION.value)
    else:
        query = query.where(s.submission.in_(named))
    if category is not None:
        query = query.where(s.category == category)
    if instrument is not None:
        naming = (
            select(t.runs.c.submission)
            .join(t.reports, t.reports.c.run == t.runs.c.run)
            .where(t.reports.c.kind == "case-ended", t.reports.c.body.contains(f'"{instrument}"', autoescape=True))
        )
        by_hand = (
            select(t.prompts.c.submission)
            .join(t.prompt_entries, t.prompt_entries.c.prompt == t.prompts.c.prompt)
            .where(t.prompt_entries.c.body.contains(f'"{instrument}"', autoescape=True))
        )
        query = query.where(s.submission.in_(naming) | s.submission.in_(by_hand))
    found = tuple(connection.execute(query.limit(SUBMISSIONS_MAX + 1)).scalars())
    if len(found) > SUBMISSIONS_MAX:
        raise BadInput(f"more than {SUBMISSIONS_MAX} submissions were judged; expected some of them, with --submission")
    return found


def past(connection: Connection, submission: str) -> Past:
    """One judged submission. Raises InvariantBroken where a part of it is gone."""
    view = views.submission(connection, submission)
    judgement = views.judgement(connection, submission)
    programme = views.programme(connection, view.programme_digest) if view else None
    if view is None or judgement is None or programme is None:
        raise InvariantBroken(f"{submission} was judged, and not all that it was judged by is kept")
    c, j = t.certificates.c, t.judgements.c
    granted = connection.execute(
        select(c.certificate, c.level, c.state).where(c.submission == submission).order_by(c.at, c.certificate)
    )
    return Past(
        view=view,
        programme=programme,
        judgement=judgement,
        judged_at=connection.execute(select(j.at).where(j.submission == submission)).scalar_one(),
        certificates=tuple(Granted(certificate=r.certificate, level=r.level, state=r.state) for r in granted),
        waivers=waiver_views.named(connection, {one.waiver for one in waived_in(judgement).values()}),
    )


def programme_named(connection: Connection, name: str, version: str | None) -> Programme:
    """A programme that the database keeps, by its id and version; without a version the one that is offered.

    Raises NotFound where there is none, BadInput where the name says no single one: versions are never ordered here.
    """
    p = t.programmes.c
    rows = connection.execute(select(p.version, p.offered, p.digest).where(p.id == name)).all()
    wanted = [row for row in rows if row.version == version or (version is None and row.offered)]
    offered = [row for row in wanted if row.offered]
    found = offered or wanted
    if not found:
        kept = ", ".join(sorted({row.version for row in rows})) or "none"
        raise NotFound(f"no programme {name}{f'@{version}' if version else ''} is kept here; versions kept: {kept}")
    if len(found) > 1:
        one_of = ", ".join(sorted(f"{row.version} ({row.digest[:19]}…)" for row in found))
        raise BadInput(f"{name} is {one_of}; expected NAME@VERSION of one, or its file")
    programme = views.programme(connection, found[0].digest)
    if programme is None:
        raise InvariantBroken(f"programme {found[0].digest} is gone")
    return programme
