"""A programme of three cases that can be judged by hand, and submissions that were measured against it."""

from collections.abc import Iterable, Mapping
from typing import Any

from lab_inventory.canonical import digest
from lab_inventory.clock import ManualClock
from lab_inventory.device import Product
from lab_inventory.measurement import Measurement, Unit, Value
from lab_inventory.messages import (
    BenchChecked,
    CaseEnded,
    CaseStatus,
    DeviceIdentified,
    Ended,
    ReportBody,
    RunOutcome,
    RunReport,
    Started,
)
from lab_inventory.programme import Programme
from orchestrator.lifecycle.batch import Submission, SubmissionState
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import RecordedReport, RunView, SubmissionView
from orchestrator.lifecycle.verdict import Judgement, RequirementVerdict

NOW = ManualClock().now()
UNITS: Mapping[str, Unit] = {
    "ringing_ms": Unit.MILLISECOND,
    "answered": Unit.BOOL,
    "gain_db": Unit.DECIBEL,
    "lost": Unit.COUNT,
    "digits": Unit.BOOL,
}
GOOD: Mapping[str, Value] = {"ringing_ms": 100.0, "answered": True, "gain_db": 0.0, "lost": 0, "digits": True}
QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "TC-1": ("ringing_ms", "answered"),
    "TC-2": ("gain_db", "lost"),
    "TC-3": ("digits",),
}
REPEATS: Mapping[str, int] = {"TC-1": 2, "TC-2": 1, "TC-3": 1}


_SOURCE: Mapping[str, Any] = {"source": {"text": "our own", "mark": "our-choice"}}


def _check(quantity: str, **limits: Mapping[str, Any]) -> dict[str, Any]:
    """``limits`` by level, with ``works`` for works-with."""
    source = {"source": {"text": f"clause on {quantity}", "mark": "read"}}
    names = {"works": "works-with", "certified": "certified"}
    return {
        "quantity": quantity,
        "unit": UNITS[quantity],
        "limits": {names[level]: {**limit, **source} for level, limit in limits.items()},
    }


