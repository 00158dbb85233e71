"""Past evidence judged again: under another version of a programme, or without what an instrument measured. Pure.

Takes what was recorded and what it was judged; gives what would come of it now, side by side. It changes nothing: no
judgement, no certificate. What was never measured, or was measured by another method, was not run: no lab time stands
behind it, so it neither passes nor fails. The waivers that stand in the judgement count again under the same programme;
a waiver is of one version, so under another none does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum

from lab_inventory.ics import AnswerKind, Answers, Feature, parse_condition
from lab_inventory.messages import CaseEnded
from lab_inventory.programme import Kind, Programme, Requirement, TestCase
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement, LevelVerdict, RequirementVerdict, Verdict
from orchestrator.pipeline.attempts import CaseAttempt, Distrust, attempts_by_case, day_of, each_once
from orchestrator.pipeline.judge import Asked, counts_conditional_pass, judge_on
from orchestrator.pipeline.prompting import OBSERVATION, answers, attempt_by_hand
from orchestrator.pipeline.waived import NONE_WAIVED, falls_short, waived_in

NAMES_MAX = 5
"""So many requirements are named in the words; all of them stand among the differences."""


class Impact(StrEnum):
    """What comes of judging again. ``not-judgeable``: a level is lost, and nothing speaks against the product."""

    UNCHANGED = "unchanged"
    FAILS = "fails"
    GAINS = "gains"
    NOT_JUDGEABLE = "not-judgeable"


@dataclass(frozen=True, kw_only=True)
class LevelAgain:
    """One level then and now. ``before`` None: it was not judged against such a level."""

    level: str
    title: str
    before: bool | None
    after: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One requirement at one level that comes out otherwise; ``before`` is "–" where it was not judged then."""

    level: str
    requirement: str
    title: str
    before: str
    after: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """One submission, side by side. ``words``: the impact, for people. ``again``: test cases that would have to be
    measured for a level that cannot be judged. ``measurements``: how many of them the instrument that is left out made.
    """

    submission: str
    impact: Impact
    words: str
    earned_before: str | None
    earned_after: str | None
    levels: tuple[LevelAgain, ...] = ()
    differences: tuple[Difference, ...] = ()
    again: tuple[str, ...] = ()
    measurements: int = 0


def rejudge(
    view: SubmissionView,
    before: Programme,
    was: Judgement,
    after: Programme | None = None,
    distrust: Distrust | None = None,
) -> Rejudged:
    """Judge a submission of ``before`` again: by the version ``after`` (None: by the same), without what ``distrust``
    covers. ``was``: what it was judged.
    """
    after = after or before
    measurements = measured_by(view, distrust) if distrust else 0
    why_not = _why_not(view, before, after)
    if why_not:
        return Rejudged(
            submission=view.submission,
            impact=Impact.NOT_JUDGEABLE,
            words=why_not,
            earned_before=was.earned,
            earned_after=None,
            measurements=measurements,
        )
    waived = waived_in(was) if after.digest == before.digest else NONE_WAIVED
    now = judge_on(view, after, _asked(view, before, after, attempts_by_case(view, distrust), distrust), waived)
    impact, lacking = _impact(was, now, after)
    highest = _reach(was, now, after)
    cases = {requirement.id: requirement.case or f"{requirement.id} (by hand)" for requirement in after.requirements}
    return Rejudged(
        submission=view.submission,
        impact=impact,
        words=_words(impact, was, now, lacking),
        earned_before=was.earned,
        earned_after=now.earned,
        levels=tuple(_levels(was, now)),
        differences=tuple(_differences(was, now.levels[: highest + 1], same=was.programme == after.id)),
        again=tuple(dict.fromkeys(cases[one.requirement] for one in lacking if one.verdict in _UNKNOWN)),
        measurements=measurements,
    )


_UNKNOWN = frozenset({Verdict.NOT_RUN, Verdict.INCONCLUSIVE, Verdict.ERROR})


def measured_by(view: SubmissionView, distrust: Distrust) -> int:
    """How many of the measurements of a submission ``distrust`` covers."""
    hosts = {run.run: run.lease.host if run.lease else "" for run in view.runs}
    by_hand = sum(
        distrust.covers(one.instrument or OBSERVATION, answer.at.astimezone(UTC).date(), "")
        for answer in answers(view.prompts)
        for one in answer.measured
    )
    return by_hand + sum(
        distrust.covers(measurement.instrument, day_of(recorded.report), hosts[recorded.run])
        for recorded in each_once(view.reports)
        if isinstance(recorded.report.body, CaseEnded)
        for measurement in recorded.report.body.measurements
    )


