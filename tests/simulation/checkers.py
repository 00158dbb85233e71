"""The invariants, each a function from what was seen to what is wrong, in words. Pure."""

import json
from collections import Counter
from collections.abc import Callable, Iterator

from tests.simulation.history import History, Row, Tables

Checker = Callable[[History, Tables], Iterator[str]]

TERMINAL = {
    "runs": {"completed", "error", "cancelled", "lapsed"},
    "leases": {"released", "revoked", "lapsed"},
    "submissions": {"judged", "cancelled"},
    "batches": {"completed", "cancelled"},
}
KEYS = {"runs": "run", "leases": "lease", "submissions": "submission", "batches": "batch"}


def _is_probation(batch: Row) -> bool:
    return bool(batch.get("purpose") == "probation")


def one_live_lease(history: History, now: Tables) -> Iterator[str]:
    """A resource has at most one live lease."""
    live = Counter(r for lease in now.leases if lease["state"] == "live" for r in json.loads(lease["epochs"]))
    yield from (f"{resource} has {count} live leases" for resource, count in live.items() if count > 1)


def epochs_grow(history: History, now: Tables) -> Iterator[str]:
    """Every grant of a resource has an epoch of its own, without gaps."""
    seen: dict[str, list[int]] = {}
    for lease in now.leases:
        for resource, epoch in json.loads(lease["epochs"]).items():
            seen.setdefault(resource, []).append(epoch)
    for resource, epochs in seen.items():
        if sorted(epochs) != list(range(1, len(epochs) + 1)):
            yield f"{resource} was granted under the epochs {sorted(epochs)}"


def one_driver(history: History, now: Tables) -> Iterator[str]:
    """Who drives a device never has a lower epoch than somebody before."""
    last: dict[str, tuple[int, str]] = {}
    for touch in history.touches:
        for resource, epoch in touch.epochs.items():
            before, run = last.get(resource, (0, ""))
            if epoch < before or (epoch == before and run != touch.run):
                yield f"{resource} was driven by {touch.run} under epoch {epoch} after {run} under {before}"
            last[resource] = (epoch, touch.run)


def inside_the_lease(history: History, now: Tables) -> Iterator[str]:
    """Nobody drives a device once its last renewal has run out."""
    for touch in history.touches:
        if touch.at_s > touch.right_until_s:
            yield f"{touch.run} drove its device at {touch.at_s:.1f} s, its right ended at {touch.right_until_s:.1f} s"


def renewed_while_live(history: History, now: Tables) -> Iterator[str]:
    """A lease is renewed only while it is live."""
    yield from (
        f"{run} was told that its lease is renewed, which was {state}"
        for run, state in history.renewed
        if state != "live"
    )


def accepted_is_kept(history: History, now: Tables) -> Iterator[str]:
    """What a submitter was told is accepted is there, with all that belongs to it."""
    batches = {row["batch"] for row in now.batches}
    with_runs = {row["batch"] for row in now.runs}
    for key, batch in history.accepted.items():
        if batch not in batches or batch not in with_runs:
            yield f"{batch} was accepted under {key} and is lost"


def one_batch_per_key(history: History, now: Tables) -> Iterator[str]:
    """The same key gets the same batch, however often it is sent."""
    for key, batch in history.told:
        if history.accepted[key] != batch:
            yield f"{key} was told {history.accepted[key]} and then {batch}"
    submitted = [row for row in now.batches if not _is_probation(row)]
    if len(submitted) != len(now.idempotency):
        yield f"{len(submitted)} batches for {len(now.idempotency)} keys"


def counted_under_the_lease(history: History, now: Tables) -> Iterator[str]:
    """What newly counts of a run came under its live lease, or after its lapse with no later epoch granted."""
    lease_of = {lease["run"]: lease for lease in history.before.leases}
    latest: dict[str, int] = {}
    for lease in history.before.leases:
        for resource, epoch in json.loads(lease["epochs"]).items():
            latest[resource] = max(epoch, latest.get(resource, 0))
    known = {(row["run"], row["seq"]) for row in history.before.reports}
    for row in now.reports:
        lease = lease_of.get(row["run"])
        if (row["run"], row["seq"]) in known or lease is None or lease["state"] == "live":
            continue
        later = [r for r, epoch in json.loads(lease["epochs"]).items() if latest[r] > epoch]
        if lease["state"] != "lapsed" or later:
            words = f"its lease was {lease['state']}" + (f", {', '.join(later)} granted again" if later else "")
            yield f"report {row['seq']} of {row['run']} counts though {words}"


def reports_in_sequence(history: History, now: Tables) -> Iterator[str]:
    """What counts of a run is there from 1 on without gaps, just as its process wrote it."""
    counted: dict[str, dict[int, str]] = {}
    for row in now.reports:
        counted.setdefault(row["run"], {})[row["seq"]] = row["digest"]
    for run, digests in counted.items():
        if sorted(digests) != list(range(1, len(digests) + 1)):
            yield f"{run} has the reports {sorted(digests)}"
        written = history.written.get(run, {})
        yield from (
            f"report {seq} of {run} is not what was written" for seq in digests if written.get(seq) != digests[seq]
        )


