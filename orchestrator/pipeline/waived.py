"""What waivers do to verdicts: which of them cover what, and how a verdict says so. Pure.

A waiver never changes a verdict: what failed has failed. It takes a requirement out of what a level hangs on, exactly
within its scope and while it is in force, and says by whose authority. It covers every way in which a requirement
falls short at a level, also a pass that is unstable or too near to its limit: were those left out, a product that
fails outright would come off better than one that fails once.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Flag, Judgement, RequirementVerdict, Verdict, WaivedBy
from orchestrator.lifecycle.waiver import WaiverScope, WaiverView
from orchestrator.pipeline.requirement import WORDS_MAX

WaivedAt = Mapping[tuple[str, str], WaivedBy]
"""The waiver that covers a requirement at a level, by (level, requirement)."""

NONE_WAIVED: WaivedAt = MappingProxyType({})


def covering(waivers: Iterable[WaiverView], view: SubmissionView, programme: Programme, now: datetime) -> WaivedAt:
    """What the waivers in force at ``now`` cover of a submission under ``programme``.

    Of two that cover the same the one that ends later is named, then the one whose id comes first.
    """
    if programme.purpose is not Purpose.CERTIFICATION:
        return NONE_WAIVED
    found: dict[tuple[str, str], WaivedBy] = {}
    for one in sorted(waivers, key=lambda one: (-one.proposed.ends_on.toordinal(), one.waiver)):
        if one.approval is None or not one.in_force(now) or not is_for(one.scope, view, programme):
            continue
        waived = WaivedBy(
            waiver=one.waiver,
            author=one.proposed.by,
            approver=one.approval.by,
            reason=one.proposed.reason,
            ends_on=one.proposed.ends_on,
        )
        for level in one.scope.levels:
            found.setdefault((level, one.scope.requirement), waived)
    return found


def is_for(scope: WaiverScope, view: SubmissionView, programme: Programme) -> bool:
    """Whether a scope is of this programme version, and of this product in its hardware revision or this submission."""
    if (scope.programme, scope.programme_version) != (programme.id, programme.version):
        return False
    if scope.product is None:
        return scope.submission == view.submission
    content, of = view.content, scope.product
    is_it = (content.product.maker, content.product.model, content.hardware_revision)
    return is_it == (of.maker, of.model, of.hardware_revision)


def waived_in(judgement: Judgement) -> WaivedAt:
    """The waivers that a judgement itself names, for judging again as it was judged."""
    return {
        (level.level, one.requirement): one.waiver
        for level in judgement.levels
        for one in level.requirements
        if one.waiver is not None
    }


def waive(
    verdicts: tuple[RequirementVerdict, ...], waived: WaivedAt, *, counts: bool
) -> tuple[RequirementVerdict, ...]:
    """The verdicts of a level, with what is waived marked so. ``counts``: whether a conditional pass does here."""
    return tuple(_waive(one, waived.get((one.level, one.requirement)), counts=counts) for one in verdicts)


def _waive(one: RequirementVerdict, by: WaivedBy | None, *, counts: bool) -> RequirementVerdict:
    if by is None or one.optional or not falls_short(one, counts=counts):
        return one
    said = f"; {by.words}"
    flags = tuple(flag for flag in Flag if flag in one.flags or flag is Flag.WAIVED)
    words = one.words[: WORDS_MAX - len(said)] + said
    return one.model_copy(update={"flags": flags, "words": words, "waiver": by})


def falls_short(one: RequirementVerdict, *, counts: bool) -> bool:
    """Whether a requirement keeps a product from its level. ``counts``: whether a conditional pass does there."""
    if is_waived(one):
        return False
    if one.verdict is not Verdict.PASS:
        return one.verdict is not Verdict.NOT_APPLICABLE
    return Flag.UNSTABLE in one.flags or (Flag.MARGINAL in one.flags and not counts)


def is_waived(one: RequirementVerdict) -> bool:
    """Whether it does not count against its level."""
    return one.waiver is not None


def waived_in_words(one: RequirementVerdict) -> str:
    """A requirement that is waived, with what it came to, for a level's words."""
    by = one.waiver
    return one.requirement if by is None else f"{one.requirement} ({one.verdict}, {by.waiver} until {by.ends_on})"
