"""What each attempt said of each test case, from the reports that count. Pure.

The order in which reports arrived plays no part: runs, repeats and reports are taken in their own order. A run whose
bench did not pass its own check, or whose device was not identified as the right unit, measured nothing: what it says
of its cases is the lab's error. A measurement proves nothing where the calibration of its instrument was overdue on
the day of measuring: the run itself reports the days on which calibrations are due, so that it is judged the same at
any later time. Days are in UTC by the run's own clock; on the day it is due a calibration still holds. So it is with
the record of the bench's uncertainty, which the run reports beside what the bench is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date

from lab_inventory.canonical import digest
from lab_inventory.characterisation import NO_RECORD
from lab_inventory.errors import InvariantBroken
from lab_inventory.lab import Calibration
from lab_inventory.messages import BenchChecked, CaseEnded, DeviceIdentified, Ended, RunReport, Started
from orchestrator.lifecycle.snapshot import RecordedReport, RunView, SubmissionView


@dataclass(frozen=True, kw_only=True)
class CaseAttempt:
    """One attempt at one case. ``ended``: its results, by repeat.

    ``fault``: why its measurements are worth nothing, or empty. ``reason``: why results are missing where some are.
    ``distrusted``: by repeat and instrument, why what that instrument measured proves nothing. ``uncharacterised``: by
    repeat, why the bench had no record of its uncertainty that held; empty where it had one.
    """

    run: str
    attempt: int
    fault: str
    reason: str
    ended: tuple[CaseEnded, ...]
    distrusted: Mapping[tuple[int, str], str] = field(default_factory=dict)
    uncharacterised: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Distrust:
    """An instrument that is not relied on: what it measured from ``since`` to ``until``, both included (None: without
    end), proves nothing. ``host``: on that lab host alone; None: wherever an instrument has that name.
    """

    instrument: str
    since: date | None = None
    until: date | None = None
    host: str | None = None

    def covers(self, instrument: str, day: date, host: str) -> bool:
        """Whether what an instrument measured on a day on a host proves nothing."""
        late_enough = self.since is None or day >= self.since
        early_enough = self.until is None or day <= self.until
        return instrument == self.instrument and late_enough and early_enough and self.host in (None, host)


def each_once(reports: Iterable[RecordedReport]) -> tuple[RecordedReport, ...]:
    """The reports by attempt, run and seq, each once.

    Raises InvariantBroken where a run has two different reports under one seq: only one of them can have counted.
    """
    found: dict[tuple[int, str, int], RecordedReport] = {}
    for report in reports:
        place = (report.attempt, report.run, report.report.seq)
        if found.setdefault(place, report).digest != report.digest:
            raise InvariantBroken(f"run {report.run} has two reports {report.report.seq} that count")
    return tuple(found[place] for place in sorted(found))


def evidence_digest(reports: Iterable[RecordedReport]) -> str:
    """The digest of exactly these reports: canonical JSON of [attempt, run, seq, digest], in that order, each once."""
    return digest([[r.attempt, r.run, r.report.seq, r.digest] for r in each_once(reports)])


def judged_digest(view: SubmissionView) -> str:
    """The digest of everything that a submission is judged on: of its reports alone where people were asked nothing;
    else of [[attempt, run, seq, digest] of each report, [prompt, state, digest] of each prompt].
    """
    if not view.prompts:
        return evidence_digest(view.reports)
    reports = [[r.attempt, r.run, r.report.seq, r.digest] for r in each_once(view.reports)]
    return digest([reports, sorted([one.prompt, one.state.value, one.digest] for one in view.prompts)])


def attempts_by_case(view: SubmissionView, distrust: Distrust | None = None) -> Mapping[str, tuple[CaseAttempt, ...]]:
    """For each case that some run was to carry out: its attempts, earliest first."""
    by_run: dict[str, list[RunReport]] = {run.run: [] for run in view.runs}
    for recorded in each_once(view.reports):
        if recorded.run not in by_run:
            raise InvariantBroken(f"{recorded.run} reported for {view.submission}, but is no run of it")
        by_run[recorded.run].append(recorded.report)
    found: dict[str, list[CaseAttempt]] = {}
    for run in sorted(view.runs, key=lambda run: (run.attempt, run.run)):
        reports = by_run[run.run]
        fault, reason = _fault(reports), _reason(run, reports)
        distrusted = _distrusted(run, reports, distrust)
        uncharacterised = _uncharacterised(run, reports)
        for case in run.cases:
            ended = [r.body for r in reports if isinstance(r.body, CaseEnded) and r.body.case == case]
            found.setdefault(case, []).append(
                CaseAttempt(
                    run=run.run,
                    attempt=run.attempt,
                    fault=fault,
                    reason=reason,
                    ended=tuple(sorted(ended, key=lambda body: body.repeat)),
                    distrusted=distrusted.get(case, {}),
                    uncharacterised=uncharacterised.get(case, {}),
                )
            )
    return {case: tuple(attempts) for case, attempts in found.items()}


def _fault(reports: Iterable[RunReport]) -> str:
    """Why nothing that a run measured can be relied on, or nothing."""
    bodies = [report.body for report in reports]
    bench = [body for body in bodies if isinstance(body, BenchChecked)]
    device = [body for body in bodies if isinstance(body, DeviceIdentified)]
    if not bench:
        return "the bench did not check itself"
    for checked in bench:
        if not checked.passed:
            return f"the bench did not pass its own check: {checked.reason}"
    if not device:
        return "the device did not say who it is"
    for identified in device:
        if not identified.same:
            return f"the device was not the unit that was to be tested: {identified.reason}"
    return ""


def _reason(run: RunView, reports: Iterable[RunReport]) -> str:
    """How a run ended, for what it did not carry out."""
    said = [report.body for report in reports if isinstance(report.body, Ended)]
    ended = said[-1] if said else None
    how = f"attempt {run.attempt} ended {ended.outcome if ended else run.state}"
    return f"{how}: {ended.reason}" if ended and ended.reason else how


def _distrusted(
    run: RunView, reports: Iterable[RunReport], distrust: Distrust | None
) -> dict[str, dict[tuple[int, str], str]]:
    """Why what was measured proves nothing: by case, then by repeat and instrument."""
    due: dict[str, Calibration] = {}
    for report in reports:
        for one in report.body.instruments if isinstance(report.body, Started) else ():
            if one.calibration.due_on is not None:
                due[one.name] = min(one.calibration, due.get(one.name, one.calibration), key=_due_on)
    if not due and distrust is None:
        return {}
    host = run.lease.host if run.lease else ""
    found: dict[str, dict[tuple[int, str], str]] = {}
    for report in reports:
        if not isinstance(report.body, CaseEnded):
            continue
        day = day_of(report)
        for name in {measurement.instrument for measurement in report.body.measurements}:
            words = []
            if name in due and day > _due_on(due[name]):
                was_due = f"{_due_on(due[name])} ({due[name].method})"
                words.append(f"the calibration of {name} was due on {was_due}, and it measured on {day}")
            if distrust is not None and distrust.covers(name, day, host):
                words.append(f"{name}, which measured it on {day}, is not relied on")
            if words:
                found.setdefault(report.body.case, {})[report.body.repeat, name] = "; ".join(words)
    return found


def _uncharacterised(run: RunView, reports: Iterable[RunReport]) -> dict[str, dict[int, str]]:
    """Why the bench had no record of its uncertainty that held: by case, then by repeat."""
    told = [report.body.characterised for report in reports if isinstance(report.body, Started)]
    known = next((one for one in told if one is not None), None)
    host = run.lease.host if run.lease else ""
    found: dict[str, dict[int, str]] = {}
    for report in reports:
        if isinstance(report.body, CaseEnded):
            why = NO_RECORD if known is None else known.why_invalid(report.at, host=host)
            found.setdefault(report.body.case, {})[report.body.repeat] = why
    return found


def day_of(report: RunReport) -> date:
    """The day in UTC on which something was reported, by the clock of the run's host."""
    return report.at.astimezone(UTC).date()


def _due_on(calibration: Calibration) -> date:
    return calibration.due_on or date.max
