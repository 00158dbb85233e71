"""Designations beside a level: native Bluetooth, open office, a room size. Pure."""

from collections.abc import Sequence

from lab_inventory.programme_terms import Designation
from orchestrator.lifecycle.verdict import DesignationVerdict, Flag, RequirementVerdict, Verdict


def designate(
    designations: Sequence[Designation], verdicts: Sequence[RequirementVerdict], *, met: bool, counts_marginal: bool
) -> tuple[DesignationVerdict, ...]:
    """Judge the designations by the verdicts of one level; ``met``: whether the level is, without which none is earned.

    Earned where every requirement of it was asked of the product and passes by itself: none unstable, none waived, none
    nearer to its limit than its uncertainty unless that counts. Those of which nothing was asked are left out.
    """
    by_name = {verdict.requirement: verdict for verdict in verdicts}
    found = []
    for one in designations:
        asked = [by_name[name] for name in one.requirements if name in by_name]
        if all(verdict.verdict is Verdict.NOT_APPLICABLE for verdict in asked):
            continue
        short = [name for name in one.requirements if not _counts(by_name.get(name), counts_marginal)]
        reasons = [f"does not count: {', '.join(short)}"] if short else []
        reasons += [] if met else ["the level is not met"]
        words = f"{one.title}: {'not earned; ' + '; '.join(reasons) if reasons else 'earned. ' + one.statement}"
        found.append(DesignationVerdict(designation=one.id, title=one.title, earned=not reasons, words=words))
    return tuple(found)


def _counts(verdict: RequirementVerdict | None, counts_marginal: bool) -> bool:
    if verdict is None or verdict.verdict is not Verdict.PASS or Flag.UNSTABLE in verdict.flags:
        return False
    return counts_marginal or Flag.MARGINAL not in verdict.flags
