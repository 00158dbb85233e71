"""Programmes: what is tested, how, and what each level asks. Data, checked when it is loaded. Pure but for reading.

A programme has ordered levels (the first is the minimum), profiles (the scope it can be tested in), requirements with
checks, and the test cases whose measurements those checks are held against.
"""

from enum import StrEnum
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lab_inventory.canonical import digest
from lab_inventory.errors import NotFound
from lab_inventory.ics import Proforma
from lab_inventory.lab import Role
from lab_inventory.measurement import Limit, Unit
from lab_inventory.noun import Label, Name, Noun, Text
from lab_inventory.reading import parse_yaml, read_yaml

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
        wrong = [*self._name_mistakes(), *self._limit_mistakes()]
        if wrong:
            raise ValueError("; ".join(wrong) + "; expected a programme that holds together")
        return self

    def _name_mistakes(self) -> list[str]:
        wrong: list[str] = []
        profiles = {profile.id for profile in self.profiles}
        cases = [case for suite in self.suites for case in suite.cases]
        case_ids = {case.id for case in cases}
        for what, names in (
            ("requirement", [requirement.id for requirement in self.requirements]),
            ("test case", [case.id for case in cases]),
            ("level", [level.id for level in self.levels]),
            ("feature", [feature.id for feature in self.proforma.features]),
        ):
            wrong += [f"{what} {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        for requirement in self.requirements:
            wrong += [f"{requirement.id} names profile {p}" for p in requirement.profiles if p not in profiles]
            if requirement.case not in case_ids:
                wrong.append(f"{requirement.id} names test case {requirement.case}, which no suite has")
        for condition in [r.condition for r in self.requirements] + [c.condition for c in cases]:
            if condition is not None:
                self.proforma.check_condition(condition)
        return wrong

    def _limit_mistakes(self) -> list[str]:
        """Unknown levels, and a higher level that asks less than a lower one."""
        wrong: list[str] = []
        order = [level.id for level in self.levels]
        for requirement in self.requirements:
            for check in requirement.checks:
                place = f"{requirement.id}/{check.quantity}"
                wrong += [f"{place} has a limit for unknown level {name}" for name in check.limits if name not in order]
                asked = [(name, check.limits[name]) for name in order if name in check.limits]
                if asked and [name for name, _ in asked] != order[order.index(asked[0][0]) :]:
                    wrong.append(f"{place} is asked at {asked[0][0]} and dropped at a higher level")
                for (low, lower), (high, higher) in pairwise(asked):
                    if not higher.at_least_as_strict_as(lower):
                        wrong.append(f"{place}: {high} ({higher}) is weaker than {low} ({lower})")
        return wrong

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
    return read_yaml(path, Programme)


def shipped_programmes() -> tuple[Programme, ...]:
    """The programmes that come with the product, in the order of their file names."""
    folder = resources.files("lab_inventory") / "programmes"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name)
    return tuple(parse_yaml(entry.read_text(encoding="utf-8"), Programme, source=entry.name) for entry in files)
