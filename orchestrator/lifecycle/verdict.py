"""Verdicts with their grounds, and what a submission was judged. Pure data."""

from datetime import date
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.measurement import Limit, Unit, Value
from lab_inventory.noun import Label, Name, Noun, Sha256, Text
from lab_inventory.programme import Criterion
from lab_inventory.verdict import Flag as Flag  # noqa: PLC0414  (named together with what it stands on)
from lab_inventory.verdict import Verdict as Verdict  # noqa: PLC0414
from orchestrator.lifecycle.machine import Fact


class Grounds(Noun):
    """Why one check came out as it did: the value that decided, its limit with source, and the words for people."""

    quantity: Name
    unit: Unit
    limit: Limit
    source: Text
    verdict: Verdict
    flags: tuple[Flag, ...] = ()
    value: Value | None = None
    run: Name | None = None
    repeat: int | None = None
    evidence: tuple[Sha256, ...] = ()
    words: Text


class WaivedBy(Noun):
    """The waiver by which a requirement that falls short does not keep the product from the level.

    As it stood when it was judged: nobody has to look it up to know what a level rests on.
    """

    waiver: Name
    author: Label
    approver: Label
    reason: Text
    ends_on: date

    @property
    def words(self) -> str:
        """All of it, for people."""
        return (
            f"waived by {self.waiver} until {self.ends_on}: {self.reason} "
            f"(asked for by {self.author}, approved by {self.approver})"
        )


class RequirementVerdict(Noun):
    """One requirement at one level. ``optional``: it is no part of the level, and stands here to be read.

    ``waiver``: by which it does not count against the level; the verdict is the one that was earned all the same.
    """

    requirement: Name
    title: Label
    criterion: Criterion
    level: Name
    verdict: Verdict
    flags: tuple[Flag, ...] = ()
    grounds: tuple[Grounds, ...] = ()
    words: Text
    optional: bool = Field(default=False, exclude_if=lambda given: not given)
    waiver: WaivedBy | None = Field(default=None, exclude_if=lambda given: given is None)


class DesignationVerdict(Noun):
    """Whether a product that holds a level earned a designation beside it. ``designation``: its id."""

    designation: Name
    title: Label
    earned: bool
    words: Text


class LevelVerdict(Noun):
    """One level: ``met`` is true only where every applicable requirement is waived, or passes and is not unstable.

    ``verdict``: of the requirements as they came out, also of what is waived.
    """

    level: Name
    title: Label
    verdict: Verdict
    met: bool
    requirements: tuple[RequirementVerdict, ...]
    words: Text
    designations: tuple[DesignationVerdict, ...] = Field(default=(), exclude_if=lambda given: not given)


class CriterionVerdict(Noun):
    """The requirements of one criterion at one level, judged as if the level asked for nothing else."""

    criterion: Criterion
    level: Name
    verdict: Verdict
    met: bool
    words: Text


class Judgement(Noun):
    """Everything that was judged of a submission; ``earned`` is the highest level it earned, or None.

    ``evidence_digest`` is the digest of exactly the reports that were judged, and of what became of each prompt.
    """

    submission: Name
    programme: Name
    programme_version: Label
    programme_digest: Sha256
    profile: Name
    levels: tuple[LevelVerdict, ...]
    earned: Name | None
    evidence_digest: Sha256
    runs: tuple[Name, ...]


class SubmissionJudged(Fact):
    """A submission was judged."""

    machine: ClassVar[str] = "submission"
    submission: Name
    batch: Name
    judgement: Judgement
    digest: Sha256
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The submission."""
        return self.submission

    def journal_entry(self) -> dict[str, str | int]:
        """The judgement by digest, and the level."""
        return {
            "judgement_digest": self.digest,
            "evidence_digest": self.judgement.evidence_digest,
            "earned": self.judgement.earned or "none",
        }