def acknowledged_is_kept(history: History, now: Tables) -> Iterator[str]:
    """What a spool took as acknowledged is with the server, counted or quarantined."""
    kept = {(row["run"], row["seq"]) for row in (*now.reports, *now.quarantined)}
    for run, up_to in history.acknowledged.items():
        missing = [seq for seq in range(1, up_to + 1) if (run, seq) not in kept]
        if missing:
            yield f"{run}: the reports {missing} were acknowledged and are lost"


def ends_are_final(history: History, now: Tables) -> Iterator[str]:
    """What has ended stays as it ended, and nothing that was there is gone."""
    for table, key in KEYS.items():
        after = {row[key]: row for row in getattr(now, table)}
        for row in getattr(history.before, table):
            found = after.get(row[key])
            if found is None:
                yield f"{table}: {row[key]} is gone"
            elif row["state"] in TERMINAL[table] and found["state"] != row["state"]:
                yield f"{table}: {row[key]} was {row['state']} and is {found['state']}"


def attempts_stay(history: History, now: Tables) -> Iterator[str]:
    """A repeat is an attempt of its own: numbers go up by one, and no attempt becomes another's."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for row in now.runs:
        numbers.setdefault((row["submission"], row["suite"]), []).append(row["attempt"])
    for of, attempts in numbers.items():
        if sorted(attempts) != list(range(1, len(attempts) + 1)):
            yield f"{of[0]} has the attempts {sorted(attempts)}"
    before = {row["run"]: row["attempt"] for row in history.before.runs}
    for row in now.runs:
        if before.get(row["run"], row["attempt"]) != row["attempt"]:
            yield f"{row['run']} was attempt {before[row['run']]} and is {row['attempt']}"
    reported = Counter(row["run"] for row in history.before.reports)
    counted = Counter(row["run"] for row in now.reports)
    yield from (
        f"{run} had {count} reports and has {counted[run]}" for run, count in reported.items() if counted[run] < count
    )


def verdicts_are_true(history: History, now: Tables) -> Iterator[str]:
    """A good product never fails and a bad one never earns, whatever the lab did; judged again, it is the same."""
    probations = {row["batch"] for row in now.batches if _is_probation(row)}
    products = {row["submission"]: row["model"] for row in now.submissions if row.get("batch") not in probations}
    for row in now.judgements:
        submission = row["submission"]
        if submission not in products:
            continue
        bad = products[submission] in history.bad_products
        levels = json.loads(row["body"])["levels"]
        verdicts = {r["verdict"] for level in levels for r in level["requirements"]}
        earned = json.loads(row["body"])["earned"]
        if bad and earned is not None:
            yield f"{submission} is of a bad product and earned {earned}"
        if not bad and "fail" in verdicts:
            yield f"{submission} is of a good product and failed"
        if submission in history.rejudged and history.rejudged[submission] != row["digest"]:
            yield f"{submission} judged again is judged otherwise"


def people_are_obeyed(history: History, now: Tables) -> Iterator[str]:
    """What a person cancelled, held or took out is not begun."""
    yield from history.placed_though
    states = {row["batch"]: row["state"] for row in now.batches}
    for batch in history.cancelled:
        if states.get(batch) != "cancelled":
            yield f"{batch} was cancelled and is {states.get(batch)}"
    for row in now.runs:
        if row["batch"] in history.cancelled and row["state"] in ("waiting", "placed", "taken", "running"):
            yield f"{row['run']} of the cancelled {row['batch']} is {row['state']}"


def quarantine_holds(history: History, now: Tables) -> Iterator[str]:
    """What the lab took out gets nothing but its own probation, and that is there."""
    yield from (f"{words}, which was in quarantine" for words in history.placed_in_quarantine)
    there = {row["batch"] for row in now.batches}
    for row in now.quarantines:
        if row["state"] == "probation" and row["batch"] not in there:
            yield f"{row['resource']} is on probation in {row['batch']}, which there is not"


def journal_agrees(history: History, now: Tables) -> Iterator[str]:
    """The chain holds, and the tables say what the journal says."""
    yield from history.audit


CHECKERS: tuple[Checker, ...] = (
    one_live_lease,
    epochs_grow,
    one_driver,
    inside_the_lease,
    renewed_while_live,
    accepted_is_kept,
    one_batch_per_key,
    counted_under_the_lease,
    reports_in_sequence,
    acknowledged_is_kept,
    ends_are_final,
    attempts_stay,
    verdicts_are_true,
    people_are_obeyed,
    quarantine_holds,
    journal_agrees,
)


def violations(history: History, now: Tables) -> Iterator[str]:
    """Everything that is wrong."""
    for checker in CHECKERS:
        for words in checker(history, now):
            yield f"{checker.__name__}: {words}"


def unfinished(now: Tables) -> Iterator[str]:
    """What still goes on, long after the last fault: everything must end, and nothing may stay leased."""
    for table, key in KEYS.items():
        yield from (
            f"{table}: {row[key]} is still {row['state']}"
            for row in getattr(now, table)
            if row["state"] not in TERMINAL[table]
        )
