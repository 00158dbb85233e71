"""What Prometheus reads: prefix ``assay_``, base units, labels from closed sets, every series there from the start.

Counters and histograms follow the facts that were committed; gauges are read from the tables when they are scraped.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.quarantine import Quarantined
from orchestrator.lifecycle.run import (
    ReportQuarantined,
    RunCancelled,
    RunCompleted,
    RunErrored,
    RunLapsed,
    RunPlaced,
    RunStarted,
    RunTaken,
)
from orchestrator.lifecycle.verdict import SubmissionJudged

WAIT_BUCKETS_S = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
DURATION_BUCKETS_S = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)
PASS_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
VERDICTS = ("met", "not-met")
LAB_ERRORS = ("error", "lapsed")
QUARANTINE_KINDS = ("device", "bench")
STARTED_RUNS_MAX = 10_000


class Metrics:
    """One registry of its own, so that tests and servers do not share counters."""

    def __init__(self, counts: Callable[[], dict[str, Any]], levels: Iterable[str]) -> None:
        # When a series began is of no use here, and would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._counts = counts
        self._started: dict[str, datetime] = {}
        r = self.registry
        self._devices = Gauge("assay_devices", "Registered units by state.", ["state"], registry=r)
        self._queue = Gauge("assay_queue_depth", "Runs that wait for a bench.", registry=r)
        self._active = Gauge("assay_runs_active", "Runs that hold a lease.", registry=r)
        self._wait = Histogram("assay_queue_wait_seconds", "From queued to placed.", buckets=WAIT_BUCKETS_S, registry=r)
        self._latency = Histogram(
            "assay_dispatch_latency_seconds",
            "From the decision to the answer of the agent that its process was started.",
            buckets=LATENCY_BUCKETS_S,
            registry=r,
        )
        self._duration = Histogram(
            "assay_run_duration_seconds", "From the start of a run to its end.", buckets=DURATION_BUCKETS_S, registry=r
        )
        self._completed = Counter(
            "assay_runs_completed", "Runs completed with a verdict: the lab's throughput.", registry=r
        )
        self._verdicts = Counter(
            "assay_level_verdicts", "Judged submissions by level and whether it was met.", ["level", "verdict"],
            registry=r,
        )  # fmt: skip
        self._errors = Counter("assay_lab_errors", "Runs that ended by the lab's fault.", ["kind"], registry=r)
        self._quarantined = Counter("assay_reports_quarantined", "Reports that came and do not count.", registry=r)
        self._taken_out = Counter(
            "assay_quarantines", "Units and benches that the lab took out by itself.", ["kind"], registry=r
        )
        self._out = Gauge("assay_quarantined", "Units and benches that are out now.", ["kind"], registry=r)
        for kind in QUARANTINE_KINDS:
            self._taken_out.labels(kind)
        self.loop_pass = Histogram(
            "assay_loop_pass_seconds", "One pass of the loop.", buckets=PASS_BUCKETS_S, registry=r
        )
        for level in levels:
            for verdict in VERDICTS:
                self._verdicts.labels(level, verdict)
        for kind in LAB_ERRORS:
            self._errors.labels(kind)

    def follow(self, facts: Sequence[Fact]) -> None:
        """Count what was committed."""
        for fact in facts:
            if isinstance(fact, RunPlaced):
                self._wait.observe(max(0.0, fact.waited_s))
            elif isinstance(fact, RunTaken):
                self._latency.observe(fact.dispatch_latency_s)
            elif isinstance(fact, RunStarted) and len(self._started) < STARTED_RUNS_MAX:
                self._started[fact.run] = fact.at
            elif isinstance(fact, RunCompleted | RunErrored | RunCancelled | RunLapsed):
                self._ended(fact)
            elif isinstance(fact, ReportQuarantined):
                self._quarantined.inc()
            elif isinstance(fact, Quarantined):
                self._taken_out.labels(fact.resource.partition(":")[0]).inc()
            elif isinstance(fact, SubmissionJudged):
                for level in fact.judgement.levels:
                    self._verdicts.labels(level.level, "met" if level.met else "not-met").inc()

    def _ended(self, fact: RunCompleted | RunErrored | RunCancelled | RunLapsed) -> None:
        began = self._started.pop(fact.run, None)
        if began is not None:
            self._duration.observe((fact.at - began).total_seconds())
        if isinstance(fact, RunCompleted):
            self._completed.inc()
        elif isinstance(fact, RunErrored):
            self._errors.labels("error").inc()
        elif isinstance(fact, RunLapsed):
            self._errors.labels("lapsed").inc()

    def text(self) -> bytes:
        """The exposition, with the gauges as the tables are now."""
        now = self._counts()
        for state, number in now["devices"].items():
            self._devices.labels(state).set(number)
        for kind, number in now["quarantined"].items():
            self._out.labels(kind).set(number)
        self._queue.set(now["waiting"])
        self._active.set(now["active"])
        return generate_latest(self.registry)
