"""What was declared, held against what instruments saw: a pure look at the measurements that count.

A declaration decides what is tested, so a false one is a finding of its own and not merely a fail. What nothing looked
for is no finding: a case that was not carried out, or whose run measured nothing, says nothing about a feature.
"""

from collections.abc import Iterator
from enum import StrEnum

from lab_inventory.ics import Answer, Feature
from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import CaseStatus
from lab_inventory.noun import Name, Noun, Text
from lab_inventory.programme import Programme
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.pipeline.attempts import attempts_by_case
from orchestrator.pipeline.requirement import WORDS_MAX


class FindingKind(StrEnum):
    """How a declaration and the wire differ."""

    DECLARED_NOT_SEEN = "declared-not-seen"
    SEEN_NOT_DECLARED = "seen-not-declared"


class Finding(Noun):
    """One declaration that the wire contradicts. ``runs``: those whose measurements say so."""

    feature: Name
    kind: FindingKind
    quantity: Name
    runs: tuple[Name, ...]
    words: Text


def findings(view: SubmissionView, programme: Programme) -> tuple[Finding, ...]:
    """Every feature of which declaration and wire differ, in the order of the proforma.

    Seen is what was seen once, in any repeat of any attempt that counts; not seen is what was looked for and seen in
    none. Raises InvariantBroken for reports that cannot all have counted.
    """
    looks = tuple(_looks(view))
    found = (_finding(f, view.content.ics.get(f.id), looks) for f in programme.proforma.features)
    return tuple(one for one in found if one is not None)


def _looks(view: SubmissionView) -> Iterator[tuple[str, Measurement]]:
    """Each run with what it measured in bool, of the runs whose bench and device were as they must be."""
    for attempts in attempts_by_case(view).values():
        for attempt in attempts:
            if attempt.fault:
                continue
            for ended in attempt.ended:
                if ended.status is CaseStatus.MEASURED:
                    yield from ((attempt.run, one) for one in ended.measurements if one.unit is Unit.BOOL)


def _finding(feature: Feature, declared: Answer | None, looks: tuple[tuple[str, Measurement], ...]) -> Finding | None:
    if feature.seen_by is None or not isinstance(declared, bool):
        return None
    quantity = feature.seen_by.quantity
    mine = [(run, measured) for run, measured in looks if measured.quantity == quantity]
    seen = [(run, measured) for run, measured in mine if measured.value is True]
    if not mine or bool(seen) is declared:
        return None
    decisive = seen or mine
    note = next((measured.note for _, measured in decisive if measured.note), "")
    how = f"{quantity} was {'yes' if seen else 'no in every repeat'}" + (f" ({note})" if note else "")
    words = f"{feature.id} is declared, and it was not seen: {how}"
    if seen:
        words = f"{feature.id} is declared not to be there, and it was seen: {how}"
    return Finding(
        feature=feature.id,
        kind=FindingKind.SEEN_NOT_DECLARED if seen else FindingKind.DECLARED_NOT_SEEN,
        quantity=quantity,
        runs=tuple(dict.fromkeys(run for run, _ in decisive)),
        words=words[:WORDS_MAX],
    )
