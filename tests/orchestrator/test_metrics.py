"""What Prometheus reads."""

from pathlib import Path

import pytest
from lab_world import World, registration
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from lab_inventory.messages import CaseEnded, CaseStatus, Ended, RunOutcome
from orchestrator.metrics import Metrics
from orchestrator.store import listings

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"


def following(world: World) -> Metrics:
    def counts() -> dict[str, object]:
        with world.store.reading() as connection:
            return listings.counts(connection)

    metrics = Metrics(counts, [level.id for level in world.programme.levels])
    world.store.listen(metrics.follow)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    metrics.text()
    registry: CollectorRegistry = metrics.registry
    return registry.get_sample_value(name, labels)


def test_names_types_and_labels_are_the_golden_ones(world: World) -> None:
    families = text_string_to_metric_families(following(world).text().decode())
    lines = []
    for family in families:
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        lines.append(f"{family.type} {family.name} {' '.join(labels)}".strip())
        assert family.documentation
    assert sorted(lines) == GOLDEN.read_text().splitlines()


def test_every_series_is_there_before_anything_happened(world: World) -> None:
    metrics = following(world)
    for state in listings.DEVICE_STATES:
        assert value(metrics, "assay_devices", state=state) == 0
    for level in world.programme.levels:
        for verdict in ("met", "not-met"):
            assert value(metrics, "assay_level_verdicts_total", level=level.id, verdict=verdict) == 0
    for kind in ("error", "lapsed"):
        assert value(metrics, "assay_lab_errors_total", kind=kind) == 0
    assert value(metrics, "assay_runs_completed_total") == 0


def test_a_run_is_counted_from_the_queue_to_its_verdict(world: World) -> None:
    metrics = following(world)
    world.heartbeat(registration(1))
    world.submit()
    assert value(metrics, "assay_queue_depth") == 1
    world.clock.advance(7)
    (dispatch,) = world.tick()
    assert value(metrics, "assay_queue_wait_seconds_sum") == pytest.approx(7)
    assert value(metrics, "assay_devices", state="busy") == 1
    world.clock.advance(0.5)
    assignment = world.take(dispatch)
    assert value(metrics, "assay_dispatch_latency_seconds_sum") == pytest.approx(0.5)
    reports = world.whole_run(assignment)
    world.deliver(assignment, reports[0])
    world.clock.advance(20)
    world.deliver(assignment, *reports[1:])
    world.tick()
    assert value(metrics, "assay_run_duration_seconds_sum") == pytest.approx(20)
    assert value(metrics, "assay_runs_completed_total") == 1
    assert value(metrics, "assay_level_verdicts_total", level="certified", verdict="met") == 1
    assert value(metrics, "assay_queue_depth") == 0
    assert value(metrics, "assay_devices", state="idle") == 1


def test_the_labs_faults_are_counted_and_no_completion(world: World) -> None:
    metrics = following(world)
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    ended = Ended(outcome=RunOutcome.ERROR, reason="the bench stalled", within_deadline=True)
    world.deliver(assignment, world.report(1, ended))
    assert value(metrics, "assay_lab_errors_total", kind="error") == 1
    assert value(metrics, "assay_runs_completed_total") == 0


def test_reports_that_do_not_count_are_counted(world: World) -> None:
    metrics = following(world)
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    assignment = world.take(dispatch)
    reports = world.whole_run(assignment)
    world.deliver(assignment, reports[0])
    case = assignment.cases[0].id
    other = CaseEnded(case=case, repeat=1, status=CaseStatus.ERROR, reason="another", duration_s=1)
    world.deliver(assignment, world.report(1, other))
    assert value(metrics, "assay_reports_quarantined_total") == 1


def nothing() -> dict[str, object]:
    return {"devices": {}, "waiting": 0, "active": 0, "quarantined": {}}


def test_two_servers_in_one_process_share_no_counter(world: World) -> None:
    first, second = following(world), Metrics(nothing, [])
    world.heartbeat(registration(1))
    world.submit()
    world.tick()
    assert value(first, "assay_queue_wait_seconds_count") == 1
    assert value(second, "assay_queue_wait_seconds_count") == 0
