"""From recorded reports to verdicts: requirement, level, and the level that is earned.

Pure: the same evidence gives the same verdict anywhere, in whatever order and however often it arrived.
"""

from lab_inventory.errors import InvariantBroken
from lab_inventory.programme import DecisionRule, Level, Programme
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Flag, Judgement, LevelVerdict, RequirementVerdict, Verdict
from orchestrator.pipeline.attempts import attempts_by_case, each_once, evidence_digest
from orchestrator.pipeline.requirement import WORDS_MAX, WORST_FIRST, judge_requirement

_UNDECIDED = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_RUN})


def judge(view: SubmissionView, programme: Programme) -> Judgement:
    """Judge a submission against every level of the programme it is bound to, and no other.

    Raises InvariantBroken for another programme, and for reports that cannot all have counted.
    """
    if programme.digest != view.programme_digest:
        raise InvariantBroken(f"{view.submission} is bound to {view.programme_digest}, not to {programme.digest}")
    levels = tuple(_level(level, verdicts) for level, verdicts in _by_level(view, programme))
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
        programme_digest=view.programme_digest,
        profile=view.content.profile,
        levels=levels,
        earned=earned,
        evidence_digest=evidence_digest(judged),
        runs=tuple(dict.fromkeys(report.run for report in judged)),
    )


def undecided(view: SubmissionView, programme: Programme) -> tuple[str, ...]:
    """The cases of which some check has no decisive outcome yet, in the order of the programme."""
    open_requirements = {
        verdict.requirement
        for _, verdicts in _by_level(view, programme)
        for verdict in verdicts
        if any(grounds.verdict in _UNDECIDED for grounds in verdict.grounds)
    }
    cases = {requirement.case for requirement in programme.requirements if requirement.id in open_requirements}
    return tuple(case.id for suite in programme.suites for case in suite.cases if case.id in cases)


def _by_level(view: SubmissionView, programme: Programme) -> list[tuple[Level, tuple[RequirementVerdict, ...]]]:
    """Every requirement of the submission's profile at every level."""
    attempts = attempts_by_case(view)
    repeats = {case.id: case.repeats for suite in programme.suites for case in suite.cases}
    requirements = [r for r in programme.requirements if view.content.profile in r.profiles]
    return [
        (
            level,
            tuple(
                judge_requirement(r, level, repeats.get(r.case, 1), view.content.ics, attempts.get(r.case, ()))
                for r in requirements
            ),
        )
        for level in programme.levels
    ]


def _level(level: Level, verdicts: tuple[RequirementVerdict, ...]) -> LevelVerdict:
    """A level is met where every applicable requirement passes, none unstable, none marginal under a guard band."""
    applicable = [v for v in verdicts if v.verdict is not Verdict.NOT_APPLICABLE and not v.optional]
    worst = min((v.verdict for v in applicable), key=WORST_FIRST.index, default=Verdict.NOT_APPLICABLE)
    short = [v.requirement for v in applicable if v.verdict is not Verdict.PASS]
    unstable = [v.requirement for v in applicable if Flag.UNSTABLE in v.flags]
    guarded = level.rule is DecisionRule.GUARD_BAND
    marginal = [v.requirement for v in applicable if guarded and Flag.MARGINAL in v.flags]
    met = bool(applicable) and not (short or unstable or marginal)
    parts = [f"{len(applicable) - len(short)} of {len(applicable)} requirements pass"]
    parts += [f"not passed: {', '.join(short)}"] if short else []
    parts += [f"passed only after a fail: {', '.join(unstable)}"] if unstable else []
    parts += [f"not shown to be inside the limit: {', '.join(marginal)}"] if marginal else []
    words = f"{level.title}: {'met' if met else 'not met'}; " + "; ".join(parts)
    return LevelVerdict(
        level=level.id, title=level.title, verdict=worst, met=met, requirements=verdicts, words=words[:WORDS_MAX]
    )
