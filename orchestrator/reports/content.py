"""The test report: everything that ISO/IEC 17025:2017 asks of one in 7.8.2.1, 7.8.3.1 and 7.8.6. Pure.

It is put together from what was recorded and from the sheet that people filled in. What stands against issuing it is
told all at once; a report is issued whole or not at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from lab_inventory.canonical import digest
from lab_inventory.device import Product
from lab_inventory.errors import Problem
from lab_inventory.lab import Calibration, Instrument, Lab, Laboratory
from lab_inventory.measurement import Unit
from lab_inventory.messages import BenchChecked, CaseEnded, Started
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from lab_inventory.programme import DecisionRule, Programme
from orchestrator.lifecycle.certificate import WaivedRequirement
from orchestrator.lifecycle.sample import SampleView
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement, LevelVerdict, Verdict
from orchestrator.pipeline.certify import DEMONSTRATION_NOTICE, waived_up_to
from orchestrator.pipeline.prompting import answers
from orchestrator.reports.sheet import Sheet, against_sheet

TITLE = "Test report"
ONLY_THESE_ITEMS = "The results relate only to the items that were tested, as they were received."
NOT_SCORED = "How much of what is wrong with a device this suite finds was not measured: no score of it is on record."
ONLY_WHOLE = "This report is copied only as a whole, or in part with the written permission of the laboratory."
RULES: Mapping[DecisionRule, str] = {
    DecisionRule.SIMPLE_ACCEPTANCE: (
        "Simple acceptance (ILAC-G8:09/2019, 4.2.1): a value meets its limit where it lies inside or on it. At the "
        "limit itself up to half of such statements may be wrong because of the uncertainty of measurement."
    ),
    DecisionRule.GUARD_BAND: (
        "Guard band (ILAC-G8:09/2019, 4.2.2): a value meets its limit where it lies inside it by at least its expanded "
        "uncertainty (k = 2). Less than 2.5 % of such statements are wrong because of the uncertainty of measurement."
    ),
    DecisionRule.GUARD_BAND_NON_BINARY: (
        "Guard band, non-binary (ILAC-G8:09/2019, 4.2.3): a value inside its limit by at least its expanded "
        "uncertainty (k = 2) passes and one outside by more than it fails; less than 2.5 % of such statements are "
        "wrong because of the uncertainty of measurement. In between it is a conditional pass or a conditional fail, "
        "of which up to half may be wrong."
    ),
}
"""Each decision rule with its risk, for people (7.8.6.1)."""

_UNDECIDED = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_RUN})


class Customer(Noun):
    """Whom the report is for (7.8.2.1 e)."""

    name: Label
    contact: Text


class Item(Noun):
    """A unit that was tested (7.8.2.1 g), where and by which runs; ``beside``: the devices that they had beside it."""

    unit: Label
    serial: Label
    host: Label
    slot: Label
    runs: tuple[Name, ...]
    beside: tuple[Text, ...] = Field(default=(), exclude_if=lambda given: not given)


class Method(Noun):
    """How one requirement was measured (7.8.2.1 f)."""

    requirement: Name
    title: Label
    case: Name
    procedure: Name
    method_version: int
    repeats: int


class UsedInstrument(Noun):
    """What measured, how it is known to measure right, and its expanded uncertainty (k = 2) per unit."""

    instrument: Name
    kind: Name
    calibration: Calibration
    uncertainty: dict[Unit, float]


class ByHand(Noun):
    """A requirement that people measured: who, when, on which unit, and as what they were told."""

    prompt: Name
    requirement: Name
    title: Label
    serial: Label
    by: Label
    confirmed_by: Label | None
    at: AwareDatetime
    instructions: Text


class Authoriser(Noun):
    """Who authorised the report (7.8.2.1 o). ``subject``: the account by which it was issued."""

    name: Label
    function: Label
    subject: Label


class Attempt(Noun):
    """A run of this submission with what became of it: none is left out."""

    run: Name
    attempt: int
    state: Label
    reason: Text


class Sample(Noun):
    """A sample of the submission, as the register has it. ``received_on``: by UTC."""

    sample: Name
    serial: Label
    origin: Label
    received_on: date
    condition: Text
    seal: Label


class TestReport(Noun):
    """One issued report. It is never changed: an amended one has a number of its own and names the one it amends.

    ``waived``: every requirement that is not met and does not count against its level, and by which waiver.
    ``suite_scores``: what the suites that measured were found to be worth.
    ``drivers``: what pressed the keys of the units, and on what each of them was tried, in words.
    """

    __test__ = False

    format: Label = "assay-report/1"
    number: Name
    title: Label
    notice: Text
    amends: Name | None = None
    amended_because: Text = ""
    issued_at: AwareDatetime
    laboratory: Laboratory
    site: Label
    customer: Customer
    submission: Name
    vendor: Label
    product: Product
    hardware_revision: Label
    mode: Name
    items: tuple[Item, ...]
    received_on: date
    condition: Text
    sampling: Text
    tested_from: AwareDatetime
    tested_to: AwareDatetime
    programme: Name
    programme_version: Label
    programme_title: Label
    programme_digest: Sha256
    profile: Name
    covers: Text
    does_not_cover: Text
    methods: tuple[Method, ...]
    by_hand: tuple[ByHand, ...] = Field(default=(), exclude_if=lambda given: not given)
    environment: Text
    drivers: tuple[Text, ...] = Field(default=(), exclude_if=lambda given: not given)
    instruments: tuple[UsedInstrument, ...]
    suite_scores: tuple[Text, ...] = Field(default=(), exclude_if=lambda given: not given)
    deviations: Text
    attempts: tuple[Attempt, ...]
    decision_rules: dict[Name, Text]
    levels: tuple[LevelVerdict, ...] = Field(min_length=1)
    earned: Name | None
    waived: tuple[WaivedRequirement, ...] = Field(default=(), exclude_if=lambda given: not given)
    samples: tuple[Sample, ...] = Field(default=(), exclude_if=lambda given: not given)
    from_the_customer: dict[Name, str]
    only_these_items: Text
    only_whole: Text
    authorised_by: Authoriser
    judgement_digest: Sha256
    evidence_digest: Sha256

    @model_validator(mode="after")
    def _tells_all_that_is_waived(self) -> Self:
        told = {(one.level, one.requirement, one.waiver) for one in self.waived}
        by_level = {
            (level.level, one.requirement, one.waiver.waiver)
            for level in self.levels
            for one in level.requirements
            if one.waiver is not None
        }
        if told != by_level:
            raise ValueError("waived is not what the verdicts name; expected each of their waivers")
        return self

    @model_validator(mode="after")
    def _something_was_tested(self) -> Self:
        """What was measured by runs is told whole; only where people measured everything is there nothing of it."""
        of_runs = (self.items, self.methods, self.attempts, self.instruments)
        if not all(of_runs) and (not self.by_hand or any((self.items, self.attempts))):
            raise ValueError("lacks units, methods, attempts or instruments; expected what the runs measured")
        told = {one.requirement for one in self.methods} | {one.requirement for one in self.by_hand}
        measured = {
            one.requirement
            for level in self.levels
            for one in level.requirements
            if one.verdict in (Verdict.PASS, Verdict.FAIL)
        }
        if measured - told:
            raise ValueError(
                f"does not tell how {min(measured - told)} was measured; expected it in methods or by_hand"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is on record of a run beside its reports. ``driver``: what pressed its keys, in words; ``beside``: its
    companions in words, each with its identity.
    """

    run: str
    state: str
    reason: str
    host: str
    slot: str
    device: str
    identity: str
    started_at: datetime | None
    ended_at: datetime | None
    driver: str = ""
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Everything on record that a report of one submission is put together from."""

    view: SubmissionView
    judgement: Judgement | None
    programme: Programme
    lab: Lab | None
    runs: Sequence[RunRecord]
    samples: Sequence[SampleView] = ()


@dataclass(frozen=True, kw_only=True)
class Amends:
    """The report that another takes the place of, and why."""

    number: str
    because: str


def against(recorded: Recorded, sheet: Sheet) -> tuple[Problem, ...]:
    """Everything that stands against issuing a report; empty where nothing does."""
    return (*_against_record(recorded), *against_sheet(sheet), *_against_register(recorded, sheet))


def _against_register(recorded: Recorded, sheet: Sheet) -> Iterator[Problem]:
    """What the sheet says otherwise than the register of samples, where samples of the submission are on it."""
    days = {view.received_at.astimezone(UTC).date() for view in recorded.samples if view.received_at is not None}
    said = sheet.item.received_on
    if days and said is not None and said not in days:
        wrong = f"says {said}, and the register has no sample of this submission that was received then"
        yield Problem(path="item.received_on", wrong=wrong, expected=" or ".join(map(str, sorted(days))))


def _sample(view: SampleView) -> Mapping[str, object]:
    return {
        "sample": view.sample,
        "serial": view.serial,
        "origin": view.origin.value if view.origin else None,
        "received_on": view.received_at.astimezone(UTC).date() if view.received_at else None,
        "condition": view.condition,
        "seal": view.seal,
    }


def compose(
    recorded: Recorded, sheet: Sheet, by: str, now: datetime, new_id: Callable[[str], str], amends: Amends | None = None
) -> TestReport | tuple[Problem, ...]:
    """The report, or everything that stands against it."""
    problems = against(recorded, sheet)
    view, judgement, programme = recorded.view, recorded.judgement, recorded.programme
    lab, profile = recorded.lab, programme.profile(recorded.view.content.profile)
    laboratory = lab.laboratory if lab else None
    if problems or judgement is None or lab is None or laboratory is None or profile is None:
        return problems
    judged = [run for run in recorded.runs if run.run in judgement.runs]
    numbers = {run.run: run.attempt for run in view.runs}
    by_hand = tuple(_by_hand(view, programme))
    # The sheet has every field, as nothing stands against it: what is not there would be refused here, too.
    return TestReport.model_validate(
        {
            "number": new_id("rep"),
            "title": TITLE if amends is None else f"{TITLE}, amended",
            "notice": DEMONSTRATION_NOTICE if programme.demonstration else "",
            "amends": amends.number if amends else None,
            "amended_because": amends.because if amends else "",
            "issued_at": now,
            "laboratory": laboratory,
            "site": lab.site,
            "customer": sheet.customer.model_dump(),
            "submission": view.submission,
            "vendor": view.content.vendor,
            "product": view.content.product,
            "hardware_revision": view.content.hardware_revision,
            "mode": view.content.mode,
            "items": tuple(_items(judged)),
            "received_on": sheet.item.received_on,
            "condition": sheet.item.condition,
            "sampling": sheet.item.sampling,
            "tested_from": min([*(run.started_at for run in judged if run.started_at), *(one.at for one in by_hand)]),
            "tested_to": max([*(run.ended_at for run in judged if run.ended_at), *(one.at for one in by_hand)]),
            "programme": programme.id,
            "programme_version": programme.version,
            "programme_title": programme.title,
            "programme_digest": judgement.programme_digest,
            "profile": profile.id,
            "covers": profile.covers,
            "does_not_cover": profile.does_not_cover,
            "methods": tuple(_methods(programme, profile.id)),
            "by_hand": by_hand,
            "environment": sheet.environment,
            "drivers": tuple(dict.fromkeys(run.driver for run in judged if run.driver)),
            "instruments": (*_used(recorded).values(), *_used_by_hand(view)),
            "suite_scores": _suite_scores(recorded),
            "deviations": sheet.deviations,
            "attempts": tuple(
                Attempt(run=run.run, attempt=numbers.get(run.run, 0), state=run.state, reason=run.reason)
                for run in recorded.runs
            ),
            "decision_rules": {level.id: RULES[level.rule] for level in programme.levels},
            "levels": judgement.levels,
            "earned": judgement.earned,
            "waived": waived_up_to(None, judgement),
            "samples": tuple(_sample(view) for view in recorded.samples if view.received_at is not None),
            "from_the_customer": _from_the_customer(view),
            "only_these_items": ONLY_THESE_ITEMS,
            "only_whole": ONLY_WHOLE,
            "authorised_by": {**sheet.authorised_by.model_dump(), "subject": by},
            "judgement_digest": digest(judgement),
            "evidence_digest": judgement.evidence_digest,
        }
    )


def _against_record(recorded: Recorded) -> Iterator[Problem]:
    view, judgement = recorded.view, recorded.judgement
    if recorded.lab is None or recorded.lab.laboratory is None:
        expected = "the laboratory's name, address and contact in the lab file, under 'laboratory'"
        yield Problem(path="lab.laboratory", wrong="is missing", expected=expected)
    if judgement is None:
        yield Problem(path="submission", wrong=f"is {view.state.value}", expected="one that is judged")
        return
    if judgement.programme_digest != recorded.programme.digest:
        wrong = "was judged by another programme than is at hand"
        yield Problem(path="submission", wrong=wrong, expected=judgement.programme_digest)
    for level in judgement.levels:
        for requirement in level.requirements:
            if requirement.verdict in _UNDECIDED and requirement.waiver is None:
                path = f"verdicts.{level.level}.{requirement.requirement}"
                wrong = f"is {requirement.verdict.value}: {requirement.words}"[:500]
                yield Problem(path=path, wrong=wrong, expected="a verdict that says something of the device")
    judged = [run for run in recorded.runs if run.run in judgement.runs]
    if not judged and not answers(view.prompts):
        yield Problem(path="runs", wrong="none was judged", expected="a run that measured")
    for run in judged:
        if run.started_at is None or run.ended_at is None:
            yield Problem(path=f"runs.{run.run}", wrong="has no beginning or no end", expected="a run that ended")
    yield from _against_instruments(recorded, judged)


def _against_instruments(recorded: Recorded, judged: Sequence[RunRecord]) -> Iterator[Problem]:
    used = _used(recorded)
    named = _instruments_named(recorded)
    if judged and not named:
        yield Problem(path="instruments", wrong="none measured anything", expected="measurements of an instrument")
    for name in sorted(named - used.keys()):
        expected = "its calibration in the lab file"
        yield Problem(path=f"instruments.{name}", wrong="is not in the lab file", expected=expected)
    last = max((run.ended_at for run in judged if run.ended_at), default=None)
    for name, one in sorted(used.items()):
        due = one.calibration.due_on
        if last is not None and due is not None and due < last.date():
            wrong = f"its calibration was due on {due}, before the tests ended on {last.date()}"
            yield Problem(path=f"instruments.{name}", wrong=wrong, expected="an instrument within its calibration")


def _instruments_named(recorded: Recorded) -> frozenset[str]:
    judged = recorded.judgement.runs if recorded.judgement else ()
    bodies = [report.report.body for report in recorded.view.reports if report.run in judged]
    return frozenset(
        measured.instrument
        for body in bodies
        if isinstance(body, CaseEnded | BenchChecked)
        for measured in body.measurements
    )


def _used(recorded: Recorded) -> dict[str, UsedInstrument]:
    """The instruments that measured, as the lab file describes them at the hosts of the judged runs."""
    if recorded.lab is None or recorded.judgement is None:
        return {}
    hosts = {run.host for run in recorded.runs if run.run in recorded.judgement.runs}
    named = _instruments_named(recorded)
    there: list[Instrument] = [
        instrument
        for host in recorded.lab.hosts
        if host.name in hosts
        for bench in host.benches
        for instrument in bench.instruments
    ]
    return {
        one.name: UsedInstrument(
            instrument=one.name, kind=one.kind, calibration=one.calibration, uncertainty=one.uncertainty
        )
        for one in there
        if one.name in named
    }


def _suite_scores(recorded: Recorded) -> tuple[str, ...]:
    """What the suites of the judged runs are worth, in words; that none was scored is said as well."""
    judged = recorded.judgement.runs if recorded.judgement else ()
    started = [
        report.report.body
        for report in recorded.view.reports
        if report.run in judged and isinstance(report.report.body, Started)
    ]
    return tuple(dict.fromkeys(body.score.words if body.score else NOT_SCORED for body in started))


def _used_by_hand(view: SubmissionView) -> tuple[UsedInstrument, ...]:
    """The instruments that people measured with, as they said; the uncertainty stands with each value."""
    found = (
        UsedInstrument(instrument=one.instrument, kind="by-hand", calibration=one.calibration, uncertainty={})
        for answer in answers(view.prompts)
        for one in answer.measured
        if one.instrument is not None and one.calibration is not None
    )
    return tuple({one.model_dump_json(): one for one in found}.values())


def _by_hand(view: SubmissionView, programme: Programme) -> Iterator[ByHand]:
    for prompt in sorted(view.prompts, key=lambda one: one.requirement):
        answer = prompt.answer
        requirement = next((one for one in programme.requirements if one.id == prompt.requirement), None)
        if answer is not None and requirement is not None:
            yield ByHand(
                prompt=prompt.prompt,
                requirement=requirement.id,
                title=requirement.title,
                serial=answer.serial,
                by=answer.by,
                confirmed_by=prompt.confirmation.by if prompt.confirmation else None,
                at=answer.at,
                instructions=requirement.instructions,
            )


def _items(judged: Sequence[RunRecord]) -> Iterator[Item]:
    for device in dict.fromkeys(run.device for run in judged):
        of = [run for run in judged if run.device == device]
        yield Item(
            unit=device,
            serial=of[-1].identity,
            host=of[-1].host,
            slot=of[-1].slot,
            runs=tuple(run.run for run in of),
            beside=tuple(dict.fromkeys(words for run in of for words in run.beside)),
        )


def _methods(programme: Programme, profile: str) -> Iterator[Method]:
    for requirement in programme.requirements:
        case = programme.case(requirement.case)
        if case is not None and profile in requirement.profiles:
            yield Method(
                requirement=requirement.id,
                title=requirement.title,
                case=case.id,
                procedure=case.procedure,
                method_version=case.method_version,
                repeats=case.repeats,
            )


def _from_the_customer(view: SubmissionView) -> dict[str, str]:
    """What the customer said and the lab did not measure (7.8.2.2): the ICS and the IXIT."""
    said = {f"ics.{name}": _said(answer) for name, answer in sorted(view.content.ics.items())}
    return said | {f"ixit.{name}": _said(value) for name, value in sorted(view.content.ixit.items())}


def _said(answer: object) -> str:
    return {True: "yes", False: "no"}.get(answer, str(answer)) if isinstance(answer, bool) else str(answer)
