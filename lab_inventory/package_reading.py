"""Reading a programme package: every mistake of all its files at once, each with its file and place.

A file that has mistakes is held against the others all the same, with what is sound of it, so that nobody mends one
mistake only to be told of the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from lab_inventory.errors import BadInput, Problem, TooLarge
from lab_inventory.noun import Noun
from lab_inventory.package import Category, Frame, Module
from lab_inventory.package_composition import FRAME, Composition, Mistaken, compose, unfounded
from lab_inventory.programme import Programme, read_programme
from lab_inventory.reading import YAML_BYTES_MAX, YamlDocument, load_yaml, mistakes, problems_of
from lab_inventory.salvage import salvage

MODULES = "modules"
FILES_MAX = 200

N = TypeVar("N", bound=Noun)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package without mistakes: its frame, and one programme for each category, in the order of their names."""

    frame: Frame
    programmes: tuple[Programme, ...]


@dataclass(frozen=True, kw_only=True)
class _File(Generic[N]):
    """A file that is YAML. ``noun`` holds what is sound of it, and is sound itself where there is no problem."""

    name: str
    document: YamlDocument
    noun: N
    problems: tuple[Problem, ...]


def read_package(folder: Traversable) -> Package:
    """Read a package from its directory; raises BadInput with every mistake, its file and its place."""
    return parse_package(package_texts(folder), source=str(folder))


def package_texts(folder: Traversable) -> dict[str, str]:
    """The text of each YAML file of a package by its name, as ``modules/calls.yaml``; raises BadInput."""
    found: dict[str, str] = {}
    unreadable: list[Problem] = []
    entries = {entry.name: entry for entry in folder.iterdir()}
    if MODULES in entries and entries[MODULES].is_dir():
        entries |= {f"{MODULES}/{entry.name}": entry for entry in entries[MODULES].iterdir()}
    names = sorted(name for name in entries if name.endswith(".yaml"))
    if len(names) > FILES_MAX:
        raise TooLarge(f"{folder}: {len(names)} files; at most {FILES_MAX} are read")
    for name in names:
        try:
            data = entries[name].read_bytes()
            if len(data) > YAML_BYTES_MAX:
                wrong, expected = f"is {len(data)} bytes long", f"at most {YAML_BYTES_MAX}"
                unreadable.append(Problem(path=name, wrong=wrong, expected=expected))
            else:
                found[name] = data.decode("utf-8")
        except OSError as error:
            wrong = f"cannot be read: {error.strerror}"
            unreadable.append(Problem(path=name, wrong=wrong, expected="a file that can be read"))
        except UnicodeDecodeError:
            unreadable.append(Problem(path=name, wrong="is not UTF-8 text", expected="UTF-8"))
    if unreadable:
        raise BadInput(f"{folder}: {mistakes(len(unreadable))}", problems=tuple(unreadable))
    return found


def parse_package(texts: Mapping[str, str], *, source: str) -> Package:
    """Compose a package from the texts of its files; ``source`` names it in errors, which are as of read_package."""
    problems: list[Problem] = []
    frame = _parse(FRAME, texts[FRAME], Frame, problems) if FRAME in texts else None
    if FRAME not in texts:
        problems.append(Problem(path=FRAME, wrong="is missing", expected="the frame of the package"))
    categories = [
        found
        for name in texts
        if "/" not in name and name != FRAME and (found := _parse(name, texts[name], Category, problems))
    ]
    modules = {
        _stem(name): module
        for name in texts
        if name.startswith(f"{MODULES}/") and (module := _parse(name, texts[name], Module, problems))
    }
    problems += _misnamed(categories, modules)
    problems += _unused(categories, modules, texts)
    if not categories and not any("/" not in name and name != FRAME for name in texts):
        problems.append(Problem(path="", wrong="there is no category", expected="a file as ip-phone.yaml beside it"))
    compositions = []
    if frame is not None:
        compositions = [_compose(frame, one, modules) for one in categories if _all_readable(one, modules, texts)]
        all_there = len(compositions) == sum("/" not in name and name != FRAME for name in texts)
        files: dict[str, _File[Any]] = {FRAME: frame}
        files |= {one.name: one for one in categories}
        files |= {one.name: one for one in modules.values()}
        problems += _together(frame.noun, compositions, files, problems, all_there)
    if problems or frame is None:
        raise BadInput(f"{source}: {mistakes(len(problems))}", problems=tuple(problems))
    return Package(frame=frame.noun, programmes=tuple(_programme(one, source) for one in compositions))


def _programme(composition: Composition, source: str) -> Programme:
    try:
        return composition.programme()
    except ValidationError as error:
        # Every part is sound and the whole was looked at: what is left are bounds of composed texts.
        found = problems_of(error.errors(include_url=False))
        raise BadInput(f"{source}: {composition.category} cannot be composed", problems=found) from error


