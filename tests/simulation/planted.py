"""Bugs to be planted in the product, one at a time: a simulated world that does not find them is worth nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from agents.epochs import EpochLedger
from agents.spool import Spool
from lab_inventory.messages import ReceivedReport, Reception, RenewedLease, ReportReply, Standing
from orchestrator.desk import Desk
from orchestrator.lifecycle.verdict import Verdict
from orchestrator.pipeline import lease as lease_stage
from orchestrator.pipeline import plan as plan_stage
from orchestrator.pipeline import record as record_stage
from orchestrator.pipeline import requirement
from orchestrator.pipeline.schedule import explain
from orchestrator.store import engine as engine_module
from orchestrator.store import keeping, writing
from orchestrator.store import store as store_module
from tests.simulation.world import Violated, World

Planting = Callable[[], Iterator[None]]


def no_epoch_check_at_the_host() -> Iterator[None]:
    """The host takes whatever assignment comes, however old, and sees no slot as busy."""
    with (
        patch.object(EpochLedger, "why_stale", lambda self, run, epochs: None),
        patch("agents.held_runs.why_refused", lambda *args: None),
    ):
        yield


def late_reports_count() -> Iterator[None]:
    """Reports count whatever became of the lease."""
    with patch.object(record_stage, "_why_not", lambda batch, run, lease: ""):
        yield


def acknowledged_before_commit() -> Iterator[None]:
    """Reports are acknowledged, and committed when the next ones come."""
    kept: list[Any] = []
    receive = Desk.receive

    def too_early(self: Desk, host: str, batch: Any) -> ReportReply:
        if kept:
            early_host, early_batch = kept.pop()
            receive(self, early_host, early_batch)
        kept.append((host, batch))
        received = tuple(ReceivedReport(seq=report.seq, reception=Reception.RECORDED) for report in batch.reports)
        return ReportReply(received=received, next_seq=batch.reports[-1].seq + 1)

    with patch.object(Desk, "receive", too_early):
        yield


def renewed_after_its_end() -> Iterator[None]:
    """A lease is renewed whatever became of it."""

    def always(renewal: Any, host: str, lease: Any) -> RenewedLease:
        return RenewedLease(run=renewal.run, standing=Standing.RENEWED, ttl_s=60.0)

    with patch("orchestrator.desk.standing", always):
        yield


def a_repeat_overwrites_its_attempt() -> Iterator[None]:
    """The reports of earlier attempts go when the next one is queued."""
    before = writing._WRITERS[plan_stage.RunQueued]

    def overwrite(connection: Any, fact: Any, state: str) -> None:
        if fact.attempt > 1:
            connection.exec_driver_sql(
                "DELETE FROM reports WHERE run IN (SELECT run FROM runs WHERE submission = ?)", (fact.submission,)
            )
        before(connection, fact, state)

    with patch.dict(writing._WRITERS, {plan_stage.RunQueued: overwrite}):
        yield


def no_stop_by_its_own_clock() -> Iterator[None]:
    """A run goes on though its lease was not renewed."""
    with (
        patch("tests.simulation.host.must_stop", lambda lease, now_s: None),
        patch("tests.simulation.host.is_lost", lambda lease, now_s: False),
    ):
        yield


def keys_are_forgotten() -> Iterator[None]:
    """A batch that is sent again is taken again."""
    commit = store_module.Store.commit

    def forgetful(self: Any, facts: Any, **more: Any) -> Any:
        return commit(self, facts)

    with (
        patch.object(keeping, "reply_to", lambda connection, by, key: None),
        patch.object(store_module.Store, "commit", forgetful),
    ):
        yield


def everything_is_acknowledged() -> Iterator[None]:
    """A spool takes any acknowledgement for one of all it has."""
    acknowledge = Spool.acknowledge
    with patch.object(Spool, "acknowledge", lambda self, up_to: acknowledge(self, 10**9)):
        yield


def leases_lapse_early() -> Iterator[None]:
    """A lease lapses after a tenth of its ttl, and its host no longer says that it is busy."""
    lapsed = lease_stage.lapsed

    def early(leases: Any, renewed_at_s: Mapping[str, float], now_s: float) -> Any:
        return lapsed(leases, {lease: at - 0.9 * 60.0 for lease, at in renewed_at_s.items()}, now_s)

    with patch("orchestrator.loop.lapsed", early), patch("agents.held_runs.why_refused", lambda *args: None):
        yield


def a_cancel_forgets_what_runs() -> Iterator[None]:
    """What runs of a cancelled batch is not told to stop."""
    with patch("orchestrator.desk.HOLDS_A_LEASE", frozenset()):
        yield


def the_spool_is_not_synced() -> Iterator[None]:
    """A spool leaves it to the system when its commits reach the disk."""
    init = Spool.__init__

    def unsynced(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self._database.execute("PRAGMA synchronous=OFF")

    with patch.object(Spool, "__init__", unsynced):
        yield


def the_database_is_not_synced() -> Iterator[None]:
    """So does the server's database."""
    prepare = engine_module._prepare_sqlite

    def unsynced(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    with patch.object(engine_module, "_prepare_sqlite", unsynced):
        yield


def the_end_is_not_journaled() -> Iterator[None]:
    """The end of a run leaves no row in the journal."""
    with patch.object(record_stage.RunCompleted, "journaled", False):
        yield


def lab_errors_fail() -> Iterator[None]:
    """What the lab could not measure is held against the device."""

    class Failing:
        """The verdicts, with fail in the place of error."""

        def __getattr__(self, name: str) -> Any:
            return Verdict.FAIL if name == "ERROR" else getattr(Verdict, name)

    with patch.object(requirement, "Verdict", Failing()):
        yield


def quarantine_is_not_looked_at() -> Iterator[None]:
    """Runs are placed on units that are in quarantine."""
    checks = tuple(check for check in explain._CHECKS if check is not explain._quarantined)
    with patch.object(explain, "_CHECKS", checks):
        yield


PLANTED: Mapping[str, tuple[Planting, str]] = {
    "no epoch check at the host": (no_epoch_check_at_the_host, "one_driver"),
    "late reports count": (late_reports_count, "counted_under_the_lease"),
    "acknowledged before commit": (acknowledged_before_commit, "acknowledged_is_kept"),
    "renewed after its end": (renewed_after_its_end, "renewed_while_live"),
    "a repeat overwrites its attempt": (a_repeat_overwrites_its_attempt, "attempts_stay"),
    "no stop by its own clock": (no_stop_by_its_own_clock, "inside_the_lease"),
    "keys are forgotten": (keys_are_forgotten, "one_batch_per_key"),
    "everything is acknowledged": (everything_is_acknowledged, "acknowledged_is_kept"),
    "leases lapse early": (leases_lapse_early, "one_driver"),
    "a cancel forgets what runs": (a_cancel_forgets_what_runs, "people_are_obeyed"),
    "the spool is not synced": (the_spool_is_not_synced, "reports_in_sequence"),
    "the database is not synced": (the_database_is_not_synced, "accepted_is_kept"),
    "the end is not journaled": (the_end_is_not_journaled, "journal_agrees"),
    "quarantine is not looked at": (quarantine_is_not_looked_at, "quarantine_holds"),
    "lab errors fail": (lab_errors_fail, "verdicts_are_true"),
}
"""Each with the checker that finds it."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Work with one bug."""
    yield from PLANTED[name][0]()


def found_by(name: str, seed: int, steps: int) -> tuple[str, ...]:
    """The checkers that find a bug in one seed's world."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, planted(name):
        try:
            World(seed, Path(folder)).run(steps)
        except Violated as violated:
            return tuple(line.split(":")[0] for line in str(violated).splitlines())
    return ()
