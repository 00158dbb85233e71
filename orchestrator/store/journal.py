"""The journal: one row for each decision that matters, chained by hash. Pure: rows in, rows and findings out.

A row's hash covers the hash before it and everything in the row, so a changed, swapped, inserted or missing row breaks
the chain. That its tail was cut, a chain cannot show: each certificate carries the head it was granted at.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lab_inventory.canonical import canonical_bytes, sha256

GENESIS = sha256(b"assay journal 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One row. ``state`` is the state of ``entity`` after the fact, empty where it moves no machine."""

    seq: int
    at: str
    fact: str
    machine: str
    entity: str
    state: str
    body: str
    previous: str
    hash: str


def next_row(
    previous: tuple[int, str], *, at: str, fact: str, machine: str, entity: str, state: str, body: str
) -> JournalRow:
    """The row after ``previous`` (its seq and hash; ``(0, GENESIS)`` at the beginning)."""
    seq, head = previous
    draft = JournalRow(
        seq=seq + 1, at=at, fact=fact, machine=machine, entity=entity, state=state, body=body, previous=head, hash=""
    )
    return JournalRow(**{**asdict(draft), "hash": hash_of(draft)})


def hash_of(row: JournalRow) -> str:
    """The hash that a row with this content has."""
    content = asdict(row)
    del content["hash"]
    return sha256(canonical_bytes(content))


def body_of(row: JournalRow) -> dict[str, Any]:
    """What a row holds of its fact; empty where it is no longer readable (its hash then says so)."""
    try:
        body = json.loads(row.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def broken_links(rows: Iterable[JournalRow]) -> tuple[str, ...]:
    """Everything wrong with the chain, in words; rows in the order of their seq."""
    findings: list[str] = []
    seq, head = 0, GENESIS
    for row in rows:
        if row.seq != seq + 1:
            findings.append(f"journal row {seq + 1} is missing: row {row.seq} follows {seq}")
        if row.previous != head:
            findings.append(f"journal row {row.seq} does not continue row {seq}")
        if hash_of(row) != row.hash:
            findings.append(f"journal row {row.seq} ({row.fact} {row.entity}) was changed")
        seq, head = row.seq, row.hash
    return tuple(findings)
