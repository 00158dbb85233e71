"""``assay audit verify``: the journal's chain, and that the tables say what the journal says. Reads only.

Found are a changed, cut out, swapped or inserted row of the journal; a move that no machine makes; a state or a column
that no journal row led to; a body that no longer has the digest the journal holds; a certificate whose journal head is
not in the chain (so a cut tail shows). Total: whatever was done to the database, it is a finding and no error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from orchestrator.lifecycle.batch import SubmissionState
from orchestrator.store import tables as t
from orchestrator.store.audit_bodies import wrong_bodies
from orchestrator.store.journal import GENESIS, JournalRow, body_of, broken_links
from orchestrator.store.store import MACHINES


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How many rows were checked, the journal's head, and everything that is wrong."""

    rows: int
    head: str
    findings: tuple[str, ...]


def audit(connection: Connection) -> Audit:
    """Check everything; findings are empty where all agrees."""
    rows = [JournalRow(**row._mapping) for row in connection.execute(select(t.journal).order_by(t.journal.c.seq))]
    findings = (
        *broken_links(rows),
        *_wrong_moves(rows),
        *_wrong_states(connection, rows),
        *_wrong_columns(connection, rows),
        *wrong_bodies(connection, rows),
    )
    return Audit(rows=len(rows), head=rows[-1].hash if rows else GENESIS, findings=findings)


def _wrong_moves(rows: list[JournalRow]) -> Iterator[str]:
    """Journal rows that say of a machine what it does not do."""
    for row, before in _moves(rows):
        kept = MACHINES.get(row.machine)
        after = kept.machine.transitions.get((before, row.fact)) if kept else ""  # type: ignore[arg-type]
        if after != row.state:
            yield (
                f"journal row {row.seq}: {row.machine} {row.entity} was {before or 'not yet there'}, "
                f"and {row.fact} does not make it {row.state or 'nothing'}"
            )


def _moves(rows: list[JournalRow]) -> Iterator[tuple[JournalRow, str | None]]:
    """Each row with the state its entity was in before it."""
    states: dict[tuple[str, str], str] = {}
    for row in rows:
        yield row, states.get((row.machine, row.entity))
        _fold(states, row)


def _fold(states: dict[tuple[str, str], str], row: JournalRow) -> None:
    if row.machine:
        states[row.machine, row.entity] = row.state
    if row.fact == "BatchAccepted":
        for submission in str(body_of(row).get("submissions", "")).split():
            states["submission", submission] = SubmissionState.OPEN.value


def _wrong_states(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Fold the journal and hold it against the state of every machine."""
    folded: dict[tuple[str, str], str] = {}
    for row in rows:
        _fold(folded, row)
    for name, kept in MACHINES.items():
        now = {row[0]: row[1] for row in connection.execute(select(kept.key, kept.state))}
        said = {entity: state for (machine, entity), state in folded.items() if machine == name}
        for entity in sorted(now.keys() | said.keys()):
            if now.get(entity) != said.get(entity):
                yield (
                    f"{name} {entity} is {now.get(entity, 'missing')}; "
                    f"the journal says {said.get(entity, 'nothing of it')}"
                )


_COLUMNS: Mapping[str, tuple[tuple[Table, Mapping[str, str]], ...]] = {
    "DeviceRegistered": ((t.devices, {"host": "host", "slot": "slot"}),),
    "DeviceChanged": ((t.devices, {"host": "host", "slot": "slot"}),),
    "BatchAccepted": ((t.batches, {"programme_digest": "programme_digest"}),),
    "RunQueued": ((t.runs, {"submission": "submission", "suite": "suite", "attempt": "attempt"}),),
    "RunPlaced": ((t.runs, {"lease": "lease", "device": "device", "host": "host", "slot": "slot"}),),
    "RunTaken": ((t.runs, {"ray_node": "ray_node", "ray_actor": "ray_actor"}),),
    "RunCompleted": ((t.runs, {"reports_digest": "reports_digest"}),),
    "LeaseGranted": ((t.leases, {"run": "run", "host": "host"}),),
    "SubmissionJudged": ((t.judgements, {"judgement_digest": "digest"}), (t.submissions, {"earned": "earned"})),
    "DecisionMade": ((t.decisions, {"submission": "submission"}),),
    "PromptOpened": ((t.prompts, {"submission": "submission", "requirement": "requirement", "due_at": "due_at"}),),
    "ReviewOpened": ((t.reviews, {"judgement_digest": "judgement_digest"}),),
    "ReviewDecided": ((t.reviews, {"decision": "decision"}),),
    **dict.fromkeys(
        ("CertificateGranted", "CertificateProvisionallyGranted"),
        ((t.certificates, {"submission": "submission", "level": "level", "document_digest": "document_digest"}),),
    ),
    "SigningKeyIntroduced": (
        (t.signing_keys, {"number": "number", "x": "x", "previous": "previous", "document_digest": "document_digest"}),
    ),
    "SigningKeyRetired": ((t.signing_keys, {"retired_at": "retired_at"}),),
    "SigningKeyCompromised": ((t.signing_keys, {"compromised_since": "compromised_since"}),),
    "ReportIssued": (
        (
            t.test_reports,
            {"submission": "submission", "document_digest": "document_digest", "by": "by", "amends": "amends"},
        ),
    ),
    "ReportAmended": ((t.test_reports, {"amended_by": "amended_by"}),),
    "ProgrammeOffered": ((t.offerings, {"digest": "digest", "by": "by", "reason": "reason"}),),
    "ProgrammeWithdrawn": ((t.offerings, {"by": "by", "reason": "reason"}),),
    "PersonAdded": ((t.persons, {"roles": "roles", "vendor": "vendor"}),),
    "RolesChanged": ((t.persons, {"roles": "roles", "vendor": "vendor"}),),
    "SubscriptionAdded": ((t.subscriptions, {"way": "way", "events": "events"}),),
    "DriftFound": ((t.drifts, {"bench": "bench", "chart": "chart", "run": "run"}),),
    "DriftExplained": ((t.drifts, {"by": "explained_by", "words": "explanation_digest", "anew": "anew"}),),
    "TokenMade": ((t.person_tokens, {"person": "person", "kind": "kind", "scopes": "scopes"}),),
}
"""For each fact the tables that hold what the journal says of it: the name in the journal, and the column."""

_JOURNALED_ROWS = (t.judgements, t.decisions)
"""Tables without a machine of which every row was journaled."""


def _wrong_columns(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Columns that differ from what the journal said last, and rows that are gone or were never journaled."""
    said: dict[str, dict[str, dict[str, Any]]] = {}
    concerned = {table.name: table for places in _COLUMNS.values() for table, _ in places}
    for row in rows:
        body = body_of(row)
        for table, columns in _COLUMNS.get(row.fact, ()):
            of_row = said.setdefault(table.name, {}).setdefault(row.entity, {})
            of_row.update({column: body.get(name) for name, column in columns.items()})
    for name, table in concerned.items():
        key = next(iter(table.primary_key.columns))
        now = {row[0]: row._mapping for row in connection.execute(select(key, *(c for c in table.c if c is not key)))}
        expected = said.get(name, {})
        for entity in sorted(expected.keys() - now.keys()):
            yield f"{name} {entity} is missing; the journal has it"
        if table in _JOURNALED_ROWS:
            for entity in sorted(now.keys() - expected.keys()):
                yield f"{name} {entity} was never journaled"
        for entity in sorted(expected.keys() & now.keys()):
            for column, value in expected[entity].items():
                found = now[entity][column]
                if (found if found is not None else "none") != value:
                    yield f"{name} {entity}: {column} is {found}; the journal says {value}"