def _requirement(number: int, checks: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    return {
        "id": f"R-{number}",
        "title": f"Requirement {number}",
        "criterion": "standard",
        "profiles": ["all"],
        "case": f"TC-{number}",
        "checks": checks,
        **more,
    }


def programme(**change: Any) -> Programme:
    """Works-with under simple acceptance, certified under a guard band; R-3 asks only those who declare ``dtmf``."""
    yes = {"equals": True}
    cases = [
        {"id": case, "title": case, "procedure": "any", "repeats": REPEATS[case], "duration_s": 10} for case in REPEATS
    ]
    cases[2]["condition"] = "dtmf"
    fields: dict[str, Any] = {
        "id": "small",
        "version": "1.0",
        "title": "Small",
        "category": "ip-phone",
        "demonstration": True,
        "statement": "",
        "profiles": [
            {"id": "all", "title": "All", "covers": "all", "does_not_cover": "nothing"},
            {"id": "none", "title": "None", "covers": "nothing", "does_not_cover": "all"},
        ],
        "levels": [
            {"id": "works-with", "title": "Works with", "rule": "simple-acceptance"},
            {"id": "certified", "title": "Certified", "rule": "guard-band"},
        ],
        "proforma": {
            "features": [{"id": "dtmf", "question": "DTMF?"}],
            "ixit": [{"id": "ptime", "title": "Packet time", "unit": "ms", "default": 20}],
        },
        "suites": [{"id": "suite", "cases": cases}],
        "requirements": [
            _requirement(
                1,
                [
                    _check("ringing_ms", works={"max": 1500}, certified={"max": 500}),
                    _check("answered", works=yes, certified=yes),
                ],
            ),
            _requirement(
                2,
                [
                    _check("gain_db", works={"min": -3, "max": 3}, certified={"min": -1, "max": 1}),
                    _check("lost", certified={"max": 0}),
                ],
            ),
            _requirement(3, [_check("digits", works=yes, certified=yes)], kind="conditional", condition="dtmf"),
        ],
    }
    return Programme.model_validate(fields | change)


SMALL = programme()
_suites = SMALL.model_dump(mode="json")["suites"]
_suites[0]["cases"][1]["roles"] = ["dut", "companion"]
PAIRED = programme(suites=_suites)
"""The same, with a case that needs a companion."""
PROBATION = programme(
    id="small-probation",
    purpose="probation",
    demonstration=False,
    levels=[{"id": "measurable", "title": "Measurable", "rule": "simple-acceptance"}],
    proforma={},
    suites=[{"id": "probation", "cases": [{"id": "TC-2", "title": "TC-2", "procedure": "any", "duration_s": 10}]}],
    requirements=[
        _requirement(2, [{**_check("gain_db", works={"min": -3}), "limits": {"measurable": {"min": -3, **_SOURCE}}}])
    ],
)


def content(*, dtmf: bool = True, **change: Any) -> Submission:
    fields: dict[str, Any] = {
        "title": "phone one",
        "vendor": "Acme",
        "product": Product(maker="Acme", model="One", firmware="1.0"),
        "hardware_revision": "A",
        "mode": "wideband",
        "profile": "all",
        "ics": {"dtmf": dtmf},
    }
    return Submission.model_validate(fields | change)


def measured(quantity: str, value: Value | None, *, uncertainty: float | None = 1.0, **more: Any) -> Measurement:
    """A measurement in the right unit; what is counted or seen carries no uncertainty."""
    exact = UNITS[quantity] in (Unit.BOOL, Unit.COUNT)
    given = None if exact else uncertainty
    fields = {"quantity": quantity, "unit": UNITS[quantity], "uncertainty": given, "instrument": "sip", **more}
    return Measurement(value=value, **fields)


def ended(case: str, repeat: int = 1, **values: Value | Measurement | None) -> CaseEnded:
    """A case that was measured, well but for the quantities given."""
    given = {quantity: values.get(quantity, GOOD[quantity]) for quantity in QUANTITIES[case]}
    uncertainty = {"gain_db": 0.1}
    return CaseEnded(
        case=case,
        repeat=repeat,
        status=CaseStatus.MEASURED,
        measurements=tuple(
            value
            if isinstance(value, Measurement)
            else measured(quantity, value, uncertainty=uncertainty.get(quantity, 1.0))
            for quantity, value in given.items()
        ),
        duration_s=1,
    )


def not_measured(case: str, repeat: int = 1, status: CaseStatus = CaseStatus.ERROR, reason: str = "tired") -> CaseEnded:
    return CaseEnded(case=case, repeat=repeat, status=status, reason=reason, duration_s=0)


def all_well(*but: CaseEnded, leave_out: Iterable[str] = ()) -> tuple[CaseEnded, ...]:
    """Every repeat of every case measured well, but for those given and the cases left out."""
    given = {(body.case, body.repeat): body for body in but}
    return tuple(
        given.get((case, repeat)) or ended(case, repeat)
        for case in REPEATS
        if case not in set(leave_out)
        for repeat in range(1, REPEATS[case] + 1)
    )


Attempt = tuple[RunView, tuple[RecordedReport, ...]]


STARTED = Started(suite_version="1", pid=1)


def attempt(
    number: int,
    *bodies: CaseEnded,
    preamble: bool = True,
    cases: Iterable[str] = REPEATS,
    started: Started = STARTED,
) -> Attempt:
    """An attempt that completed with these results, after a bench check and an identification that went well."""
    before: tuple[ReportBody, ...] = (
        started,
        BenchChecked(passed=True, measurements=()),
        DeviceIdentified(same=True, user_agent="Acme One"),
    )
    after = Ended(outcome=RunOutcome.COMPLETED, within_deadline=True)
    return attempt_of(number, *(before if preamble else ()), *bodies, after, cases=cases)


def attempt_of(number: int, *bodies: ReportBody, cases: Iterable[str] = REPEATS) -> Attempt:
    """An attempt with exactly these reports."""
    run = f"run-{number}"
    reports = [RunReport(seq=seq, at=NOW, body=body) for seq, body in enumerate(bodies, 1)]
    recorded = tuple(RecordedReport(run=run, attempt=number, digest=digest(r), report=r) for r in reports)
    seen = RunView(
        run=run,
        submission="sub-1",
        batch="bat-1",
        suite="suite",
        attempt=number,
        state=RunState.COMPLETED,
        cases=tuple(cases),
        lease=None,
        later_epoch_granted=False,
        submission_state=SubmissionState.OPEN,
        digests={report.report.seq: report.digest for report in recorded},
        quarantined=frozenset(),
        ended=True,
        next_seq=len(recorded) + 1,
    )
    return seen, recorded


def view(*attempts: Attempt, of: Submission | None = None, against: Programme = SMALL) -> SubmissionView:
    return SubmissionView(
        submission="sub-1",
        batch="bat-1",
        state=SubmissionState.OPEN,
        content=of or content(),
        programme_digest=against.digest,
        runs=tuple(run for run, _ in attempts),
        reports=tuple(report for _, reports in attempts for report in reports),
    )


def requirement(judgement: Judgement, name: str, level: str) -> RequirementVerdict:
    (found,) = [
        verdict
        for at in judgement.levels
        if at.level == level
        for verdict in at.requirements
        if verdict.requirement == name
    ]
    return found
