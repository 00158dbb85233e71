"""From recorded reports to verdicts: requirement, level, and the level that is earned.

Pure: the same evidence gives the same verdict anywhere, in whatever order and however often it arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab_inventory.errors import InvariantBroken
from lab_inventory.outcome import RULES
from lab_inventory.programme import Criterion, DecisionRule, Level, Programme, Requirement
from lab_inventory.verdict import WORST_FIRST
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import (
    CriterionVerdict,
    Flag,
    Judgement,
    LevelVerdict,
    RequirementVerdict,
    Verdict,
)
from orchestrator.pipeline.attempts import CaseAttempt, attempts_by_case, each_once, judged_digest
from orchestrator.pipeline.designation import designate
from orchestrator.pipeline.prompting import attempt_by_hand
from orchestrator.pipeline.requirement import WORDS_MAX, judge_requirement
from orchestrator.pipeline.waived import NONE_WAIVED, WaivedAt, is_waived, waive, waived_in_words

_UNDECIDED = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_RUN})


def judge(view: SubmissionView, programme: Programme, waived: WaivedAt = NONE_WAIVED) -> Judgement:
    """Judge a submission against every level of the programme it is bound to, and no other.

    ``waived``: what waivers in force cover, as :func:`orchestrator.pipeline.waived.covering` gives it.
    Raises InvariantBroken for another programme, and for reports that cannot all have counted.
    """
    if programme.digest != view.programme_digest:
        raise InvariantBroken(f"{view.submission} is bound to {view.programme_digest}, not to {programme.digest}")
    return judge_on(view, programme, _asked(view, programme), waived)


Asked = Sequence[tuple[Requirement, Sequence[CaseAttempt]]]
"""Requirements, each with the attempts that it is held against, earliest first."""


def judge_on(view: SubmissionView, programme: Programme, asked: Asked, waived: WaivedAt = NONE_WAIVED) -> Judgement:
    """Judge a submission against every level of ``programme``, each requirement by the attempts beside it."""
    levels = tuple(
        _level(level, waive(verdicts, waived, counts=counts), counts, programme)
        for level, verdicts in _by_level(view, programme, asked)
        for counts in (counts_conditional_pass(level, programme),)
    )
    earned = None
    for verdict in levels:
        if not verdict.met:
            break
        earned = verdict.level
    judged = each_once(view.reports)
    return Judgement(
        submission=view.submission,
        programme=programme.id,
        programme_version=programme.version,
        programme_digest=programme.digest,
        profile=view.content.profile,
        levels=levels,
        earned=earned,
        evidence_digest=judged_digest(view),
        runs=tuple(dict.fromkeys(report.run for report in judged)),
    )


def undecided(view: SubmissionView, programme: Programme) -> tuple[str, ...]:
    """The cases of which some check has no decisive outcome yet, in the order of the programme.

    What lacks nothing but the record of the bench's uncertainty is none of them: measured again it would lack the same.
    """
    open_requirements = {
        verdict.requirement
        for _, verdicts in _by_level(view, programme, _asked(view, programme), characterised=False)
        for verdict in verdicts
        if any(grounds.verdict in _UNDECIDED for grounds in verdict.grounds)
    }
    cases = {requirement.case for requirement in programme.requirements if requirement.id in open_requirements}
    return tuple(case.id for suite in programme.suites for case in suite.cases if case.id in cases)


def counts_conditional_pass(level: Level, programme: Programme) -> bool:
    """Whether a pass nearer to the limit than its uncertainty counts: where the rule of the level is not the guard
    band, and never at the most stringent level of the programme.
    """
    if level.rule is DecisionRule.GUARD_BAND_NON_BINARY:
        return level.id != programme.levels[-1].id
    return level.rule is DecisionRule.SIMPLE_ACCEPTANCE


def criteria(verdict: LevelVerdict, programme: Programme) -> tuple[CriterionVerdict, ...]:
    """One verdict for each criterion that has requirements, derived from a level of a judgement under ``programme``."""
    level = programme.level(verdict.level)
    counts = counts_conditional_pass(level, programme)
    found = []
    for criterion in Criterion:
        of_it = tuple(r for r in verdict.requirements if r.criterion is criterion)
        if of_it:
            standing = _stand(level, of_it, counts)
            found.append(
                CriterionVerdict(
                    criterion=criterion,
                    level=level.id,
                    verdict=standing.verdict,
                    met=standing.met,
                    words=standing.words[:WORDS_MAX],
                )
            )
    return tuple(found)


def _asked(view: SubmissionView, programme: Programme) -> Asked:
    """Every requirement of the submission's profile, with the attempts at its case, or what people said of it."""
    attempts = attempts_by_case(view)
    requirements = [r for r in programme.requirements if view.content.profile in r.profiles]
    return [(r, attempt_by_hand(r, view.prompts) if r.manual else attempts.get(r.case, ())) for r in requirements]


