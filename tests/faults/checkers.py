"""What clients were told, what spools were told, and what devices saw, against the tables and the journal. Pure.

Each checker takes what is known and gives what is wrong, in words.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.clients import OK, Told
from tests.faults.witness import Press, driven_twice

Row = Mapping[str, Any]
ENDED = ("completed", "cancelled")
NAMES = (
    "batches",
    "submissions",
    "runs",
    "leases",
    "reports",
    "quarantined_reports",
    "judgements",
    "idempotency",
    "journal",
)


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """What an agent's disk holds of a run: its reports by number, and up to which it was told that they are kept."""

    run: str
    reports: Mapping[int, Any]
    acknowledged: int
    ended: bool

    @property
    def delivered(self) -> bool:
        """Whether its end is there and everything up to it is acknowledged."""
        return self.ended and self.acknowledged >= max(self.reports)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Everything that is known after a lab has come to rest."""

    told: Sequence[Told] = ()
    presses: Sequence[Press] = ()
    spools: Sequence[Spooled] = ()
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    artifacts: Mapping[str, bool] = field(default_factory=dict)
    """Content address to whether the file has it."""
    audit: Sequence[str] = ()

    def rows(self, name: str) -> Sequence[Row]:
        return self.tables.get(name, ())


Checker = Callable[[Seen], Iterator[str]]


def acknowledged_batches(seen: Seen) -> frozenset[str]:
    """The batches of which some client was told that they are taken."""
    return frozenset(told.batch for told in seen.told if told.verb == "submit" and told.answer == OK)


def lost(seen: Seen) -> Iterator[str]:
    """An acknowledged batch is there, in tables and journal, and has come to an end."""
    batches = {row["batch"]: row for row in seen.rows("batches")}
    journaled = {row["entity"] for row in seen.rows("journal") if row["fact"] == "BatchAccepted"}
    for batch in sorted(acknowledged_batches(seen)):
        if batch not in batches or batch not in journaled:
            yield f"{batch} was acknowledged and is not there"
        elif batches[batch]["state"] not in ENDED:
            yield f"{batch} was acknowledged and has not ended: it is {batches[batch]['state']}"


def judged(seen: Seen) -> Iterator[str]:
    """Every submission of a completed batch has a judgement; no lab error failed a device."""
    judgements = {row["submission"]: row for row in seen.rows("judgements")}
    completed = {row["batch"] for row in seen.rows("batches") if row["state"] == "completed"}
    for row in seen.rows("submissions"):
        if row["batch"] in completed and row["submission"] not in judgements:
            yield f"{row['submission']} of the completed {row['batch']} has no judgement"
    for submission, row in judgements.items():
        verdicts = {r["verdict"] for level in json.loads(row["body"])["levels"] for r in level["requirements"]}
        if "fail" in verdicts:
            yield f"{submission} failed, and its device did nothing wrong"


def one_batch_for_a_key(seen: Seen) -> Iterator[str]:
    """The same key always got the same batch, and no batch came of anything but a key."""
    told: dict[str, set[str]] = {}
    for one in seen.told:
        if one.verb == "submit" and one.answer == OK:
            told.setdefault(one.key, set()).add(one.batch)
    yield from (f"{key} was told {', '.join(sorted(of))}" for key, of in told.items() if len(of) > 1)
    keys = Counter(json.loads(row["reply"])["batch"] for row in seen.rows("idempotency"))
    batches = {row["batch"] for row in seen.rows("batches") if row["purpose"] == "certification"}
    yield from (f"{batch} stands under {keys[batch]} keys" for batch in sorted(batches) if keys[batch] != 1)
    stored = {row["key"]: json.loads(row["reply"])["batch"] for row in seen.rows("idempotency")}
    for key, of in told.items():
        if len(of) == 1 and stored.get(key) not in of:
            yield f"{key} was told {of.pop()} and is kept as {stored.get(key)}"


def cancels_hold(seen: Seen) -> Iterator[str]:
    """What a client was told is cancelled, is."""
    states = {row["batch"]: row["state"] for row in seen.rows("batches")}
    for told in seen.told:
        if told.verb == "cancel" and told.answer == OK and states.get(told.batch) != "cancelled":
            yield f"{told.batch} was cancelled and is {states.get(told.batch)}"


def results_kept(seen: Seen) -> Iterator[str]:
    """What an agent was told is kept of a run, is kept just so; and of every run everything was told."""
    kept: dict[tuple[str, int], list[Any]] = {}
    for name in ("reports", "quarantined_reports"):
        for row in seen.rows(name):
            kept.setdefault((row["run"], row["seq"]), []).append(json.loads(row["body"]))
    for spool in seen.spools:
        for seq, report in spool.reports.items():
            if seq <= spool.acknowledged and report not in kept.get((spool.run, seq), []):
                yield f"report {seq} of {spool.run} was acknowledged and is not kept"
        if not spool.delivered:
            told = f"{spool.acknowledged} of {len(spool.reports)} reports"
            yield f"{spool.run} is not delivered: {told}, and its end is {'there' if spool.ended else 'missing'}"


def in_sequence(seen: Seen) -> Iterator[str]:
    """What counts of a run is there from 1 on without gaps."""
    numbers: dict[str, list[int]] = {}
    for row in seen.rows("reports"):
        numbers.setdefault(row["run"], []).append(row["seq"])
    for run, of in numbers.items():
        if sorted(of) != list(range(1, len(of) + 1)):
            yield f"{run} has the reports {sorted(of)}"


def evidence_kept(seen: Seen) -> Iterator[str]:
    """The files that counted reports rest on are there, with the content they are named for."""
    for row in seen.rows("reports"):
        for evidence in json.loads(row["body"])["body"].get("evidence", ()):
            if not seen.artifacts.get(evidence["digest"], False):
                yield f"{evidence['digest']} of report {row['seq']} of {row['run']} is not kept"


def all_ended(seen: Seen) -> Iterator[str]:
    """Nothing is under way any more, and nothing is leased."""
    for row in seen.rows("runs"):
        if row["state"] not in ("completed", "error", "cancelled", "lapsed"):
            yield f"{row['run']} is still {row['state']}"
    yield from (f"{row['lease']} is still live" for row in seen.rows("leases") if row["state"] == "live")


def epochs_grow(seen: Seen) -> Iterator[str]:
    """Every grant of a resource has the next epoch, and keys were pressed under the epochs that were granted."""
    granted: dict[str, list[int]] = {}
    of_run: dict[str, Mapping[str, int]] = {}
    for row in seen.rows("leases"):
        of_run[row["run"]] = epochs = json.loads(row["epochs"])
        for resource, epoch in epochs.items():
            granted.setdefault(resource, []).append(epoch)
    for resource, epochs_of in granted.items():
        if sorted(epochs_of) != list(range(1, len(epochs_of) + 1)):
            yield f"{resource} was granted under the epochs {sorted(epochs_of)}"
    for run, epoch in sorted({(press.run, press.epoch) for press in seen.presses if press.run}):
        if epoch not in of_run.get(run, {}).values():
            yield f"{run} pressed keys under epoch {epoch}, which it was not granted"


def audited(seen: Seen) -> Iterator[str]:
    """The journal's chain holds and the tables agree with it."""
    yield from seen.audit


def twice(seen: Seen) -> Iterator[str]:
    """No device was driven by two runs at a time."""
    yield from driven_twice(seen.presses)


CHECKERS: tuple[Checker, ...] = (
    lost,
    twice,
    judged,
    one_batch_for_a_key,
    cancels_hold,
    results_kept,
    in_sequence,
    evidence_kept,
    all_ended,
    epochs_grow,
    audited,
)


def violations(seen: Seen) -> dict[str, tuple[str, ...]]:
    """Everything that is wrong, by checker."""
    found = {checker.__name__: tuple(checker(seen)) for checker in CHECKERS}
    return {name: wrong for name, wrong in found.items() if wrong}
