"""One requirement at one level: its checks over all attempts and repeats. Pure.

The worst repeat decides an attempt and is the one that is quoted. A decisive attempt (pass or fail) supersedes those
that the lab spoilt. A fail is never repeated away: a check that failed in one attempt and passed in a later one is a
pass that is *unstable*. Nor is a marginal pass: among the passes the worst is quoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab_inventory.ics import Answers, holds
from lab_inventory.measurement import Limit, Measurement
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.outcome import Outcome, outcome, without_record
from lab_inventory.programme import Check, DecisionRule, Kind, Level, LevelLimit, Requirement
from lab_inventory.verdict import WORST_FIRST, Flag, Verdict
from orchestrator.lifecycle.verdict import Grounds, RequirementVerdict
from orchestrator.pipeline.attempts import CaseAttempt

WORDS_MAX = 2000

_DECISIVE = frozenset({Verdict.PASS, Verdict.FAIL})


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One check at one level. ``characterised``: passes only where the bench's uncertainty was on record."""

    check: Check
    limit: LevelLimit
    rule: DecisionRule
    characterised: bool


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one repeat of one attempt said of a check. ``repeat`` None: something that was not carried out."""

    run: str
    attempt: int
    repeat: int | None
    outcome: Outcome
    measurement: Measurement | None = None


def judge_requirement(
    requirement: Requirement,
    level: Level,
    repeats: int,
    ics: Answers,
    attempts: Sequence[CaseAttempt],
    *,
    characterised: bool = False,
) -> RequirementVerdict:
    """Hold a requirement's case against what ``level`` asks. ``attempts``: those at its case, earliest first.

    ``characterised``: whether what an instrument measured passes only where the bench had a record of its uncertainty.
    """

    def verdict(of: Verdict, words: str, grounds: tuple[Grounds, ...] = ()) -> RequirementVerdict:
        return RequirementVerdict(
            requirement=requirement.id,
            title=requirement.title,
            criterion=requirement.criterion,
            level=level.id,
            verdict=of,
            flags=tuple(flag for flag in Flag if any(flag in ground.flags for ground in grounds)),
            grounds=grounds,
            words=words[:WORDS_MAX],
            optional=requirement.kind is Kind.OPTIONAL,
        )

    if requirement.condition is not None and not holds(requirement.condition, ics):
        return verdict(Verdict.NOT_APPLICABLE, f"applies only where the ICS declares {requirement.condition}")
    asked = [
        _Asked(
            check=check,
            limit=check.limits[level.id],
            rule=level.rule,
            characterised=characterised and not requirement.manual,
        )
        for check in requirement.checks
        if level.id in check.limits
    ]
    if not asked:
        return verdict(Verdict.NOT_APPLICABLE, f"is not asked at the level {level.title}")
    if requirement.manual and not attempts:
        words = f"is manual: no procedure measures it, and nobody was asked to; {requirement.instructions}"
        return verdict(Verdict.NOT_RUN, words)
    grounds = tuple(_over_attempts(one, repeats, attempts) for one in asked)
    worst = min((ground.verdict for ground in grounds), key=WORST_FIRST.index)
    deciding = [g.words for g in grounds if g.verdict is worst and (g.flags or worst is not Verdict.PASS)]
    return verdict(worst, "; ".join(deciding) or f"all {len(grounds)} checks pass", grounds)


def _over_attempts(asked: _Asked, repeats: int, attempts: Sequence[CaseAttempt]) -> Grounds:
    """One check over all attempts."""
    seen = [_of_attempt(asked, repeats, attempt) for attempt in attempts]
    if not seen:
        words = f"{asked.check.quantity} was to be measured by no run"
        return _grounds(asked, _Seen(run="", attempt=0, repeat=None, outcome=_not_run(words)))
    decisive = [one for one in seen if one.outcome.verdict in _DECISIVE]
    if not decisive:
        carried_out = [one for one in seen if one.outcome.verdict is not Verdict.NOT_RUN]
        return _grounds(asked, (carried_out or seen)[-1])
    if decisive[-1].outcome.verdict is Verdict.FAIL:
        return _grounds(asked, decisive[-1])
    fails = [one for one in decisive if one.outcome.verdict is Verdict.FAIL]
    quoted = min((one for one in decisive if one.outcome.verdict is Verdict.PASS), key=_badness)
    return _grounds(asked, quoted, failed_before=fails[-1] if fails else None)


def _of_attempt(asked: _Asked, repeats: int, attempt: CaseAttempt) -> _Seen:
    """The worst repeat of one attempt; a repeat that is missing was not run."""
    seen = [one for ended in attempt.ended for one in _of_repeat(asked, attempt, ended)]
    missing = set(range(1, repeats + 1)) - {ended.repeat for ended in attempt.ended}
    if missing:
        count = f"{len(missing)} of {repeats} repeats" if repeats > 1 else "it"
        words = f"{asked.check.quantity}: {count} not run, {attempt.reason}"
        seen.append(_Seen(run=attempt.run, attempt=attempt.attempt, repeat=None, outcome=_not_run(words)))
    return min(seen, key=_badness)


def _of_repeat(asked: _Asked, attempt: CaseAttempt, ended: CaseEnded) -> list[_Seen]:
    """What one repeat measured of the check: as a rule one measurement."""
    quantity = asked.check.quantity

    def seen(of: Outcome, measurement: Measurement | None = None) -> _Seen:
        return _Seen(run=attempt.run, attempt=attempt.attempt, repeat=ended.repeat, outcome=of, measurement=measurement)

    if ended.status is CaseStatus.NOT_RUN:
        return [seen(_not_run(f"{quantity} was not measured: {ended.reason}"))]
    spoilt = ended.reason if ended.status is CaseStatus.ERROR else attempt.fault
    if ended.status is CaseStatus.ERROR or attempt.fault:
        words = f"the lab could not measure {quantity}: {spoilt}"
        return [seen(Outcome(verdict=Verdict.ERROR, words=words))]
    measurements = [measurement for measurement in ended.measurements if measurement.quantity == quantity]
    if not measurements:
        words = f"{ended.case} did not measure {quantity}" + (f": {ended.reason}" if ended.reason else "")
        return [seen(Outcome(verdict=Verdict.INCONCLUSIVE, words=words))]
    no_record = attempt.uncharacterised.get(ended.repeat, "") if asked.characterised else ""
    return [
        seen(
            without_record(
                outcome(
                    measurement,
                    asked.check,
                    asked.limit,
                    asked.rule,
                    distrust=attempt.distrusted.get((ended.repeat, measurement.instrument), ""),
                ),
                asked.check.unit,
                no_record,
            ),
            measurement,
        )
        for measurement in measurements
    ]


def _not_run(words: str) -> Outcome:
    return Outcome(verdict=Verdict.NOT_RUN, words=words)


def _badness(seen: _Seen) -> tuple[int, bool, float, int, int]:
    """Worst first: by verdict, a marginal pass before a plain one and a plain fail before a conditional one, then the
    value nearest to or furthest past its limit, then the earliest."""
    of = seen.outcome
    milder = Flag.CONDITIONAL in of.flags if of.verdict is Verdict.FAIL else Flag.MARGINAL not in of.flags
    return WORST_FIRST.index(of.verdict), milder, of.slack, seen.attempt, seen.repeat or 0


def _grounds(asked: _Asked, seen: _Seen, failed_before: _Seen | None = None) -> Grounds:
    flags, words = seen.outcome.flags, seen.outcome.words
    if failed_before is not None:
        flags = (Flag.UNSTABLE, *flags)
        words = f"{words}; but in attempt {failed_before.attempt} {failed_before.outcome.words}"
    limit = asked.limit
    return Grounds(
        quantity=asked.check.quantity,
        unit=asked.check.unit,
        limit=Limit(min=limit.min, max=limit.max, equals=limit.equals),
        source=limit.source.text,
        verdict=seen.outcome.verdict,
        flags=flags,
        value=seen.measurement.value if seen.measurement else None,
        run=seen.run or None,
        repeat=seen.repeat,
        evidence=seen.measurement.evidence if seen.measurement else (),
        words=words[:WORDS_MAX],
    )