def needs_record(level: Level, programme: Programme) -> bool:
    """Whether what is measured passes at a level only where the bench had a record of its uncertainty."""
    return programme.requires_characterised_bench and level.id == programme.levels[-1].id


def _by_level(
    view: SubmissionView, programme: Programme, asked: Asked, *, characterised: bool = True
) -> list[tuple[Level, tuple[RequirementVerdict, ...]]]:
    """Every requirement that is asked at every level. ``characterised``: whether it matters that the bench was."""
    repeats = {case.id: case.repeats for suite in programme.suites for case in suite.cases}
    return [
        (
            level,
            tuple(
                judge_requirement(
                    requirement,
                    level,
                    repeats.get(requirement.case, 1),
                    view.content.ics,
                    attempts,
                    characterised=characterised and needs_record(level, programme),
                )
                for requirement, attempts in asked
            ),
        )
        for level in programme.levels
    ]


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """What some requirements come to together. ``words``: without the name of what they belong to."""

    verdict: Verdict
    met: bool
    words: str


def _stand(level: Level, verdicts: tuple[RequirementVerdict, ...], counts: bool) -> _Standing:
    """Met where every requirement that applies and is not waived passes, none unstable, and none marginal where that
    does not count.
    """
    applicable = [v for v in verdicts if v.verdict is not Verdict.NOT_APPLICABLE and not v.optional]
    worst = min((v.verdict for v in applicable), key=WORST_FIRST.index, default=Verdict.NOT_APPLICABLE)
    waived = [v for v in applicable if is_waived(v)]
    held = [v for v in applicable if not is_waived(v)]
    short = [v.requirement for v in held if v.verdict is not Verdict.PASS]
    unstable = [v.requirement for v in held if Flag.UNSTABLE in v.flags]
    marginal = [v.requirement for v in held if Flag.MARGINAL in v.flags]
    met = bool(applicable) and not (short or unstable or (marginal and not counts))
    passed = sum(v.verdict is Verdict.PASS for v in applicable)
    parts = [f"{passed} of {len(applicable)} requirements pass"]
    parts += [f"waived: {', '.join(map(waived_in_words, waived))}"] if waived else []
    parts += [f"not passed: {', '.join(short)}"] if short else []
    parts += [f"passed only after a fail: {', '.join(unstable)}"] if unstable else []
    if marginal:
        what = "passed conditionally, which counts at this level" if counts else "not shown to be inside the limit"
        parts.append(f"{what}: {', '.join(marginal)} (decision rule: {RULES[level.rule]})")
    return _Standing(verdict=worst, met=met, words="; ".join(parts))


def _level(level: Level, verdicts: tuple[RequirementVerdict, ...], counts: bool, programme: Programme) -> LevelVerdict:
    """A level: met where its requirements stand together."""
    standing = _stand(level, verdicts, counts)
    met = ("met by waivers" if any(map(is_waived, verdicts)) else "met") if standing.met else "not met"
    words = f"{level.title}: {met}; {standing.words}"
    return LevelVerdict(
        level=level.id,
        title=level.title,
        verdict=standing.verdict,
        met=standing.met,
        requirements=verdicts,
        words=words[:WORDS_MAX],
        designations=designate(programme.designations, verdicts, met=standing.met, counts_marginal=counts),
    )
