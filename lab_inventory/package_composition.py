"""From the frame, a category and its modules to one programme that needs none of them any more. Pure.

Nothing is checked here but that what several modules say can stand together; :class:`Programme` checks the whole. Each
entry of the programme remembers the file and the place that it came from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab_inventory.errors import Place
from lab_inventory.ics import Feature, IxitItem, Proforma, Rule
from lab_inventory.package import Category, Frame, Module
from lab_inventory.programme import Programme, Requirement, Suite, TestCase
from lab_inventory.programme_terms import Designation

Origin = tuple[str, Place]
"""A file of the package, and a place in it."""

FRAME = "programme.yaml"


@dataclass(frozen=True, kw_only=True)
class Mistaken:
    """A mistake of a composed programme at its place in a file."""

    origin: Origin
    wrong: str
    expected: str


@dataclass(kw_only=True)
class Composition:
    """What a category comes to: the fields of its programme, where each came from, and what cannot stand together."""

    category: str
    fields: dict[str, Any]
    origins: dict[Place, Origin]
    found: list[Mistaken] = field(default_factory=list)

    def programme(self) -> Programme:
        """The programme; raises ValidationError where it has mistakes."""
        return Programme(**self.fields)

    def mistakes(self) -> Iterator[Mistaken]:
        """Every mistake of the whole, whether or not its parts are sound."""
        yield from self.found
        whole = Programme.model_construct(**self.fields)
        for place, wrong, expected in [*_rule_mistakes(whole.proforma), *whole.mistakes()]:
            yield Mistaken(origin=self.origin(place), wrong=wrong, expected=expected)

    def origin(self, place: Place) -> Origin:
        """Where a place of the programme came from."""
        known = next(place[:length] for length in range(len(place), -1, -1) if place[:length] in self.origins)
        file, there = self.origins[known]
        return file, there + place[len(known) :]


def compose(frame: Frame, file: str, category: Category, modules: Mapping[str, tuple[str, Module]]) -> Composition:
    """Compose one category. ``modules``: by their names, each with its file; those that there are not are left out."""
    parts = _Parts(category, file)
    for number, entry in enumerate(category.modules):
        if entry.module in modules:
            parts.take(number, *modules[entry.module])
    statement = f"{frame.statement} {category.statement}".strip()
    there = {requirement.id for requirement in parts.requirements}
    designations = [(n, one) for n, one in enumerate(frame.designations) if there.issuperset(one.requirements)]
    benefits = [(n, one) for n, one in enumerate(frame.benefits) if category.category in one.categories]
    relations = [
        (n, one) for n, one in enumerate(frame.holders_of) if not one.categories or category.category in one.categories
    ]
    chosen: dict[str, list[tuple[int, Any]]]
    chosen = {"designations": designations, "benefits": benefits, "holders_of": relations}
    fields = {
        "id": f"{frame.id}.{category.category}",
        "package": frame.id,
        "version": frame.version,
        "title": f"{frame.title}: {category.title}",
        "category": category.category,
        "demonstration": frame.demonstration,
        "provisional": frame.provisional,
        "requires_characterised_bench": category.requires_characterised_bench,
        "statement": statement,
        "profiles": category.profiles,
        "levels": frame.levels,
        "proforma": parts.proforma(),
        "suites": parts.merged_suites(),
        "requirements": tuple(parts.requirements),
        **{name: getattr(frame, name) for name in ("mark", "lifecycle", "platforms", "stipulations")},
        **{name: tuple(one for _, one in kept) for name, kept in chosen.items()},
    }
    origins = parts.origins | {(name,): (FRAME, (name,)) for name in Frame.model_fields}
    origins |= {(name, place): (FRAME, (name, n)) for name, kept in chosen.items() for place, (n, _) in enumerate(kept)}
    origins |= {(): (file, ()), ("profiles",): (file, ("profiles",))}
    return Composition(category=category.category, fields=fields, origins=origins, found=parts.found)


def unfounded(designation: Designation, number: int, known: set[str]) -> Iterator[Mistaken]:
    """What is wrong with a designation that no category has all requirements of."""
    missing = [(place, name) for place, name in enumerate(designation.requirements) if name not in known]
    for place, name in missing:
        origin = (FRAME, ("designations", number, "requirements", place))
        wrong = f"designation {designation.id} names requirement {name}, which there is not"
        yield Mistaken(origin=origin, wrong=wrong, expected="a requirement of a module that a category is built from")
    if not missing:
        wrong = f"designation {designation.id} rests on requirements that no one category has together"
        yield Mistaken(
            origin=(FRAME, ("designations", number, "requirements")),
            wrong=wrong,
            expected="requirements of one category",
        )


def _rule_mistakes(proforma: Proforma) -> Iterator[tuple[Place, str, str]]:
    for number, rule in enumerate(proforma.rules):
        for name in ("when", "then"):
            try:
                proforma.check_condition(getattr(rule, name))
            except ValueError as error:
                wrong, _, expected = str(error).partition("; expected ")
                yield ("proforma", "rules", number, name), wrong, expected


class _Parts:
    """What the modules of one category bring, in their order."""

    def __init__(self, category: Category, file: str) -> None:
        self._category = category
        self._file = file
        self.features: list[Feature] = []
        self.rules: list[Rule] = []
        self.ixit: list[IxitItem] = []
        self.cases: dict[str, list[TestCase]] = {}
        self.requirements: list[Requirement] = []
        self.origins: dict[Place, Origin] = {}
        self.found: list[Mistaken] = []
        self._case_origins: dict[tuple[str, int], Origin] = {}
        self._suite_origins: dict[str, Origin] = {}

    def take(self, number: int, file: str, module: Module) -> None:
        """Add a module, which is the category's ``number``-th."""
        for name, ours, theirs in (
            ("features", self.features, module.proforma.features),
            ("ixit", self.ixit, module.proforma.ixit),
        ):
            self._questions(name, ours, theirs, file)
        for n, rule in enumerate(module.proforma.rules):
            if rule not in self.rules:
                self.origins["proforma", "rules", len(self.rules)] = (file, ("proforma", "rules", n))
                self.rules.append(rule)
        for n, suite in enumerate(module.suites):
            cases = self.cases.setdefault(suite.id, [])
            self._suite_origins.setdefault(suite.id, (file, ("suites", n)))
            for m, case in enumerate(suite.cases):
                self._case_origins[suite.id, len(cases)] = (file, ("suites", n, "cases", m))
                cases.append(case)
        profiles = self._category.modules[number].profiles
        for n, core in enumerate(module.requirements):
            place: Place = ("requirements", len(self.requirements))
            self.origins[place] = (file, ("requirements", n))
            self.origins[*place, "profiles"] = (self._file, ("modules", number, "profiles"))
            whole = {name: getattr(core, name) for name in type(core).model_fields}
            self.requirements.append(Requirement.model_construct(**whole, profiles=profiles))

    def _questions(self, name: str, ours: list[Any], theirs: tuple[Any, ...], file: str) -> None:
        """Add questions; one that is asked in the same words already is not asked again."""
        for n, asked in enumerate(theirs):
            same = next((one for one in ours if one.id == asked.id), None)
            if same is None:
                self.origins["proforma", name, len(ours)] = (file, ("proforma", name, n))
                ours.append(asked)
            elif same != asked:
                wrong = f"{asked.id} is asked in other words by another module of {self._category.category}"
                origin = (file, ("proforma", name, n))
                self.found.append(Mistaken(origin=origin, wrong=wrong, expected="the same words, or another name"))

    def proforma(self) -> Proforma:
        """The questions of all modules."""
        return Proforma.model_construct(features=tuple(self.features), rules=tuple(self.rules), ixit=tuple(self.ixit))

    def merged_suites(self) -> tuple[Suite, ...]:
        """The suites with the cases of all modules."""
        for n, (name, cases) in enumerate(self.cases.items()):
            self.origins["suites", n] = self._suite_origins[name]
            for m in range(len(cases)):
                self.origins["suites", n, "cases", m] = self._case_origins[name, m]
        return tuple(Suite.model_construct(id=name, cases=tuple(cases)) for name, cases in self.cases.items())