def _why_not(view: SubmissionView, before: Programme, after: Programme) -> str:
    """Why a programme says nothing of a submission, or nothing."""
    name = f"{after.id} {after.version}"
    if after.category != before.category:
        return f"{name} is for {after.category}, and this is {before.category}"
    if after.profile(view.content.profile) is None:
        return f"{name} has no profile {view.content.profile}"
    return ""


def _asked(
    view: SubmissionView,
    before: Programme,
    after: Programme,
    attempts: Mapping[str, Sequence[CaseAttempt]],
    distrust: Distrust | None,
) -> Asked:
    """What ``after`` asks, with the attempts that were measured in the way it asks for."""
    unanswered = {feature.id for feature in after.proforma.features if not _is_answered(feature, view.content.ics)}
    other_values = _other_values(view, before, after)
    asked: list[tuple[Requirement, Sequence[CaseAttempt]]] = []
    for requirement in after.requirements:
        if view.content.profile not in requirement.profiles:
            continue
        named = parse_condition(requirement.condition).names() if requirement.condition else frozenset()
        if named & unanswered:
            why = f"the ICS does not answer {', '.join(sorted(named & unanswered))}, on which it depends"
            applies = requirement.model_copy(update={"kind": Kind.MANDATORY, "condition": None})
            asked.append((applies, _never(why)))
        elif other_values:
            asked.append((requirement, _never(other_values)))
        elif requirement.manual:
            asked.append((requirement, _by_hand_alike(view, before, requirement, distrust)))
        else:
            asked.append((requirement, _measured_alike(before, after.case(requirement.case), attempts)))
    return asked


def _is_answered(feature: Feature, ics: Answers) -> bool:
    answer = ics.get(feature.id)
    return isinstance(answer, bool) if feature.kind is AnswerKind.YES_NO else answer in feature.choices


def _other_values(view: SubmissionView, before: Programme, after: Programme) -> str:
    """With which other IXIT values it was measured, or nothing."""
    then = before.proforma.with_defaults(view.content.ixit)
    now = after.proforma.with_defaults(view.content.ixit)
    other = [
        f"{name} = {then[name]}, not {now[name]}"
        for name in sorted(then.keys() & now.keys())
        if then[name] != now[name]
    ]
    return f"it was measured with {', '.join(other)}" if other else ""


def _never(why: str) -> tuple[CaseAttempt, ...]:
    """An attempt at nothing, with the reason."""
    return (CaseAttempt(run="", attempt=0, fault="", reason=why, ended=()),)


def _measured_alike(
    before: Programme, case: TestCase | None, attempts: Mapping[str, Sequence[CaseAttempt]]
) -> Sequence[CaseAttempt]:
    """The attempts at what was measured as ``case`` asks: under its own name, or under another."""
    if case is None:
        return ()
    same = before.case(case.id)
    known = [one for suite in before.suites for one in suite.cases]
    alike = [one for one in (*([same] if same else []), *known) if _method(one) == _method(case)]
    if alike:
        return attempts.get(alike[0].id, ())
    if same is None:
        return _never(f"nothing was measured by {case.procedure} version {case.method_version} with these parameters")
    other = [
        f"{what} {now}, and it was {then}"
        for (what, then), (_, now) in zip(_method(same), _method(case), strict=True)
        if then != now
    ]
    return _never(f"{case.id} asks for {'; '.join(other)}")


def _by_hand_alike(
    view: SubmissionView, before: Programme, requirement: Requirement, distrust: Distrust | None
) -> Sequence[CaseAttempt]:
    """What people said of a manual requirement, where they were told to do as it says."""
    then = next((one for one in before.requirements if one.id == requirement.id), None)
    if then is None or not then.manual:
        return _never(f"{requirement.id} is measured by hand, and was not then")
    if (then.instructions, then.picture) != (requirement.instructions, requirement.picture):
        return _never(f"{requirement.id} was measured by hand by other instructions")
    return attempt_by_hand(requirement, view.prompts, distrust)


