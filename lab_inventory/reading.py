"""Reading nouns from YAML files and JSON messages: bad input gets every mistake with its place.

Never builds objects from tags, never follows aliases, never reads more than its cap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lab_inventory.errors import BadInput, Contradictions, Place, Problem, TooLarge

YAML_BYTES_MAX = 1_000_000
YAML_DEPTH_MAX = 40
MESSAGE_BYTES_MAX = 1_000_000

N = TypeVar("N", bound=BaseModel)


def read_yaml(path: Path, noun: type[N], *, apart: str = "") -> N:
    """Read one document from ``path`` as a ``noun``.

    ``apart``: a list in it whose entries are held against the whole even where others of them have mistakes of their
    own. Raises BadInput that names the file and, for every mistake, path, line, what is wrong and what was expected.
    """
    try:
        size = path.stat().st_size
        if size > YAML_BYTES_MAX:
            raise TooLarge(f"{path}: {size} bytes; at most {YAML_BYTES_MAX} are read")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not UTF-8 text") from error
    return parse_yaml(text, noun, source=str(path), apart=apart)


def parse_yaml(text: str, noun: type[N], *, source: str, apart: str = "") -> N:
    """Parse YAML text as a ``noun``; ``source`` names it in errors, ``apart`` is as in :func:`read_yaml`."""
    document = load_yaml(text, source=source)
    try:
        return noun.model_validate(document.data)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), document.tree)
        problems += _of_the_others(document.data, noun, apart, error, document.tree)
        raise BadInput(f"{source}: {mistakes(len(problems))}", problems=problems) from error


@dataclass(frozen=True, kw_only=True)
class YamlDocument:
    """What a YAML text holds, and where."""

    data: Any
    tree: yaml.Node | None

    def problem(self, place: Place, wrong: str, expected: str) -> Problem:
        """A mistake at a place in it, with its line."""
        return Problem(path=_dotted(place), line=_line(self.tree, place), wrong=wrong, expected=expected)


def load_yaml(text: str, *, source: str) -> YamlDocument:
    """Read one document, without aliases and not too deep. Raises BadInput that says what is wrong and where."""
    try:
        _refuse_aliases_and_depth(text, source)
        loader = yaml.SafeLoader(text)
        try:
            tree = loader.get_single_node()
            data = None if tree is None else loader.construct_document(tree)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        problem = Problem(path="", line=line, wrong=error.problem or "not YAML", expected="one YAML document")
        raise BadInput(f"{source}: is not readable YAML", problems=(problem,)) from error
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: is not readable YAML: {error}") from error
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        # A scalar that looks like a date, a number or base64 and is none: the loader's own conversions raise these.
        raise BadInput(f"{source}: holds a value that is none: {error}") from error
    return YamlDocument(data=data, tree=tree)


def _of_the_others(
    data: Any, noun: type[N], apart: str, error: ValidationError, tree: yaml.Node | None
) -> tuple[Problem, ...]:
    """What contradicts the whole among the entries of the list ``apart`` that have no mistake of their own."""
    places = [entry["loc"] for entry in error.errors(include_url=False)]
    wrong = {place[1] for place in places if len(place) > 1 and place[0] == apart}
    if not wrong or len(wrong) != len({place[:2] for place in places}):
        return ()
    kept = [number for number in range(len(data[apart])) if number not in wrong]
    try:
        noun.model_validate({**data, apart: [data[apart][number] for number in kept]})
    except ValidationError as again:
        errors = [entry.get("ctx", {}).get("error") for entry in again.errors(include_url=False)]
        found = [one for whole in errors if isinstance(whole, Contradictions) for one in whole.found]
        # What is said of other places may only be so because entries were left out.
        theirs = [((apart, kept[int(p[1])], *p[2:]), wrong, expected) for p, wrong, expected in found if p[0] == apart]
        return tuple(
            Problem(path=_dotted(place), line=_line(tree, place), wrong=wrong, expected=expected)
            for place, wrong, expected in theirs
        )
    return ()


def parse_message(data: bytes, noun: type[N], *, source: str, bytes_max: int = MESSAGE_BYTES_MAX) -> N:
    """Parse a JSON message as a ``noun``; raises BadInput or TooLarge as :func:`read_yaml` does."""
    if len(data) > bytes_max:
        raise TooLarge(f"{source}: {len(data)} bytes; at most {bytes_max} are read")
    try:
        return noun.model_validate_json(data)
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False))
        raise BadInput(f"{source}: {mistakes(len(problems))}", problems=problems) from error


def _refuse_aliases_and_depth(text: str, source: str) -> None:
    """Look at the events, which costs little, before the tree is built: depth costs quadratic time."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"{source}: uses a YAML alias (*name); write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > YAML_DEPTH_MAX:
            raise BadInput(f"{source}: is nested deeper than {YAML_DEPTH_MAX} levels")


def mistakes(count: int) -> str:
    """How many mistakes, in words."""
    return "1 mistake" if count == 1 else f"{count} mistakes"


def problems_of(entries: Sequence[Any], tree: yaml.Node | None = None) -> tuple[Problem, ...]:
    """Every mistake of a ValidationError's entries in words, with its line where ``tree`` is what was validated.

    A sequence is not called too short as well because its entries are wrong.
    """
    places = [tuple(entry["loc"]) for entry in entries]

    def only_follows(entry: Any) -> bool:
        place = tuple(entry["loc"])
        return entry["type"] == "too_short" and any(other[: len(place)] == place != other for other in places)

    return tuple(problem for entry in entries if not only_follows(entry) for problem in _problems(entry, tree))


def _problems(entry: Any, tree: yaml.Node | None) -> tuple[Problem, ...]:
    """An entry's mistake, or each of those that a validator of the whole found."""
    error = entry.get("ctx", {}).get("error")
    if not isinstance(error, Contradictions):
        return (_problem(entry, tree),)
    above = tuple(entry["loc"])
    return tuple(
        Problem(path=_dotted(above + place), line=_line(tree, above + place), wrong=wrong, expected=expected)
        for place, wrong, expected in error.found
    )


def _problem(entry: Any, tree: yaml.Node | None) -> Problem:
    """Turn one entry of a ValidationError into words."""
    place = tuple(entry["loc"])
    kind, context, found = entry["type"], entry.get("ctx", {}), entry.get("input")
    message = entry["msg"].removeprefix("Value error, ")
    if kind == "missing":
        wrong, expected = "is missing", "a value"
    elif kind == "extra_forbidden":
        wrong, expected = "is not a field here", "only the fields that are documented"
    elif kind == "value_error":
        said, _, wanted = message.partition("; expected ")
        wrong, expected = said, wanted or "a document without contradictions"
    elif "pattern" in context:
        wrong, expected = f"is {_shown(found)}", f"text that matches {context['pattern']}"
    elif "expected" in context:
        wrong, expected = f"is {_shown(found)}", str(context["expected"])
    else:
        wrong = f"is {_shown(found)}"
        expected = message.removeprefix("Input should be ").removeprefix("a valid ")
    return Problem(path=_dotted(place), line=_line(tree, place), wrong=wrong, expected=expected)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _dotted(place: tuple[Any, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _line(tree: yaml.Node | None, place: tuple[Any, ...]) -> int | None:
    """The line on which the deepest node on the way to ``place`` begins, counted from 1."""
    node = tree
    if node is None:
        return None
    for part in place:
        inner: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part]
        if inner is None:
            break
        node = inner
    return int(node.start_mark.line) + 1
