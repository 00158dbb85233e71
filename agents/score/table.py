"""The score: what each seeded run must come to, what it came to, and how healthy runs compare. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from agents.score.seeded import PROFILE, FoundBy, Subject
from agents.score.verdicts import Verdicts
from lab_inventory.canonical import digest
from lab_inventory.noun import Label, Name, Noun, Text
from lab_inventory.suite_score import SuiteScore, share_at_most
from lab_inventory.verdict import Verdict

UNDECIDED = frozenset({Verdict.ERROR, Verdict.INCONCLUSIVE})
"""Verdicts that are the lab's and say nothing of the phone."""


class Scope(StrEnum):
    """Which cases are carried out on a phone with a seeded defect. Healthy phones always get the whole suite.

    ``requirement``: those of the requirement that must find it; ``short``: all but the long ones of other requirements;
    ``all``.
    """

    REQUIREMENT = "requirement"
    SHORT = "short"
    ALL = "all"


class Row(Noun):
    """One run with a seeded defect.

    ``share``: of the limit plus uncertainty, for a defect with a size; ``right``: whether the requirement came out as
    it must; ``also``: other requirements that failed although the healthy phone passes them;
    ``undecided``: requirements that the lab could not decide in this run. ``tier``: on what the device ran, where it
    can run on several.
    """

    phone: Name
    defect: Name
    wrong: Text
    requirement: Name
    size: float | None = None
    share: float | None = None
    must: Verdict
    verdict: Verdict
    right: bool
    words: Text = ""
    also: tuple[Name, ...] = ()
    undecided: tuple[Name, ...] = ()
    seconds: float = Field(ge=0)
    tier: Name | Literal[""] = Field(default="", exclude_if=lambda given: not given)


class HealthyRun(Noun):
    """One run of a healthy phone: its verdicts as a golden file holds them, and where they depart, each in words.

    ``profile``: where it is another than the table's.
    ``undecided``: what the lab could not decide in any attempt; that wrongs no phone, so it is no departure.
    """

    phone: Name
    profile: Name | Literal[""] = Field(default="", exclude_if=lambda given: not given)
    verdicts: tuple[Label, ...]
    departures: tuple[Text, ...] = ()
    undecided: tuple[Text, ...] = ()
    seconds: float = Field(ge=0)


class ScoreTable(Noun):
    """A whole scoring of one suite. ``seed``: the order in which the subjects were run; ``scope``: which of the suite's
    cases were carried out on a phone with a defect.
    """

    category: Name
    suite_version: Label
    programme: Label
    profile: Name
    made_at: datetime
    seed: int
    scope: Scope
    rows: tuple[Row, ...]
    healthy: tuple[HealthyRun, ...]

    def summary(self) -> SuiteScore:
        """What a report quotes."""
        departures = sum(bool(run.departures) for run in self.healthy)
        return SuiteScore(
            category=self.category,
            suite_version=self.suite_version,
            programme=self.programme,
            profile=self.profile,
            made_on=self.made_at.date(),
            seeded=len(self.rows),
            found=sum(row.right for row in self.rows),
            healthy_runs=len(self.healthy),
            departures=departures,
            false_fails_at_most=share_at_most(departures, len(self.healthy)),
            digest=digest(self),
        )


Golden = Mapping[tuple[str, str], Verdict]
"""The verdicts that a healthy phone has, by level and requirement."""


def row_of(
    subject: Subject, by: FoundBy, wrong: str, found: Verdicts, golden: Golden, seconds: float, *, tier: str = ""
) -> Row:
    """What a run with a seeded defect came to. The most stringent level that asks for the requirement decides."""
    level = _deciding_level(by, found, golden)
    verdict, words = found.get((level, by.requirement), (Verdict.NOT_RUN, "the requirement was not run"))
    must = Verdict.FAIL if subject.must_fail else Verdict.PASS
    return Row(
        phone=subject.phone,
        defect=subject.defect or "none",
        wrong=wrong,
        requirement=by.requirement,
        size=subject.size,
        share=subject.share,
        must=must,
        verdict=verdict,
        right=verdict is must,
        words=words[:2000] if verdict is not Verdict.PASS else "",
        also=_once(
            requirement
            for (level_id, requirement), (was, _) in found.items()
            if was is Verdict.FAIL
            and golden.get((level_id, requirement)) is not Verdict.FAIL
            and requirement != by.requirement
        ),
        undecided=_once(r for (_, r), (was, _) in found.items() if was in UNDECIDED),
        seconds=seconds,
        tier=tier,
    )


def healthy_run_of(phone: str, profile: str, found: Verdicts, golden: Golden, seconds: float) -> HealthyRun:
    """Where a healthy run departs from the golden profile, and what the lab could not decide."""
    otherwise = {
        key: f"{key[0]} {key[1]}: {was}, expected {golden.get(key, 'nothing')}: {words}"[:2000]
        for key, (was, words) in found.items()
        if golden.get(key) is not was
    }
    undecided = tuple(words for key, words in otherwise.items() if found[key][0] in UNDECIDED)
    departures = [words for key, words in otherwise.items() if found[key][0] not in UNDECIDED]
    missing = [f"{level} {requirement}: missing" for level, requirement in golden if (level, requirement) not in found]
    return HealthyRun(
        phone=phone,
        profile="" if profile == PROFILE else profile,
        verdicts=golden_lines(found),
        departures=(*departures, *missing),
        undecided=undecided,
        seconds=seconds,
    )


def golden_lines(found: Verdicts) -> tuple[str, ...]:
    """A profile of verdicts as a golden file holds it."""
    return tuple(f"{level} {requirement} {verdict}" for (level, requirement), (verdict, _) in found.items())


def read_golden(lines: Sequence[str]) -> Golden:
    """The other way round."""
    split = [line.split() for line in lines if line.strip()]
    return {(level, requirement): Verdict(verdict) for level, requirement, verdict in split}


def _deciding_level(by: FoundBy, found: Verdicts, golden: Golden) -> str:
    """The most stringent level that asks for the requirement and that the healthy phone is known to meet there, or of
    which nothing is known because another profile was run.
    """
    asked = [
        level
        for (level, requirement), (verdict, _) in found.items()
        if requirement == by.requirement
        and verdict is not Verdict.NOT_APPLICABLE
        and golden.get((level, requirement), Verdict.PASS) is Verdict.PASS
    ]
    return asked[-1] if asked else ""


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
