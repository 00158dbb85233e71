"""What a fact adds to the lab's counters: the store writes it down with the fact, in one transaction. Pure.

Labels come from closed sets: categories and levels of programmes, and the words of the machines. Nothing that an agent
or a submitter may choose is ever one.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.lifecycle.certificate import MACHINE as CERTIFICATES
from orchestrator.lifecycle.lease import LeaseLapsed
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.quarantine import Quarantined
from orchestrator.lifecycle.run import (
    EvidenceRecorded,
    ReportQuarantined,
    RunCancelled,
    RunCompleted,
    RunErrored,
    RunLapsed,
    RunPlaced,
    RunState,
    RunTaken,
)
from orchestrator.lifecycle.snapshot import EndedRun
from orchestrator.lifecycle.verdict import Flag, SubmissionJudged

SUM, INFINITE = "sum", "+Inf"

CERTIFICATES_NOW = "assay_certificates"
DISPATCH_LATENCY = "assay_dispatch_latency_seconds"
LAB_ERRORS = "assay_lab_errors"
LATE_REPORTS = "assay_late_reports"
LEASES_LAPSED = "assay_leases_lapsed"
LEVEL_VERDICTS = "assay_level_verdicts"
LEVELS_MET = "assay_levels_met"
QUARANTINES = "assay_quarantines"
QUEUE_WAIT = "assay_queue_wait_seconds"
REPORTS_QUARANTINED = "assay_reports_quarantined"
RUN_DURATION = "assay_run_duration_seconds"
RUNS_COMPLETED = "assay_runs_completed"
UNSTABLE = "assay_unstable_requirements"

BUCKETS_S: Mapping[str, tuple[float, ...]] = {
    QUEUE_WAIT: (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600),
    DISPATCH_LATENCY: (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
    RUN_DURATION: (5, 15, 30, 60, 120, 300, 600, 1800, 3600),
}
"""Upper ends in seconds. They may change: what was counted under others goes to the next higher end there is."""


class LabErrorClass(StrEnum):
    """Where the lab failed. ``refused``: the agent did not take the run. ``bench``: the bench failed its own check.

    ``device``: after a good check the device did not say again who it is. ``run``: it broke off at any other point.
    ``lapsed``: nobody was heard of until the lease ran out.
    """

    REFUSED = "refused"
    BENCH = "bench"
    DEVICE = "device"
    RUN = "run"
    LAPSED = "lapsed"


class LateReport(StrEnum):
    """What came of a report whose lease was no longer live when it came."""

    RECORDED = "recorded"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One number. ``part``: of a histogram the upper end of a bucket, which holds no lower one, or ``sum``."""

    metric: str
    labels: tuple[str, ...] = ()
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the tables say of what a fact is about. ``category``: of the programme; ``ended``: what its agent said."""

    category: str
    began_at: datetime | None = None
    ended: EndedRun | None = None


Tally = dict[Series, float]
"""What to add to each series."""

OF_RUNS = (RunPlaced, RunCompleted, RunErrored, RunCancelled, RunLapsed)
"""The facts for which it must be known what their run is about."""


def tally(fact: Fact, before: str | None, after: str, about: About | None) -> Tally:
    """What a fact adds that moved its entity from ``before`` (None at birth) to ``after``.

    ``about``: given for the facts of :data:`OF_RUNS` and for SubmissionJudged.
    """
    added: Tally = {}
    if fact.machine == CERTIFICATES.name and before != after:
        _count(added, CERTIFICATES_NOW, after)
        if before is not None:
            _count(added, CERTIFICATES_NOW, before, amount=-1)
    elif isinstance(fact, EvidenceRecorded | ReportQuarantined):
        _of_report(added, fact)
    elif isinstance(fact, RunTaken):
        _observe(added, DISPATCH_LATENCY, fact.dispatch_latency_s)
    elif isinstance(fact, LeaseLapsed):
        _count(added, LEASES_LAPSED)
    elif isinstance(fact, Quarantined):
        _count(added, QUARANTINES, fact.resource.partition(":")[0])
    elif about is not None:
        _with_category(added, fact, after, about)
    return added


def _of_report(added: Tally, fact: EvidenceRecorded | ReportQuarantined) -> None:
    counts = isinstance(fact, EvidenceRecorded)
    if not counts:
        _count(added, REPORTS_QUARANTINED)
    if fact.late:
        _count(added, LATE_REPORTS, LateReport.RECORDED if counts else LateReport.QUARANTINED)


def _with_category(added: Tally, fact: Fact, after: str, about: About) -> None:
    if isinstance(fact, RunPlaced):
        _observe(added, QUEUE_WAIT, max(0.0, fact.waited_s), about.category)
    elif isinstance(fact, RunCompleted | RunErrored | RunCancelled | RunLapsed):
        if about.began_at is not None:
            took_s = (fact.at - about.began_at).total_seconds()
            _observe(added, RUN_DURATION, max(0.0, took_s), about.category)
        if after == RunState.COMPLETED:
            _count(added, RUNS_COMPLETED, about.category)
        elif after == RunState.LAPSED:
            _count(added, LAB_ERRORS, about.category, LabErrorClass.LAPSED)
        elif after == RunState.ERROR:
            _count(added, LAB_ERRORS, about.category, error_class(about))
    elif isinstance(fact, SubmissionJudged):
        _of_judgement(added, fact, about.category)


def error_class(about: About) -> LabErrorClass:
    """Where the lab failed in a run that ended in error, by what was heard of it until then."""
    ended = about.ended
    if about.began_at is None or ended is None:
        return LabErrorClass.REFUSED
    if ended.bench_passed is False:
        return LabErrorClass.BENCH
    return LabErrorClass.DEVICE if ended.bench_passed and not ended.identified else LabErrorClass.RUN


def _of_judgement(added: Tally, fact: SubmissionJudged, category: str) -> None:
    """A requirement that passed only after a fail is counted once, however many levels ask for it."""
    for level in fact.judgement.levels:
        _count(added, LEVEL_VERDICTS, category, level.level, level.verdict)
        if level.met:
            _count(added, LEVELS_MET, category, level.level)
    unstable = {
        requirement.requirement
        for level in fact.judgement.levels
        for requirement in level.requirements
        if Flag.UNSTABLE in requirement.flags
    }
    _count(added, UNSTABLE, category, amount=len(unstable))


def add_up(total: Tally, more: Tally) -> None:
    """Add ``more`` to ``total``."""
    for series, amount in more.items():
        total[series] = total.get(series, 0.0) + amount


def _count(added: Tally, metric: str, *labels: str, part: str = "", amount: float = 1.0) -> None:
    add_up(added, {Series(metric=metric, labels=tuple(str(label) for label in labels), part=part): amount})


def _observe(added: Tally, metric: str, value_s: float, *labels: str) -> None:
    ends = BUCKETS_S[metric]
    _count(added, metric, *labels, part=end_of(ends, bisect_left(ends, value_s)))
    _count(added, metric, *labels, part=SUM, amount=value_s)


def end_of(ends: Sequence[float], at: int) -> str:
    """A bucket's upper end as it is written."""
    return str(float(ends[at])) if at < len(ends) else INFINITE
