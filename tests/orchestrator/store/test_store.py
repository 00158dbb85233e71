"""The store: all or nothing, one live lease of a resource, a journal nobody rewrites, nothing lost by a kill."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import small_lab
from lab_world import World, registration, submission
from sqlalchemy import insert, select, text

from lab_inventory.clock import ManualClock
from lab_inventory.errors import BadInput, Conflict
from orchestrator.lifecycle.batch import BatchHeld, BatchReleased
from orchestrator.lifecycle.lease import LeaseGranted, LeaseReleased
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.run import RunCancelled, RunErrored, RunPlaced, RunStarted
from orchestrator.store import tables as t
from orchestrator.store import views
from orchestrator.store.audit import audit
from orchestrator.store.store import GENESIS, JournalHead, Store, head


def waiting_runs(world: World, count: int) -> list[str]:
    """Runs that wait, none of which can be placed."""
    world.submit(*[submission(f"phone {number}") for number in range(count)])
    with world.store.reading() as connection:
        return [run.run for run in views.queue(connection)]


def grant(world: World, run: str, *resources: str, epoch: int = 1, lease: str = "") -> tuple[Fact, Fact]:
    lease, now = lease or f"lea-of-{run}", world.clock.now()
    return (
        LeaseGranted(
            lease=lease,
            run=run,
            host="host-1",
            epochs=dict.fromkeys(resources, epoch),
            ttl_s=900,
            deadline_s=60,
            at=now,
        ),
        RunPlaced(
            run=run,
            lease=lease,
            device="dev-1",
            host="host-1",
            slot="slot-1",
            registration=small_lab.registration(),
            waited_s=0,
            at=now,
        ),
    )


def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))] for table in t.metadata.sorted_tables
        }


def test_a_fact_that_does_not_fit_takes_its_whole_commit_with_it(world: World) -> None:
    (run,) = waiting_runs(world, 1)
    before = rows_of(world.store)
    late = RunErrored(run="run-unknown", reason="", at=world.clock.now())
    with pytest.raises(Conflict, match="RunErrored does not follow"):
        world.store.commit([*grant(world, run, "slot:a"), late])
    assert rows_of(world.store) == before


def test_a_group_that_does_not_fit_is_refused_alone_and_the_chain_holds(world: World) -> None:
    first, second, third = waiting_runs(world, 3)
    answers = world.store.commit_each(
        [
            grant(world, first, "slot:a", "instrument:b"),
            grant(world, second, "slot:c", "instrument:b"),
            grant(world, third, "slot:c"),
        ]
    )
    assert [answer is None for answer in answers] == [True, False, True]
    assert "instrument:b" in str(answers[1])
    assert [world.state(run) for run in (first, second, third)] == ["placed", "waiting", "placed"]
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
        assert views.epochs(connection) == {"slot:a": 1, "instrument:b": 1, "slot:c": 1}


def test_a_group_that_a_constraint_refuses_does_not_take_the_others_with_it(world: World) -> None:
    first, second = waiting_runs(world, 2)
    world.store.commit(grant(world, first, "slot:a"))
    answers = world.store.commit_each(
        [grant(world, first, "slot:b", lease="lea-again"), grant(world, second, "slot:b")]
    )
    assert isinstance(answers[0], Conflict)
    assert answers[1] is None


def test_a_run_cancelled_since_the_snapshot_is_not_placed(world: World) -> None:
    first, second = waiting_runs(world, 2)
    world.store.commit([RunCancelled(run=first, reason="", at=world.clock.now())])
    answers = world.store.commit_each([grant(world, first, "slot:a"), grant(world, second, "slot:b")])
    assert isinstance(answers[0], Conflict)
    assert world.state(first) == "cancelled"
    assert world.state(second) == "placed"


def test_an_epoch_cannot_be_granted_twice_nor_skipped(world: World) -> None:
    first, second, third = waiting_runs(world, 3)
    world.store.commit(grant(world, first, "slot:a"))
    world.store.commit(
        [
            RunErrored(run=first, reason="", at=world.clock.now()),
            LeaseReleased(lease=f"lea-of-{first}", at=world.clock.now()),
        ]
    )
    for epoch in (1, 3):
        with pytest.raises(Conflict, match=f"{epoch} does not follow"):
            world.store.commit(grant(world, second, "slot:a", epoch=epoch))
    world.store.commit(grant(world, third, "slot:a", epoch=2))


def test_the_database_itself_refuses_a_second_live_lease_of_a_resource(world: World) -> None:
    first, second = waiting_runs(world, 2)
    world.store.commit([*grant(world, first, "slot:a"), *grant(world, second, "slot:b")])
    with pytest.raises(Conflict), world.store.administering() as connection:
        connection.execute(insert(t.held_resources).values(resource="slot:a", lease=f"lea-of-{second}"))


def test_two_servers_on_one_database_cannot_grant_the_same_resource(world: World) -> None:
    first, second = waiting_runs(world, 2)
    other = Store(world.url, world.clock)
    won: list[str] = []

    def try_to(store: Store, run: str) -> None:
        if store.commit_each([grant(world, run, "slot:a")]) == (None,):
            won.append(run)

    threads = [threading.Thread(target=try_to, args=pair) for pair in ((world.store, first), (other, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(won) == 1


def test_writers_in_many_threads_make_one_chain(world: World) -> None:
    batches = [world.submit(key=str(number)).batch for number in range(4)]

    def hold_and_release(batch: str) -> None:
        for _ in range(5):
            world.store.commit([BatchHeld(batch=batch, by="x")])
            world.store.commit([BatchReleased(batch=batch, by="x")])

    threads = [threading.Thread(target=hold_and_release, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
        assert head(connection).length == 4 * (2 + 10)


def test_writers_of_several_servers_make_one_chain(world: World) -> None:
    batches = [world.submit(key=str(number)).batch for number in range(3)]
    stores = [Store(world.url, world.clock) for _ in batches]
    refused: list[Exception] = []

    def hold_and_release(store: Store, batch: str) -> None:
        try:
            for _ in range(15):
                store.commit([BatchHeld(batch=batch, by="x")])
                store.commit([BatchReleased(batch=batch, by="x")])
        except Exception as error:
            refused.append(error)

    threads = [threading.Thread(target=hold_and_release, args=pair) for pair in zip(stores, batches, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert refused == []
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
        assert head(connection).length == 3 * (2 + 30)


def test_another_server_commits_before_or_after_a_decision_and_never_in_its_midst(world: World) -> None:
    batch = world.submit().batch
    other = Store(world.url, world.clock)
    met: list[Conflict] = []
    asked = threading.Event()

    def hold() -> None:
        asked.set()
        try:
            other.commit([BatchHeld(batch=batch, by="other")])
        except Conflict as conflict:
            met.append(conflict)

    thread = threading.Thread(target=hold)
    with world.store.deciding() as connection:
        thread.start()
        assert asked.wait(10)
        thread.join(0.3)  # it waits: nothing tells of that but that it goes on to
        assert thread.is_alive()
        assert views.batch_state(connection, batch) == "open"
        world.store.commit([BatchHeld(batch=batch, by="first")])
    thread.join()
    other.close()
    assert "BatchHeld does not follow" in str(met[0])


def test_of_a_decision_that_fails_nothing_is_kept_and_nobody_is_told(world: World) -> None:
    batch = world.submit().batch
    before = rows_of(world.store)
    told: list[Fact] = []
    world.store.listen(told.extend)
    with pytest.raises(KeyError), world.store.deciding():
        world.store.commit([BatchHeld(batch=batch, by="x")])
        raise KeyError
    assert rows_of(world.store) == before
    assert told == []


def test_what_a_decision_is_refused_it_may_catch_and_the_rest_is_kept(world: World) -> None:
    batch = world.submit().batch
    told: list[Fact] = []
    world.store.listen(told.extend)
    with world.store.deciding() as connection:
        world.store.commit([BatchHeld(batch=batch, by="x")])
        with pytest.raises(Conflict):
            world.store.commit([BatchReleased(batch=batch, by="x"), BatchReleased(batch=batch, by="x")])
        assert views.batch_state(connection, batch) == "held"
        assert told == []
    assert [type(fact) for fact in told] == [BatchHeld]
    with world.store.reading() as connection:
        assert audit(connection).findings == ()


def test_listeners_are_told_after_the_commit_and_never_of_what_was_refused(world: World) -> None:
    first, second = waiting_runs(world, 2)
    told: list[tuple[str, str]] = []

    def listener(facts: Sequence[Fact]) -> None:
        told.extend((type(fact).__name__, world.state(first)) for fact in facts)

    world.store.listen(listener)
    world.store.commit_each([grant(world, first, "slot:a"), grant(world, second, "slot:a")])
    assert told == [("LeaseGranted", "placed"), ("RunPlaced", "placed")]
    with pytest.raises(Conflict):
        world.store.commit([RunStarted(run=second, at=world.clock.now())])
    assert len(told) == 2


def test_facts_can_be_made_on_the_head_they_are_committed_on(world: World) -> None:
    batch = world.submit().batch
    seen: list[JournalHead] = []

    def facts(end: JournalHead) -> list[Fact]:
        seen.append(end)
        return [BatchHeld(batch=batch, by="x")]

    world.store.commit(facts)
    with world.store.reading() as connection:
        (previous,) = connection.execute(
            select(t.journal.c.previous).where(t.journal.c.seq == seen[0].length + 1)
        ).scalars()
    assert previous == seen[0].hash != GENESIS


@pytest.mark.parametrize("statement", ["UPDATE journal SET entity = 'x'", "DELETE FROM journal"])
def test_the_journal_cannot_be_rewritten(world: World, statement: str) -> None:
    world.submit()
    before = rows_of(world.store)
    with pytest.raises(Conflict, match="append-only"), world.store.administering() as connection:
        connection.execute(text(statement))
    assert rows_of(world.store) == before


def test_a_place_where_no_database_can_be_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        Store(f"sqlite:///{tmp_path}/missing/assay.sqlite", ManualClock())


def test_what_is_read_is_one_committed_state(world: World) -> None:
    batch = world.submit().batch
    with world.store.reading() as connection:
        assert views.batch_state(connection, batch) == "open"
        world.store.commit([BatchHeld(batch=batch, by="x")])
        assert views.batch_state(connection, batch) == "open"
    with world.store.reading() as connection:
        assert views.batch_state(connection, batch) == "held"


def test_every_connection_syncs_what_it_commits_and_checks_its_references(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.store.reading() as one, world.store.reading() as another:
        for connection in (one, another):
            answers = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS]
            assert answers == list(PRAGMAS.values())
    world.store.close()


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from lab_world import World, registration
world = World(Path(sys.argv[1]), url=sys.argv[3])
for number in range(100_000):
    print(world.submit(key=str(number)).batch, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, database_url: str) -> None:
    here = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(here), database_url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(here.parent.parent)},
    )
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    process.wait()
    store = Store(database_url, ManualClock())
    with store.reading() as connection:
        kept = set(connection.execute(select(t.batches.c.batch)).scalars())
        found = audit(connection).findings
    store.close()
    assert len(acknowledged) >= 20
    assert set(acknowledged) <= kept
    assert found == ()


def test_a_unit_is_known_again_by_its_identity_and_never_twice(world: World) -> None:
    world.heartbeat(registration(1))
    world.reopen()
    world.heartbeat(registration(1))
    with world.store.reading() as connection:
        assert len(views.devices(connection)) == 1
