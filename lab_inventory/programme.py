"""Programmes: what is tested, how, and what each level asks. Data, checked when it is loaded. Pure but for reading.

A programme has ordered levels (the first is the minimum), profiles (the scope it can be tested in), requirements with
checks, and the test cases whose measurements those checks are held against.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lab_inventory.canonical import digest
from lab_inventory.errors import Contradictions, NotFound, Place
from lab_inventory.ics import Proforma
from lab_inventory.lab import Role
from lab_inventory.measurement import Limit, Unit
from lab_inventory.noun import Label, Name, Noun, Text
from lab_inventory.reading import parse_yaml, read_yaml

Mistake = tuple[Place, str, str]
"""A place in the programme, what is wrong there, and what was expected."""

Version = Annotated[str, StringConstraints(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")]


class Criterion(StrEnum):
    """What a requirement rests on."""

    STANDARD = "standard"
    ENTERPRISE = "enterprise"
    INTEROPERABILITY = "interoperability"
    QUALITY = "quality"


class DecisionRule(StrEnum):
    """How a limit and an uncertainty make an outcome (ILAC-G8:09/2019)."""

    SIMPLE_ACCEPTANCE = "simple-acceptance"
    GUARD_BAND = "guard-band"
    GUARD_BAND_NON_BINARY = "guard-band-non-binary"


class Mark(StrEnum):
    """How a limit's source is known."""

    READ = "read"
    KNOWN = "known"
    OUR_CHOICE = "our-choice"


class Source(Noun):
    """Where a limit comes from: standard and clause, or why it was chosen."""

    text: Text
    mark: Mark


class LevelLimit(Limit):
    """What one level asks of one quantity, and by what right."""

    source: Source


class Check(Noun):
    """One quantity of a requirement with its unit and a limit per level that asks for it."""

    quantity: Name
    unit: Unit
    limits: dict[Name, LevelLimit] = Field(min_length=1)

    @model_validator(mode="after")
    def _limits_fit_the_unit(self) -> Self:
        for level, limit in self.limits.items():
            if (limit.equals is not None) != (self.unit is Unit.BOOL):
                raise ValueError(
                    f"the limit of {level} does not fit the unit {self.unit}; "
                    "expected equals for bool, and min or max for every other unit"
                )
        return self


class Kind(StrEnum):
    """Whether a requirement always applies."""

    MANDATORY = "mandatory"
    CONDITIONAL = "conditional"