def _parse(name: str, text: str, noun: type[N], problems: list[Problem]) -> _File[N] | None:
    """Read one file; its mistakes are added to ``problems``. None: it is no YAML."""
    try:
        document = load_yaml(text, source=name)
    except BadInput as error:
        said = error.problems or (
            Problem(path="", wrong=error.detail.partition(": ")[2], expected="one YAML document"),
        )
        problems += [_in(name, problem) for problem in said]
        return None
    try:
        return _File(name=name, document=document, noun=noun.model_validate(document.data), problems=())
    except ValidationError as error:
        own = tuple(_in(name, one) for one in problems_of(error.errors(include_url=False), document.tree))
        problems += own
        return _File(name=name, document=document, noun=salvage(noun, document.data), problems=own)


def _in(file: str, problem: Problem) -> Problem:
    path = f"{file}: {problem.path}" if problem.path else file
    return Problem(path=path, line=problem.line, wrong=problem.wrong, expected=problem.expected)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".yaml")


def _misnamed(categories: Sequence[_File[Category]], modules: Mapping[str, _File[Module]]) -> Iterator[Problem]:
    """Files that are not called what they say they are."""
    said: list[tuple[_File[Any], str, str]] = [(one, "category", one.noun.category) for one in categories]
    said += [(one, "module", one.noun.module) for one in modules.values()]
    for file, what, name in said:
        if name and name != _stem(file.name):
            problem = file.document.problem((what,), f"is {name} in the file {file.name}", _stem(file.name))
            yield _in(file.name, problem)


def _unused(
    categories: Sequence[_File[Category]], modules: Mapping[str, _File[Module]], texts: Mapping[str, str]
) -> Iterator[Problem]:
    """Modules that there are not, that stand twice in a category, or that no category is built from."""
    there = {_stem(name) for name in texts if name.startswith(f"{MODULES}/")}
    used: set[str] = set()
    for file in categories:
        mine: set[str] = set()
        for n, entry in enumerate(file.noun.modules):
            place = ("modules", n, "module")
            if entry.module and entry.module not in there:
                known = ", ".join(sorted(there)) or "a file in modules/"
                wrong = f"there is no module {entry.module}"
                yield _in(file.name, file.document.problem(place, wrong, f"one of {known}"))
            elif entry.module in mine:
                wrong = f"module {entry.module} stands twice"
                yield _in(file.name, file.document.problem(place, wrong, "each module once"))
            mine.add(entry.module)
        used |= mine
    for name, module in modules.items():
        if name not in used:
            yield Problem(path=module.name, wrong="no category is built from it", expected="a category that names it")


def _all_readable(file: _File[Category], modules: Mapping[str, _File[Module]], texts: Mapping[str, str]) -> bool:
    """Whether no module is left out because its file cannot be read: then the rest would seem to have mistakes."""
    wanted = [entry.module for entry in file.noun.modules]
    return all(name in modules or f"{MODULES}/{name}.yaml" not in texts for name in wanted)


def _compose(frame: _File[Frame], file: _File[Category], modules: Mapping[str, _File[Module]]) -> Composition:
    return compose(frame.noun, file.name, file.noun, {name: (one.name, one.noun) for name, one in modules.items()})


def _together(
    frame: Frame,
    compositions: Sequence[Composition],
    files: Mapping[str, _File[Any]],
    said: Sequence[Problem],
    all_there: bool,
) -> Iterator[Problem]:
    """What is wrong with the files together, once each; nothing of what a file was told by itself."""
    places = {(problem.path, problem.line) for problem in said}
    found: dict[Mistaken, list[str]] = {}
    for one in compositions:
        for mistake in one.mistakes():
            found.setdefault(mistake, []).append(one.category)
    if all_there:
        found |= {mistake: [] for mistake in _unfounded(frame, compositions)}
    for mistake, categories in found.items():
        file, place = mistake.origin
        users = [one.category for one in compositions if any(origin[0] == file for origin in one.origins.values())]
        where = f" (in {', '.join(categories)})" if categories and len(categories) < len(users) else ""
        problem = _in(file, files[file].document.problem(place, mistake.wrong + where, mistake.expected))
        if (problem.path, problem.line) not in places:
            yield problem


def _unfounded(frame: Frame, compositions: Sequence[Composition]) -> Iterator[Mistaken]:
    """Designations that no category can give, and benefits of categories that there are not."""
    known = {requirement.id for one in compositions for requirement in one.fields["requirements"]}
    given = {designation.id for one in compositions for designation in one.fields["designations"]}
    for number, designation in enumerate(frame.designations):
        if designation.id not in given:
            yield from unfounded(designation, number, known)
    categories = [one.category for one in compositions]
    for number, benefit in enumerate(frame.benefits):
        for place, name in enumerate(benefit.categories):
            if name not in categories:
                origin = (FRAME, ("benefits", number, "categories", place))
                wrong = f"benefit {benefit.device_type} names category {name}, which there is not"
                yield Mistaken(origin=origin, wrong=wrong, expected=f"one of {', '.join(categories)}")


def programmes_at(path: Path) -> tuple[Programme, ...]:
    """The programmes of a file or of a package's directory; raises BadInput."""
    return read_package(path).programmes if path.is_dir() else (read_programme(path),)
