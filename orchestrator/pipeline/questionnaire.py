"""What a programme asks of a submitter, once for all: a file to fill in, data for programs, and a form. Pure.

The questions are those of a submission, then the features and the values of the programme's proforma. Filling in the
file gives a batch of one submission that can be submitted as it is.
"""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lab_inventory.device import CompanionKind
from lab_inventory.ics import AnswerKind, Feature, IxitItem
from lab_inventory.programme import Programme

LINE_MAX = 100


class Kind(StrEnum):
    """How a question is answered. ``parts`` and ``companions`` are lists with a row of fields each."""

    TEXT = "text"
    CHOICE = "choice"
    YES_NO = "yes-no"
    NUMBER = "number"
    PARTS = "parts"
    COMPANIONS = "companions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question. ``path``: where its answer stands in a submission; ``default`` None: there is none.

    ``needed``: whether a submission without an answer is refused.
    """

    path: str
    words: str
    kind: Kind
    needed: bool
    choices: tuple[str, ...] = ()
    unit: str = ""
    default: str | int | float | None = None


_PRODUCT = (
    Question(path="title", words="What is this submission called?", kind=Kind.TEXT, needed=True),
    Question(path="vendor", words="Who sells the product?", kind=Kind.TEXT, needed=True),
    Question(path="product.maker", words="Which maker does the product name on the wire?", kind=Kind.TEXT, needed=True),
    Question(path="product.model", words="Which model does it name on the wire?", kind=Kind.TEXT, needed=True),
    Question(
        path="product.firmware", words="Which firmware version does it name, exactly?", kind=Kind.TEXT, needed=True
    ),
    Question(path="hardware_revision", words="Which hardware revision is it?", kind=Kind.TEXT, needed=True),
    Question(path="mode", words="In which mode of operation is it to be certified?", kind=Kind.TEXT, needed=True),
    Question(path="region", words="For which region is it, if there are variants?", kind=Kind.TEXT, needed=False),
    Question(
        path="components",
        words="The firmware of each part (main, dongle, base): version, and SHA-256 of its file",
        kind=Kind.PARTS,
        needed=False,
    ),
    Question(
        path="companions",
        words="The hosts, dongles or bases with which it is to be certified, if only with those",
        kind=Kind.COMPANIONS,
        needed=False,
        choices=tuple(kind.value for kind in CompanionKind),
    ),
)


def questions(programme: Programme) -> tuple[Question, ...]:
    """Every question of a submission to this programme, in the order in which they are asked."""
    profiles = tuple(profile.id for profile in programme.profiles)
    profile = Question(
        path="profile",
        words="Which scope is to be tested? "
        + "; ".join(f"{one.id}: {one.covers} Not covered: {one.does_not_cover}" for one in programme.profiles),
        kind=Kind.CHOICE,
        needed=True,
        choices=profiles,
        default=profiles[0] if len(profiles) == 1 else None,
    )
    proforma = programme.proforma
    return (*_PRODUCT, profile, *map(_feature, proforma.features), *map(_value, proforma.ixit))


def _feature(feature: Feature) -> Question:
    kind = Kind.YES_NO if feature.kind is AnswerKind.YES_NO else Kind.CHOICE
    return Question(path=f"ics.{feature.id}", words=feature.question, kind=kind, needed=True, choices=feature.choices)


def _value(item: IxitItem) -> Question:
    number = item.unit is not None or isinstance(item.default, int | float)
    return Question(
        path=f"ixit.{item.id}",
        words=item.title,
        kind=Kind.NUMBER if number else Kind.TEXT,
        needed=item.default is None,
        unit=item.unit.value if item.unit else "",
        default=item.default,
    )


def as_data(programme: Programme) -> dict[str, Any]:
    """The questions and the rules between their answers, for programs."""
    return {
        "programme": programme.id,
        "version": programme.version,
        "digest": programme.digest,
        "questions": [asdict(one) for one in questions(programme)],
        "rules": [rule.model_dump(mode="json") for rule in programme.proforma.rules],
    }


def as_yaml(programme: Programme) -> str:
    """A batch of one submission with nothing filled in but what has one answer or a default; questions as comments."""
    lines = [
        *_comment("", f"Questionnaire of {programme.title}, version {programme.version}."),
        *_comment("", "Write an answer after each colon and send it: assay submit FILE. What follows # is not read."),
        *_comment("", programme.statement),
        f"title: {_scalar(f'Submission to {programme.id}')}",
        f"programme: {_scalar(programme.id)}",
        f"programme_version: {json.dumps(programme.version)}",
        "submissions:",
        "  -",
    ]
    block = ""
    for one in questions(programme):
        top, _, rest = one.path.partition(".")
        if rest and top != block:
            lines += ["", f"    {top}:"]
            if top == "ics" and programme.proforma.rules:
                lines += [*_rules("      ", programme), ""]
        elif not rest:
            lines.append("")
        block = top if rest else ""
        lines += _asked("      " if rest else "    ", rest or top, one)
    if not programme.proforma.features:
        lines += ["", "    ics: {}"]
    return "\n".join(lines) + "\n"


def _rules(indent: str, programme: Programme) -> Iterator[str]:
    for rule in programme.proforma.rules:
        yield from _comment(indent, f"Where {rule.when}, also {rule.then}: {rule.because}.")


def _asked(indent: str, name: str, one: Question) -> Iterator[str]:
    """A question with its comment; what need not be answered is a comment as a whole."""
    yield from _comment(indent, one.words)
    if one.kind is Kind.PARTS:
        row = '{name: main, version: "1.0", digest: "sha256:0123…"}'
        yield from (f"{indent}# {name}:", f"{indent}#   - {row}")
        return
    if one.kind is Kind.COMPANIONS:
        yield from _comment(indent, f"kind: {' or '.join(one.choices)}")
        yield from (f"{indent}# {name}:", f'{indent}#   - {{kind: host, product: "Other 2", version: "1.0"}}')
        return
    if one.choices:
        yield from _comment(indent, f"One of: {', '.join(one.choices)}")
    elif one.kind is Kind.YES_NO:
        yield from _comment(indent, "true or false")
    if one.unit:
        yield from _comment(indent, f"In {one.unit}")
    if one.default is not None:
        yield f"{indent}{name}: {_scalar(one.default)}"
    else:
        yield f"{indent}{name}:" if one.needed else f"{indent}# {name}:"


def _comment(indent: str, words: str) -> Iterator[str]:
    mark = f"{indent}# "
    return iter(textwrap.wrap(words, LINE_MAX, initial_indent=mark, subsequent_indent=mark))


def _scalar(value: str | int | float) -> str:
    """JSON is YAML: quoted so that no answer is read as something else."""
    return json.dumps(value, ensure_ascii=False)