class Requirement(Noun):
    """What a product must do: checks on the measurements of one test case."""

    id: Name
    title: Label
    criterion: Criterion
    kind: Kind = Kind.MANDATORY
    condition: Label | None = None
    profiles: tuple[Name, ...] = Field(min_length=1)
    case: Name
    checks: tuple[Check, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _conditional_has_a_condition(self) -> Self:
        if (self.kind is Kind.CONDITIONAL) != (self.condition is not None):
            raise ValueError(f"{self.id} is {self.kind}; expected a condition exactly where kind is conditional")
        return self


class TestCase(Noun):
    """How something is measured: a procedure, how often, with which devices and parameters."""

    __test__ = False

    id: Name
    title: Label
    procedure: Name
    method_version: int = Field(ge=1, default=1)
    repeats: int = Field(ge=1, le=100, default=1)
    roles: tuple[Role, ...] = (Role.DUT,)
    duration_s: float = Field(gt=0)
    parameters: dict[Name, float | int | bool | Label] = Field(default_factory=dict)
    condition: Label | None = None


class Level(Noun):
    """One level; ``rule`` says how measured values meet its limits."""

    id: Name
    title: Label
    rule: DecisionRule


class Profile(Noun):
    """The scope of a test: what it covers and what it does not."""

    id: Name
    title: Label
    covers: Text
    does_not_cover: Text


class Suite(Noun):
    """Test cases that are run together on one bench under one lease, in this order."""

    id: Name
    cases: tuple[TestCase, ...] = Field(min_length=1)

    @property
    def duration_s(self) -> float:
        """The expected duration of all cases and repeats."""
        return sum(case.duration_s * case.repeats for case in self.cases)


class Purpose(StrEnum):
    """What a programme is for. ``probation``: whether a unit and its bench can be measured at all, granting nothing."""

    CERTIFICATION = "certification"
    PROBATION = "probation"


class Programme(Noun):
    """One version of a certification programme."""

    id: Name
    version: Version
    title: Label
    category: Name
    purpose: Purpose = Field(default=Purpose.CERTIFICATION, exclude_if=lambda given: given is Purpose.CERTIFICATION)
    demonstration: bool
    statement: Text
    profiles: tuple[Profile, ...] = Field(min_length=1)
    levels: tuple[Level, ...] = Field(min_length=1)
    proforma: Proforma
    suites: tuple[Suite, ...] = Field(min_length=1)
    requirements: tuple[Requirement, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        found = [*self._doubles(), *self._loose_ends(), *self._bad_conditions(), *self._limit_mistakes()]
        if found:
            raise Contradictions(found)
        return self

    def _doubles(self) -> Iterator[Mistake]:
        """Names that stand twice, at their second place."""
        cases = [
            (("suites", n, "cases", m, "id"), case.id)
            for n, s in enumerate(self.suites)
            for m, case in enumerate(s.cases)
        ]
        for what, names in (
            ("requirement", [(("requirements", n, "id"), r.id) for n, r in enumerate(self.requirements)]),
            ("test case", cases),
            ("suite", [(("suites", n, "id"), suite.id) for n, suite in enumerate(self.suites)]),
            ("level", [(("levels", n, "id"), level.id) for n, level in enumerate(self.levels)]),
            ("profile", [(("profiles", n, "id"), profile.id) for n, profile in enumerate(self.profiles)]),
            ("feature", [(("proforma", "features", n, "id"), f.id) for n, f in enumerate(self.proforma.features)]),
        ):
            seen: set[str] = set()
            for place, name in names:
                if name in seen:
                    yield place, f"{what} {name} stands twice", f"another name for the {what}"
                seen.add(name)

    def _loose_ends(self) -> Iterator[Mistake]:
        """Names of profiles, cases and levels that there are not."""
        profiles = [profile.id for profile in self.profiles]
        cases = [case.id for suite in self.suites for case in suite.cases]
        levels = [level.id for level in self.levels]
        for n, requirement in enumerate(self.requirements):
            for m, profile in enumerate(requirement.profiles):
                if profile not in profiles:
                    place = ("requirements", n, "profiles", m)
                    yield place, f"{requirement.id} names profile {profile}", f"one of {', '.join(profiles)}"
            if requirement.case not in cases:
                wrong = f"{requirement.id} names test case {requirement.case}, which no suite has"
                yield ("requirements", n, "case"), wrong, "a test case of a suite"
            for m, check in enumerate(requirement.checks):
                for name in check.limits:
                    if name not in levels:
                        wrong = f"{requirement.id}/{check.quantity} has a limit for unknown level {name}"
                        yield ("requirements", n, "checks", m, "limits", name), wrong, f"one of {', '.join(levels)}"
        tested = {requirement.case for requirement in self.requirements}
        for n, suite in enumerate(self.suites):
            for m, case in enumerate(suite.cases):
                if case.id not in tested:
                    wrong = f"test case {case.id} is measured and no requirement asks for it"
                    yield ("suites", n, "cases", m, "id"), wrong, "a requirement with it, or no such case"
        seen = {check.quantity for r in self.requirements for check in r.checks if check.unit is Unit.BOOL}
        for n, feature in enumerate(self.proforma.features):
            if feature.seen_by is not None and feature.seen_by.quantity not in seen:
                wrong = f"{feature.id} is seen by {feature.seen_by.quantity}, which no requirement asks for in bool"
                yield ("proforma", "features", n, "seen_by", "quantity"), wrong, "a quantity in bool of a requirement"

    def _bad_conditions(self) -> Iterator[Mistake]:
        """Conditions that are none, or name a feature that is not asked for."""
        asked: list[tuple[Place, str | None]] = [
            (("requirements", n, "condition"), requirement.condition) for n, requirement in enumerate(self.requirements)
        ]
        asked += [
            (("suites", n, "cases", m, "condition"), case.condition)
            for n, suite in enumerate(self.suites)
            for m, case in enumerate(suite.cases)
        ]
        for place, condition in asked:
            if condition is None:
                continue
            try:
                self.proforma.check_condition(condition)
            except ValueError as error:
                wrong, _, expected = str(error).partition("; expected ")
                yield place, wrong, expected

    def _limit_mistakes(self) -> Iterator[Mistake]:
        """A higher level that asks less than a lower one, or no more what that asks."""
        order = [level.id for level in self.levels]
        for n, requirement in enumerate(self.requirements):
            for m, check in enumerate(requirement.checks):
                what = f"{requirement.id}/{check.quantity}"
                place: Place = ("requirements", n, "checks", m, "limits")
                asked = [(name, check.limits[name]) for name in order if name in check.limits]
                if asked and [name for name, _ in asked] != order[order.index(asked[0][0]) :]:
                    wrong = f"{what} is asked at {asked[0][0]} and dropped at a higher level"
                    yield place, wrong, "a limit at every level above"
                for (low, lower), (high, higher) in pairwise(asked):
                    if not higher.at_least_as_strict_as(lower):
                        wrong = f"{what}: {high} ({higher}) is weaker than {low} ({lower})"
                        yield (*place, high), wrong, f"at least as strict as {low}"

    @cached_property
    def digest(self) -> str:
        """The content address of this version: what a submission is bound to when it is accepted."""
        return digest(self)

    def level(self, level_id: str) -> Level:
        """The level of that id; raises NotFound."""
        found = next((level for level in self.levels if level.id == level_id), None)
        if found is None:
            raise NotFound(f"programme {self.id} {self.version} has no level {level_id}")
        return found

    def profile(self, profile_id: str) -> Profile | None:
        """The profile of that id, or None."""
        return next((profile for profile in self.profiles if profile.id == profile_id), None)

    def case(self, case_id: str) -> TestCase | None:
        """The test case of that id, or None."""
        return next((case for suite in self.suites for case in suite.cases if case.id == case_id), None)


def read_programme(path: Path) -> Programme:
    """Read a programme file; raises BadInput with every mistake and its place."""
    return read_yaml(path, Programme, apart="requirements")


def shipped_programmes() -> tuple[Programme, ...]:
    """The programmes that come with the product, in the order of their file names."""
    folder = resources.files("lab_inventory") / "programmes"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(parse_yaml(entry.read_text(encoding="utf-8"), Programme, source=entry.name) for entry in files)