def _method(case: TestCase) -> tuple[tuple[str, str], ...]:
    """All that decides what a measurement means, for people too."""
    parameters = ", ".join(f"{name}={value!r}" for name, value in sorted(case.parameters.items()))
    return (
        ("procedure", case.procedure),
        ("method version", str(case.method_version)),
        ("parameters", parameters or "none"),
        ("roles", ", ".join(case.roles)),
        (
            "categories of roles",
            ", ".join(f"{role} of {one}" for role, one in sorted(case.categories.items())) or "none",
        ),
    )


def _rank(level: str | None, programme: Programme) -> int:
    """The place of a level among those of a programme, from 1; 0: no level, or none of them."""
    names = [one.id for one in programme.levels]
    return names.index(level) + 1 if level in names else 0


def _target(was: Judgement, after: Programme) -> int:
    """The rank that is compared with: of what was earned; of another programme its lowest level."""
    if was.programme != after.id:
        return 1
    return _rank(was.earned, after) or (1 if was.earned else 0)


def _reach(was: Judgement, now: Judgement, after: Programme) -> int:
    """The index of the highest level that matters: what was earned, or the one above what is earned now."""
    return min(max(_target(was, after) - 1, _rank(now.earned, after)), len(after.levels) - 1)


def _impact(was: Judgement, now: Judgement, after: Programme) -> tuple[Impact, tuple[RequirementVerdict, ...]]:
    """What comes of it, and the requirements for want of which a level is lost."""
    target, reached = _target(was, after), _rank(now.earned, after)
    known = was.programme == after.id and (was.earned is None or _rank(was.earned, after) > 0)
    if reached > target or (reached == target and not known):
        return Impact.GAINS, ()
    if reached == target:
        return Impact.UNCHANGED, ()
    lacking = tuple(
        one
        for level, verdict in zip(after.levels[:target], now.levels, strict=False)
        for one in verdict.requirements
        if falls_short(one, counts=counts_conditional_pass(level, after))
    )
    against = any(one.verdict in (Verdict.FAIL, Verdict.PASS) for one in lacking)
    return (Impact.FAILS if against else Impact.NOT_JUDGEABLE), lacking


def _words(impact: Impact, was: Judgement, now: Judgement, lacking: Sequence[RequirementVerdict]) -> str:
    then = f"earned {was.earned or 'no level'} under {was.programme} {was.programme_version}"
    if impact is Impact.UNCHANGED:
        return f"{then}, and would again"
    would = f"{then}; would now earn {now.earned or 'no level'}"
    if impact is Impact.GAINS:
        return would
    against = [one for one in lacking if one.verdict in (Verdict.FAIL, Verdict.PASS)]
    names = list(dict.fromkeys(one.requirement for one in against or lacking)) or ["nothing that applies"]
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return f"{would}; {'not met' if against else 'not known'}: {', '.join(names[:NAMES_MAX])}{more}"


def _levels(was: Judgement, now: Judgement) -> Iterator[LevelAgain]:
    then = {level.level: level.met for level in was.levels} if was.programme == now.programme else {}
    for level in now.levels:
        before = then.get(level.level)
        yield LevelAgain(level=level.level, title=level.title, before=before, after=level.met, words=level.words)


def _differences(was: Judgement, levels: Sequence[LevelVerdict], *, same: bool) -> Iterator[Difference]:
    """The requirements that come out otherwise; what was not judged then, where it now does not simply pass."""
    then = {(one.level, one.requirement): one for level in was.levels for one in level.requirements} if same else {}
    for level in levels:
        for one in level.requirements:
            before = then.get((one.level, one.requirement))
            if before is None:
                otherwise = bool(one.flags) or one.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
            else:
                otherwise = (before.verdict, before.flags) != (one.verdict, one.flags)
            if otherwise:
                yield Difference(
                    level=one.level,
                    requirement=one.requirement,
                    title=one.title,
                    before=_shown(before) if before else "–",
                    after=_shown(one),
                    words=one.words,
                )


def _shown(one: RequirementVerdict) -> str:
    return f"{one.verdict} ({', '.join(one.flags)})" if one.flags else f"{one.verdict}"


def stands(again: Rejudged, level: str, before: Programme, after: Programme) -> bool | None:
    """Whether a certificate of ``level`` would be granted again; None: ``after`` is another programme."""
    if before.id != after.id:
        return None
    return 0 < _rank(level, after) <= _rank(again.earned_after, after)
