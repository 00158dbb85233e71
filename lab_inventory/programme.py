"""Programmes: what is tested, how, and what each level asks. Data, checked when it is loaded. Pure but for reading.

A programme has ordered levels (the first is the minimum), profiles (the scope it can be tested in), requirements with
checks, and the test cases whose measurements those checks are held against.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lab_inventory.canonical import digest
from lab_inventory.errors import Contradictions, NotFound, Place
from lab_inventory.ics import Proforma
from lab_inventory.lab import Role
from lab_inventory.measurement import Limit, Unit
from lab_inventory.noun import Label, Name, Noun, Text
from lab_inventory.picture import PICTURE_CHARACTERS_MAX, read_picture
from lab_inventory.programme_terms import Mark as Mark  # noqa: PLC0414  (named together with what it marks)
from lab_inventory.programme_terms import Source as Source  # noqa: PLC0414
from lab_inventory.programme_terms import Terms
from lab_inventory.reading import read_yaml

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
    """Whether a requirement always applies. ``optional``: it is reported, and never part of a level."""

    MANDATORY = "mandatory"
    CONDITIONAL = "conditional"
    OPTIONAL = "optional"


TIMEOUT_H_DEFAULT = 336.0
"""Two weeks."""


def _checked_picture(uri: str) -> str:
    """Raises ValueError where it is no picture that can be shown; nothing where there is none."""
    if uri:
        read_picture(uri)
    return uri


PictureUri = Annotated[str, StringConstraints(max_length=PICTURE_CHARACTERS_MAX), AfterValidator(_checked_picture)]


class RequirementCore(Noun):
    """What a product must do, whatever the profile: checks on the measurements of one test case.

    ``case`` empty: a *manual* requirement. No procedure measures it; people do as ``instructions`` and ``picture`` (a
    data URI, lab_inventory/picture.py) say, within ``timeout_h`` of the submission; with ``second_person`` what one
    measured counts only once another confirmed it.
    """

    id: Name
    title: Label
    criterion: Criterion
    kind: Kind = Kind.MANDATORY
    condition: Label | None = None
    case: Name | Literal[""] = Field(default="", exclude_if=lambda given: not given)
    instructions: Text = Field(default="", exclude_if=lambda given: not given)
    picture: PictureUri = Field(default="", exclude_if=lambda given: not given)
    timeout_h: float = Field(
        default=TIMEOUT_H_DEFAULT, gt=0, le=8784, exclude_if=lambda given: given == TIMEOUT_H_DEFAULT
    )
    second_person: bool = Field(default=False, exclude_if=lambda given: not given)
    checks: tuple[Check, ...] = Field(min_length=1)

    @property
    def manual(self) -> bool:
        """Whether no procedure measures it."""
        return not self.case

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        found: list[Mistake] = []
        if self.kind is Kind.CONDITIONAL and self.condition is None:
            found.append((("condition",), "is missing where kind is conditional", "the features that it hangs on"))
        if self.kind is Kind.MANDATORY and self.condition is not None:
            found.append((("condition",), "is there where kind is mandatory", "none, or kind: conditional"))
        if self.manual and not self.instructions.strip():
            wrong = f"{self.id} has no test case, so it is manual, and no instructions"
            found.append((("instructions",), wrong, "how people measure it, or the case that does"))
        if not self.manual:
            defaults = {"picture": "", "timeout_h": TIMEOUT_H_DEFAULT, "second_person": False}
            for name in (name for name, default in defaults.items() if getattr(self, name) != default):
                found.append(((name,), f"is there, and {self.case} measures it", "none, or no case"))
        if found:
            raise Contradictions(found)
        return self


class Requirement(RequirementCore):
    """A requirement, and the profiles that it belongs to."""

    profiles: tuple[Name, ...] = Field(min_length=1)


ROLES_PER_CASE_MAX = 5
"""Devices of one test case, that under test among them."""
DEVICES_BESIDE_MAX = (len(Role) - 1) * (ROLES_PER_CASE_MAX - 1)
"""Devices of one run beside the one under test: its cases may each ask for as many as they can of another role."""


class TestCase(Noun):
    """How something is measured: a procedure, how often, with which devices and parameters.

    ``categories``: for a role beside the device under test, of which category its devices are, where that is another
    than the programme's: a phone that is tested with a headset.
    """

    __test__ = False

    id: Name
    title: Label
    procedure: Name
    method_version: int = Field(ge=1, default=1)
    repeats: int = Field(ge=1, le=100, default=1)
    roles: tuple[Role, ...] = Field(default=(Role.DUT,), min_length=1, max_length=ROLES_PER_CASE_MAX)
    categories: dict[Role, Name] = Field(default_factory=dict, exclude_if=lambda given: not given)
    duration_s: float = Field(gt=0)
    parameters: dict[Name, float | int | bool | Label] = Field(default_factory=dict)
    condition: Label | None = None


def devices_beside(cases: Iterable[TestCase], category: str) -> dict[tuple[Role, str], int]:
    """How many devices these cases need at once beside the one under test, by role and category: for each as many as
    the case that asks for most of them. ``category``: the programme's.
    """
    most: Counter[tuple[Role, str]] = Counter()
    for case in cases:
        asked = Counter((role, case.categories.get(role, category)) for role in case.roles if role is not Role.DUT)
        most |= asked
    first = list(Role)
    order = sorted(most, key=lambda asked: (first.index(asked[0]), asked[1] != category, asked[1]))
    return {asked: most[asked] for asked in order}


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


class Programme(Terms):
    """One version of a certification programme, for one category. ``package``: what it was composed from, if any.

    ``requires_characterised_bench``: nothing that has an uncertainty passes at the most stringent level on a bench
    without a record of its characterisation that holds.
    """

    id: Name
    package: Name | None = Field(default=None, exclude_if=lambda given: given is None)
    version: Version
    title: Label
    category: Name
    purpose: Purpose = Field(default=Purpose.CERTIFICATION, exclude_if=lambda given: given is Purpose.CERTIFICATION)
    demonstration: bool
    provisional: bool = Field(default=False, exclude_if=lambda given: not given)
    requires_characterised_bench: bool = Field(default=False, exclude_if=lambda given: not given)
    statement: Text
    profiles: tuple[Profile, ...] = Field(min_length=1)
    levels: tuple[Level, ...] = Field(min_length=1)
    proforma: Proforma
    suites: tuple[Suite, ...]
    requirements: tuple[Requirement, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        found = list(self.mistakes())
        if found:
            raise Contradictions(found)
        return self

    def mistakes(self) -> Iterator[Mistake]:
        """What contradicts the whole; nothing, in a programme that was loaded."""
        yield from self._doubles()
        yield from self._loose_ends()
        yield from self._bad_conditions()
        yield from self._limit_mistakes()
        yield from self._unfounded()
        yield from self._too_many_devices()

    def _too_many_devices(self) -> Iterator[Mistake]:
        """Roles whose category is said and that the case does not have; suites that need more than a run can hold."""
        for n, suite in enumerate(self.suites):
            for m, case in enumerate(suite.cases):
                for role in case.categories.keys() - set(case.roles) | case.categories.keys() & {Role.DUT}:
                    place = ("suites", n, "cases", m, "categories", str(role))
                    yield place, f"{case.id} names a category for {role}", "a role of the case beside the dut"
            beside = sum(devices_beside(suite.cases, self.category).values())
            if beside > DEVICES_BESIDE_MAX:
                wrong = f"the cases of {suite.id} need {beside} devices beside the one under test"
                yield ("suites", n, "cases"), wrong, f"at most {DEVICES_BESIDE_MAX}"

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
            ("IXIT value", [(("proforma", "ixit", n, "id"), item.id) for n, item in enumerate(self.proforma.ixit)]),
            ("designation", [(("designations", n, "id"), one.id) for n, one in enumerate(self.designations)]),
            ("programme", [(("holders_of", n, "programme"), one.programme) for n, one in enumerate(self.holders_of)]),
            ("platform", [(("platforms", n, "id"), one.id) for n, one in enumerate(self.platforms)]),
            ("stipulation", [(("stipulations", n, "id"), one.id) for n, one in enumerate(self.stipulations)]),
        ):
            seen: set[str] = set()
            for place, name in names:
                if name in seen and name:
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
            if requirement.case and requirement.case not in cases:
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

    def _unfounded(self) -> Iterator[Mistake]:
        """Designations that rest on nothing, a mark that is not ours to grant, holders of this very programme."""
        known = {requirement.id for requirement in self.requirements}
        for n, designation in enumerate(self.designations):
            for m, name in enumerate(designation.requirements):
                if name not in known:
                    wrong = f"designation {designation.id} names requirement {name}, which there is not"
                    yield ("designations", n, "requirements", m), wrong, "a requirement of the programme"
        for n, relation in enumerate(self.holders_of):
            if relation.programme in (self.id, self.package):
                yield ("holders_of", n, "programme"), f"{relation.programme} is this programme", "another programme"
        if self.mark is not None and not self.demonstration:
            wrong = f"is false, and the mark {self.mark.name!r} is {self.mark.owner}'s to grant"
            expected = (
                "true: a mark of somebody else is granted under the owner's key alone, and none can be configured"
            )
            yield ("demonstration",), wrong, expected

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

    def of_profile(self, profile_id: str) -> tuple[Requirement, ...]:
        """The requirements of a profile."""
        return tuple(one for one in self.requirements if profile_id in one.profiles)

    def manual(self, profile_id: str) -> tuple[Requirement, ...]:
        """The requirements of a profile that no procedure measures."""
        return tuple(one for one in self.of_profile(profile_id) if one.manual)

    def case(self, case_id: str) -> TestCase | None:
        """The test case of that id, or None."""
        return next((case for suite in self.suites for case in suite.cases if case.id == case_id), None)


def read_programme(path: Path) -> Programme:
    """Read a programme file; raises BadInput with every mistake and its place."""
    return read_yaml(path, Programme, apart="requirements")
