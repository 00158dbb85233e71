"""From a judgement to a decision, and from a decision to a certificate that can be signed. Pure.

Only a programme that is marked as a demonstration is decided automatically; any other waits for a person who took no
part in the evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lab_inventory.canonical import digest
from lab_inventory.errors import InvariantBroken
from lab_inventory.messages import CaseEnded
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.certificate import Certificate, DecisionMade, WaivedRequirement
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Flag, Judgement
from orchestrator.pipeline.attempts import judged_digest
from orchestrator.pipeline.prompting import answers

DEMONSTRATION_NOTICE = "DEMONSTRATION, grants nothing"


@dataclass(frozen=True, kw_only=True)
class NeedsDecision:
    """A person has to decide; in words, who."""

    words: str


def decide(
    judgement: Judgement, programme: Programme, now: datetime, new_id: Callable[[str], str]
) -> DecisionMade | NeedsDecision:
    """Decide a demonstration; say what is needed for anything else."""
    if programme.purpose is not Purpose.CERTIFICATION:
        return NeedsDecision(words=f"a {programme.purpose} grants nothing, so nothing is to be decided")
    if not programme.demonstration:
        return NeedsDecision(words="waits for a decision by somebody who took no part in the evaluation")
    if judgement.earned is None:
        words = f"{DEMONSTRATION_NOTICE}: no level of {programme.title} is met"
    else:
        words = f"{DEMONSTRATION_NOTICE}: {programme.level(judgement.earned).title} is met"
    return DecisionMade(
        decision=new_id("dec"),
        submission=judgement.submission,
        level=judgement.earned,
        automatic=True,
        by="automatic (demonstration)",
        words=words,
        at=now,
    )


def draft(
    decision: DecisionMade,
    judgement: Judgement,
    view: SubmissionView,
    programme: Programme,
    *,
    issuer: str,
    lab: str,
    journal_head: str,
    journal_length: int,
    new_id: Callable[[str], str],
) -> Certificate | None:
    """The certificate of a decision that grants a level, bound to everything it rests on; None where none is granted.

    ``journal_head`` and ``journal_length`` are those before the certificate's own rows. ``evidence`` becomes every file
    that the judged reports and answers name. Raises InvariantBroken where decision, judgement, submission and programme
    do not belong together.
    """
    if decision.level is None:
        return None
    profile = programme.profile(judgement.profile)
    if profile is None or programme.digest != judgement.programme_digest:
        raise InvariantBroken(f"{judgement.submission} was judged against another programme than is to be certified")
    if decision.submission != judgement.submission or decision.level not in grantable(judgement):
        raise InvariantBroken(f"decision {decision.decision} grants {decision.level}, which was not earned")
    if view.submission != judgement.submission or judged_digest(view) != judgement.evidence_digest:
        raise InvariantBroken(f"{view.submission} was judged on other reports than are to be certified")
    return Certificate(
        certificate=new_id("crt"),
        demonstration=programme.demonstration,
        notice=DEMONSTRATION_NOTICE if programme.demonstration else "",
        issuer=issuer,
        lab=lab,
        vendor=view.content.vendor,
        product=view.content.product,
        hardware_revision=view.content.hardware_revision,
        mode=view.content.mode,
        region=view.content.region,
        components=view.content.components,
        companions=view.content.companions,
        level=decision.level,
        level_title=programme.level(decision.level).title,
        waived=waived_up_to(decision.level, judgement),
        programme=programme.id,
        programme_version=programme.version,
        programme_digest=judgement.programme_digest,
        profile=profile.id,
        profile_covers=profile.covers,
        profile_does_not_cover=profile.does_not_cover,
        designations=tuple(
            one.title
            for level in judgement.levels
            if level.level == decision.level
            for one in level.designations
            if one.earned
        ),
        submission=view.submission,
        runs=judgement.runs,
        judgement_digest=digest(judgement),
        evidence_digest=judgement.evidence_digest,
        evidence=evidence_of(view),
        decision=decision.decision,
        decided_by=decision.by,
        granted_at=decision.at,
        provisional=decision.provisional,
        journal_head=journal_head,
        journal_length=journal_length,
    )


def grantable(judgement: Judgement) -> tuple[str, ...]:
    """The levels that may be granted, lowest first: the earned one, and those below it that are met too."""
    order = [level.level for level in judgement.levels]
    if judgement.earned not in order:
        return ()
    up_to = judgement.levels[: order.index(judgement.earned) + 1]
    return tuple(level.level for level in up_to if level.met)


def waived_up_to(level: str | None, judgement: Judgement) -> tuple[WaivedRequirement, ...]:
    """What does not count against ``level`` or one below it, by a waiver; None: of every level that was judged."""
    order = [one.level for one in judgement.levels]
    concerned = judgement.levels if level is None else judgement.levels[: order.index(level) + 1]
    return tuple(
        WaivedRequirement(
            level=of.level,
            requirement=one.requirement,
            title=one.title,
            verdict=one.verdict,
            flags=tuple(flag for flag in one.flags if flag is not Flag.WAIVED),
            waiver=one.waiver.waiver,
            reason=one.waiver.reason,
            ends_on=one.waiver.ends_on,
        )
        for of in concerned
        for one in of.requirements
        if one.waiver is not None
    )


def evidence_of(view: SubmissionView) -> tuple[str, ...]:
    """The content address of every file that a report of a case or the answer to a prompt names, sorted."""
    cases = [report.report.body for report in view.reports if isinstance(report.report.body, CaseEnded)]
    kept = {file.digest for case in cases for file in case.evidence}
    kept |= {address for case in cases for measured in case.measurements for address in measured.evidence}
    kept |= {file.digest for answer in answers(view.prompts) for file in answer.evidence}
    return tuple(sorted(kept))
