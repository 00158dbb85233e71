"""What Prometheus reads: right from the start, after a restart, with several servers, and as cheap after many runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_world import TTL_S, World, registration, submission
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, func, select, text

from lab_inventory.errors import Conflict, Unavailable
from lab_inventory.messages import (
    Acceptance,
    Assignment,
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    RunOutcome,
    Started,
)
from orchestrator.lifecycle.lease import LeaseLapsed
from orchestrator.loop import DISPATCH_AGAIN_S, DispatchAnswered
from orchestrator.metrics import LOOK_S_MAX, Metrics
from orchestrator.store import listings
from orchestrator.store import tables as t
from orchestrator.store.store import Store

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"
SERIES_MAX = 200
"""With two categories that have procedures."""
ENOUGH_RUNS = 300
GROWING = {"runs", "submissions", "batches", "leases", "reports", "quarantined_reports", "journal", "judgements"}
GROWING |= {"decisions", "certificates", "idempotency"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A world of fifty slots, on SQLite alone."""
    world = World(tmp_path, slots=50)
    yield world
    world.store.close()


def metrics_of(world: World, **more: Any) -> Metrics:
    return Metrics(world.store, world.clock, **more)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The one series of that name that has these labels among its own; of phones, where no category is given."""
    of = {"category": "ip-phone"} | labels
    found = [v for (other, has), v in series(metrics).items() if other == name and has_all(dict(has), of)]
    assert len(found) <= 1, f"{name} {labels} is not one series"
    return found[0] if found else None


def has_all(has: dict[str, str], of: dict[str, str]) -> bool:
    return all(has.get(name, wanted if name == "category" else None) == wanted for name, wanted in of.items())


def series(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def taken(world: World, **submitted: Any) -> Assignment:
    world.heartbeat(registration(1))
    world.submit(submission(**submitted))
    (dispatch,) = world.tick()
    return world.take(dispatch)


def ended(world: World, assignment: Assignment, *said: Any) -> None:
    """A run that said so much and then broke off."""
    bodies = (*said, Ended(outcome=RunOutcome.ERROR, reason="it broke off", within_deadline=True))
    world.deliver(assignment, *(world.report(seq, body) for seq, body in enumerate(bodies, 1)))


def whole(world: World, assignment: Assignment, **worse: Any) -> None:
    world.deliver(assignment, *world.whole_run(assignment, **worse))
    world.tick()


# Names and series


def test_names_types_and_labels_are_the_golden_ones(world: World) -> None:
    lines = []
    for family in text_string_to_metric_families(metrics_of(world).text().decode()):
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        lines.append(f"{family.type} {family.name} {' '.join(labels)}".strip())
        assert family.documentation
    assert sorted(lines) == GOLDEN.read_text().splitlines()


def test_every_series_is_there_before_anything_happened(world: World) -> None:
    before = series(metrics_of(world))
    zero = {key for key, number in before.items() if number == 0}
    assert {name for name, _ in before.keys() - zero} == {"assay_database_readable", "assay_leading"}
    whole(world, taken(world))
    assert series(metrics_of(world)).keys() == before.keys()


def test_hundreds_of_runs_add_no_series(small: World) -> None:
    world, metrics = small, metrics_of(small)
    before = series(metrics).keys()
    world.submit(*(submission(f"phone {number}") for number in range(150)), key="many")
    endings = 0
    for _ in range(200):
        world.clock.advance(DISPATCH_AGAIN_S + 1)  # what other passes than this one dispatched is dispatched again
        world.heartbeat(*(registration(number) for number in range(1, 51)))
        with world.store.reading() as connection:
            out = listings.quarantine(connection)
        for row in out:
            world.loop.care.put_back(row["resource"], "operator", "a test")
        dispatches = world.tick()
        refused = {dispatch.run for dispatch in dispatches[::10]}
        world.tick(
            *(
                DispatchAnswered(run=d.run, answer=Acceptance.REFUSED, reason=f"no room for {d.run}")
                if d.run in refused
                else DispatchAnswered(run=d.run, answer=Acceptance.ACCEPTED, ray_node="node-1", ray_actor="actor-1")
                for d in dispatches
            )
        )
        world.watch.refused.clear()
        for number, dispatch in enumerate(dispatches):
            assignment = Assignment.model_validate_json(dispatch.assignment_json)
            if number == 1:
                world.deliver(assignment, *world.whole_run(assignment))
            elif dispatch.run not in refused:
                ended(world, assignment, Started(suite_version=dispatch.run, pid=number))
        endings += len(dispatches)
        if endings >= ENOUGH_RUNS:
            break
    with world.store.reading() as connection:
        runs = connection.execute(select(func.count()).where(t.runs.c.ended_at.is_not(None))).scalar_one()
    assert runs >= ENOUGH_RUNS
    assert series(metrics).keys() == before
    assert len(before) <= SERIES_MAX


def test_a_lab_file_gives_the_lab_its_label(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert value(metrics_of(world), "assay_queue_depth", lab="test") == 0
    world.store.close()


# What is counted


def test_a_run_is_counted_from_the_queue_to_its_certificate(world: World) -> None:
    metrics = metrics_of(world)
    world.heartbeat(registration(1))
    world.submit()
    assert value(metrics, "assay_queue_depth") == 1
    world.clock.advance(7)
    assert value(metrics, "assay_queue_oldest_seconds") == 7
    (dispatch,) = world.tick()
    assert value(metrics, "assay_queue_wait_seconds_sum", category="ip-phone") == pytest.approx(7)
    assert value(metrics, "assay_queue_wait_seconds_bucket", le="5.0") == 0
    assert value(metrics, "assay_queue_wait_seconds_bucket", le="15.0") == 1
    assert value(metrics, "assay_queue_wait_seconds_bucket", le="+Inf") == 1
    assert value(metrics, "assay_devices", state="busy") == 1
    world.clock.advance(0.5)
    assignment = world.take(dispatch)
    assert value(metrics, "assay_dispatch_latency_seconds_sum") == pytest.approx(0.5)
    reports = world.whole_run(assignment)
    world.deliver(assignment, reports[0])
    world.clock.advance(20)
    world.deliver(assignment, *reports[1:])
    world.tick()
    assert value(metrics, "assay_run_duration_seconds_sum", category="ip-phone") == pytest.approx(20)
    assert value(metrics, "assay_runs_completed_total", category="ip-phone") == 1
    for level in ("works-with", "certified"):
        assert value(metrics, "assay_level_verdicts_total", level=level, verdict="pass") == 1
        assert value(metrics, "assay_levels_met_total", level=level) == 1
    assert value(metrics, "assay_certificates", state="granted") == 1
    assert value(metrics, "assay_queue_depth") == value(metrics, "assay_queue_oldest_seconds") == 0
    assert value(metrics, "assay_devices", state="idle") == 1


def test_a_device_that_fails_is_a_verdict_and_no_fault_of_the_lab(world: World) -> None:
    metrics = metrics_of(world)
    whole(world, taken(world), ringing_ms=1000.0)
    assert value(metrics, "assay_level_verdicts_total", level="works-with", verdict="pass") == 1
    assert value(metrics, "assay_level_verdicts_total", level="certified", verdict="fail") == 1
    assert value(metrics, "assay_levels_met_total", level="certified") == 0
    assert sum(v for (name, _), v in series(metrics).items() if name == "assay_lab_errors_total") == 0


def test_what_passes_only_after_a_fail_is_unstable_and_counted_once(world: World) -> None:
    metrics = metrics_of(world)
    # One repeat fails and the next one is spoilt by the lab: so the case is tried again, and passes.
    assignment = taken(world)
    reports = list(world.whole_run(assignment))
    at = next(at for at, report in enumerate(reports) if getattr(report.body, "case", "") == "TC-SIP-01")
    failed = world.case_ended(next(case for case in assignment.cases if case.id == "TC-SIP-01"), 1, ringing_ms=9000.0)
    spoilt = CaseEnded(case="TC-SIP-01", repeat=2, status=CaseStatus.ERROR, reason="driver gone", duration_s=1)
    reports[at : at + 2] = world.report(at + 1, failed), world.report(at + 2, spoilt)
    world.deliver(assignment, *reports)
    (dispatch,) = world.tick()
    whole(world, world.take(dispatch))
    assert value(metrics, "assay_unstable_requirements_total", category="ip-phone") == 1
    assert value(metrics, "assay_level_verdicts_total", level="works-with", verdict="pass") == 1
    assert value(metrics, "assay_levels_met_total", level="works-with") == 0


STARTED = Started(suite_version="1", pid=1)
WELL = BenchChecked(passed=True, measurements=())
SAME = DeviceIdentified(same=True, user_agent="Acme One 1.0")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ((), "run"),
        ((STARTED,), "run"),
        ((STARTED, BenchChecked(passed=False, measurements=(), reason="it stalled")), "bench"),
        ((STARTED, WELL), "device"),
        ((STARTED, WELL, DeviceIdentified(same=False, user_agent="another")), "device"),
        ((STARTED, WELL, SAME), "run"),
    ],
)
def test_the_labs_faults_are_counted_by_where_it_failed(small: World, said: tuple[Any, ...], where: str) -> None:
    metrics = metrics_of(small)
    ended(small, taken(small), *said)
    for error in ("refused", "bench", "device", "run", "lapsed"):
        expected = 1 if error == where else 0
        assert value(metrics, "assay_lab_errors_total", category="ip-phone", **{"class": error}) == expected
    assert value(metrics, "assay_runs_completed_total") == 0


def test_a_run_that_its_agent_refused_is_a_fault_of_the_lab(small: World) -> None:
    metrics = metrics_of(small)
    small.heartbeat(registration(1))
    small.submit()
    (dispatch,) = small.tick()
    small.tick(DispatchAnswered(run=dispatch.run, answer=Acceptance.REFUSED, reason="no room"))
    assert value(metrics, "assay_lab_errors_total", **{"class": "refused"}) == 1


def test_a_lapse_and_its_late_reports_are_counted(world: World) -> None:
    metrics = metrics_of(world)
    first = taken(world)
    world.clock.advance(TTL_S + 1)
    world.tick()
    assert value(metrics, "assay_leases_lapsed_total") == 1
    assert value(metrics, "assay_lab_errors_total", **{"class": "lapsed"}) == 1
    reports = world.whole_run(first)
    world.deliver(first, *reports)
    assert value(metrics, "assay_late_reports_total", outcome="recorded") == len(reports)
    another = CaseEnded(case=first.cases[0].id, repeat=1, status=CaseStatus.ERROR, reason="another", duration_s=1)
    world.deliver(first, world.report(1, another))
    world.deliver(first, world.report(1, another))
    assert value(metrics, "assay_late_reports_total", outcome="quarantined") == 1
    assert value(metrics, "assay_reports_quarantined_total") == 1


def test_a_held_batch_does_not_make_the_queue_old(world: World) -> None:
    metrics = metrics_of(world)
    held = world.submit()
    world.desk.hold_batch(held.batch, "operator", "not now")
    world.clock.advance(100)
    assert value(metrics, "assay_queue_oldest_seconds") == 0
    world.submit(key="key-2")
    world.clock.advance(3)
    assert value(metrics, "assay_queue_oldest_seconds") == 3
    assert value(metrics, "assay_queue_depth") == 2


def test_device_seconds_are_counted_while_somebody_looks(world: World) -> None:
    metrics = metrics_of(world)
    world.heartbeat(registration(1), registration(2))
    metrics.look()
    world.clock.advance(3)
    world.submit()
    world.tick()
    metrics.look()
    world.clock.advance(2)
    metrics.look()
    assert value(metrics, "assay_device_seconds_total", state="idle") == 8
    assert value(metrics, "assay_device_seconds_total", state="busy") == 2
    world.clock.advance(3600)
    metrics.look()
    assert value(metrics, "assay_device_seconds_total", state="busy") == 2 + LOOK_S_MAX


# One count, whatever happens to the processes


def lapse_count(world: World) -> float | None:
    return value(metrics_of(world), "assay_leases_lapsed_total")


def test_counters_go_on_after_a_restart(world: World) -> None:
    assignment = taken(world)
    reports = world.whole_run(assignment)
    world.deliver(assignment, reports[0])
    world.clock.advance(20)
    world.reopen()
    world.deliver(assignment, *reports[1:])
    world.tick()
    world.reopen()
    metrics = metrics_of(world)
    assert value(metrics, "assay_runs_completed_total") == 1
    assert value(metrics, "assay_queue_wait_seconds_count") == 1
    # The run began before one restart and ended before another.
    assert value(metrics, "assay_run_duration_seconds_sum") == pytest.approx(20)


def test_another_server_says_the_same_and_counts_no_time(world: World) -> None:
    leader = metrics_of(world)
    whole(world, taken(world))
    leader.look()
    world.clock.advance(5)
    leader.look()
    other = Store(world.url, world.clock)
    follower = Metrics(other, world.clock, leads=lambda: False)
    own = ("assay_device_seconds", "assay_leading", "assay_loop")
    said = [{k: v for k, v in series(m).items() if not k[0].startswith(own)} for m in (leader, follower)]
    assert said[0] == said[1]
    assert value(leader, "assay_device_seconds_total", state="idle") == 5
    assert value(follower, "assay_device_seconds_total", state="idle") == 0
    assert (value(leader, "assay_leading"), value(follower, "assay_leading")) == (1, 0)
    other.close()


def test_counters_agree_with_the_journal(world: World) -> None:
    lapsed = taken(world)
    world.clock.advance(TTL_S + 1)
    world.heartbeat(registration(1))
    world.tick()
    with world.store.reading() as connection:
        (row,) = connection.execute(select(t.runs.c.run).where(t.runs.c.state == "placed")).all()
    assert row.run != lapsed.run
    numbers = {"RunCompleted": "assay_runs_completed_total", "LeaseLapsed": "assay_leases_lapsed_total"}
    numbers |= {"CertificateGranted": "assay_certificates", "RunPlaced": "assay_queue_wait_seconds_count"}
    world.submit(key="key-2")
    world.clock.advance(1)
    for fact, name in numbers.items():
        with world.store.reading() as connection:
            journaled = connection.execute(select(func.count()).where(t.journal.c.fact == fact)).scalar_one()
        labels = {"state": "granted"} if name == "assay_certificates" else {}
        assert value(metrics_of(world), name, **labels) == journaled, fact


def test_what_is_refused_is_not_counted(world: World) -> None:
    assignment = taken(world)
    with world.store.reading() as connection:
        lease = connection.execute(select(t.leases.c.lease).where(t.leases.c.run == assignment.run)).scalar_one()
    lapse = LeaseLapsed(lease=lease, at=world.clock.now())
    with pytest.raises(Conflict):
        world.store.commit([lapse, lapse])
    with world.store.deciding():
        with pytest.raises(Conflict):
            world.store.commit([lapse, lapse])
        assert world.store.commit_each([[lapse, lapse], [lapse]])[1] is None
    assert lapse_count(world) == 1


def test_what_is_rolled_back_is_not_counted(world: World) -> None:
    assignment = taken(world)
    with world.store.reading() as connection:
        lease = connection.execute(select(t.leases.c.lease).where(t.leases.c.run == assignment.run)).scalar_one()
    with pytest.raises(ZeroDivisionError), world.store.deciding():
        world.store.commit([LeaseLapsed(lease=lease, at=world.clock.now())])
        raise ZeroDivisionError
    assert lapse_count(world) == 0


def test_a_histogram_whose_buckets_changed_keeps_its_count(world: World) -> None:
    row = {"metric": "assay_queue_wait_seconds", "labels": '["ip-phone"]', "part": "7.5", "value": 2.0}
    with world.store.administering() as connection:
        connection.execute(t.tallies.insert().values(row))
    metrics = metrics_of(world)
    assert value(metrics, "assay_queue_wait_seconds_bucket", le="5.0") == 0
    assert value(metrics, "assay_queue_wait_seconds_bucket", le="15.0") == 2
    assert value(metrics, "assay_queue_wait_seconds_count") == 2


# What a scrape costs, and what it says when the database does not answer


def test_no_statement_of_a_scrape_walks_through_what_the_lab_has_done(small: World) -> None:
    whole(small, taken(small))
    small.submit(key="waits")
    said: list[tuple[str, Any]] = []
    event.listen(small.store.engine, "before_cursor_execute", lambda *given: said.append((given[2], given[3])))
    metrics_of(small).text()
    assert said
    plans = []
    with small.store.engine.connect() as connection:
        for statement, parameters in said.copy():
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [(statement, row.detail) for row in rows]
    assert any(match[1] == "tallies" for _, plan in plans if (match := re.match(r"SCAN (\w+)", plan)))
    for statement, plan in plans:
        scanned = re.match(r"SCAN (\w+)", plan)
        assert scanned is None or scanned[1] not in GROWING, (statement, plan)


def test_without_its_database_a_server_still_says_how_it_is(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = metrics_of(small)
    metrics.pass_ended(0.2, failed=True)

    def gone() -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(small.store, "reading", gone)
    assert value(metrics, "assay_database_readable") == 0
    assert value(metrics, "assay_loop_passes_failed_total") == 1
    assert value(metrics, "assay_loop_pass_seconds_count") == 1
    assert value(metrics, "assay_queue_depth") is None


def test_certificates_from_before_the_counters_are_known(small: World) -> None:
    """The migration's own statement, over a database whose counters are gone."""
    whole(small, taken(small))
    versions = Path(listings.__file__).parent / "migrations" / "versions" / "0007_tallies.py"
    (statement,) = re.findall(r'op\.execute\(\s*"(.*)"\s*"(.*)"\s*\)', versions.read_text())
    with small.store.administering() as connection:
        connection.execute(t.tallies.delete())
        connection.execute(text("".join(statement).replace('\\"', '"')))
    assert value(metrics_of(small), "assay_certificates", state="granted") == 1
