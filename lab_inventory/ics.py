"""ICS (what an implementation claims to support), IXIT (extra values for testing), and conditions on them. Pure.

A condition is a small language of its own, parsed here and never evaluated as code::

    condition = all { "or" all } ;  all = term { "and" term } ;
    term      = "not" term | "(" condition ")" | NAME [ ("==" | "!=") VALUE ] ;

``codec.g722 and not (hold == none)``. A bare NAME asks whether a yes/no feature is declared yes.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from lab_inventory.errors import Problem
from lab_inventory.measurement import Unit
from lab_inventory.noun import Label, Name, Noun, Text


def _answered(given: object) -> object:
    if given is None:
        raise ValueError("is not answered; expected true, false, or one of its choices")
    return given


Answer = Annotated[StrictBool | Label, BeforeValidator(_answered)]
Answers = dict[Name, Answer]
INTEGER_MAX = 2**53 - 1
"""The largest integer of which every program that reads JSON knows exactly which one it is (RFC 8785, 3.2.2.3)."""


def _exact(given: object) -> object:
    if isinstance(given, int) and abs(given) > INTEGER_MAX:
        raise ValueError(f"is beyond what is written down exactly; expected an integer of at most {INTEGER_MAX}")
    return given


IxitValue = Annotated[StrictInt | StrictFloat | Label, BeforeValidator(_exact)]
IxitValues = dict[Name, IxitValue]


class AnswerKind(StrEnum):
    """How a feature is answered."""

    YES_NO = "yes-no"
    CHOICE = "choice"


class SeenBy(Noun):
    """How a feature shows on the wire: a quantity in bool to which an instrument says yes where the product has it."""

    quantity: Name


class Feature(Noun):
    """One question of the proforma. ``seen_by``: how a declaration is held against what instruments saw."""

    id: Name
    question: Text
    kind: AnswerKind = AnswerKind.YES_NO
    choices: tuple[Label, ...] = ()
    seen_by: SeenBy | None = Field(default=None, exclude_if=lambda given: given is None)

    @model_validator(mode="after")
    def _seen_where_it_is_yes_or_no(self) -> Self:
        if self.seen_by is not None and self.kind is not AnswerKind.YES_NO:
            raise ValueError(f"{self.id} has choices and seen_by; expected seen_by only where the answer is yes or no")
        return self


class Rule(Noun):
    """What answers must not contradict: where ``when`` holds, ``then`` must hold."""

    when: Label
    then: Label
    because: Text


class IxitItem(Noun):
    """One value the tests need that no standard fixes."""

    id: Name
    title: Text
    unit: Unit | None = None
    default: StrictInt | StrictFloat | Label | None = None


class Proforma(Noun):
    """The questions of a programme, and the rules their answers must keep."""

    features: tuple[Feature, ...] = ()
    rules: tuple[Rule, ...] = ()
    ixit: tuple[IxitItem, ...] = ()

    @model_validator(mode="after")
    def _rules_name_features(self) -> Self:
        for rule in self.rules:
            for text in (rule.when, rule.then):
                self.check_condition(text)
        return self

    def check_condition(self, text: str) -> None:
        """Raise ValueError where ``text`` is no condition or names a feature that is not asked for."""
        unknown = sorted(parse_condition(text).names() - {feature.id for feature in self.features})
        if unknown:
            raise ValueError(f"{text!r} names {', '.join(unknown)}; expected features of the proforma")

    def contradictions(self, answers: Answers, ixit: IxitValues) -> tuple[Problem, ...]:
        """Everything that is wrong with the answers, all at once; empty where nothing is.

        A rule is held against what is answered as it may be; where that does not decide it, it says nothing.
        """
        problems: list[Problem] = []
        known = {feature.id: feature for feature in self.features}
        for name in sorted(answers.keys() - known.keys()):
            problems.append(Problem(path=f"ics.{name}", wrong="is not asked for", expected=_one_of(known)))
        usable: Answers = {}
        for feature in self.features:
            found = _answer_problems(feature, answers.get(feature.id))
            problems.extend(found)
            if not found:
                usable[feature.id] = answers[feature.id]
        values = {item.id: item for item in self.ixit}
        for name in sorted(ixit.keys() - values.keys()):
            problems.append(Problem(path=f"ixit.{name}", wrong="is not asked for", expected=_one_of(values)))
        for item in self.ixit:
            problems.extend(_value_problems(item, ixit.get(item.id)))
        for rule in self.rules:
            wanted = parse_condition(rule.then)
            if parse_condition(rule.when).decided(usable) is True and wanted.decided(usable) is False:
                place = next(feature.id for feature in self.features if feature.id in wanted.names())
                wrong = f"{rule.when} is declared without {rule.then}"
                problems.append(Problem(path=f"ics.{place}", wrong=wrong, expected=rule.because))
        return tuple(problems)

    def with_defaults(self, ixit: IxitValues) -> IxitValues:
        """The IXIT with the default of every value that was not given."""
        defaults = {item.id: item.default for item in self.ixit if item.default is not None}
        return {**defaults, **ixit}


def _answer_problems(feature: Feature, answer: Answer | None) -> list[Problem]:
    path = f"ics.{feature.id}"
    if answer is None:
        return [Problem(path=path, wrong="is not answered", expected=feature.question)]
    if feature.kind is AnswerKind.YES_NO and not isinstance(answer, bool):
        return [Problem(path=path, wrong=f"is {answer!r}", expected="true or false")]
    if feature.kind is AnswerKind.CHOICE and answer not in feature.choices:
        return [Problem(path=path, wrong=f"is {answer!r}", expected=" or ".join(feature.choices))]
    return []


def _value_problems(item: IxitItem, value: int | float | str | None) -> list[Problem]:
    path = f"ixit.{item.id}"
    if value is None:
        return [Problem(path=path, wrong="is missing", expected=item.title)] if item.default is None else []
    if isinstance(value, str) and (item.unit is not None or isinstance(item.default, int | float)):
        expected = f"a number in {item.unit}" if item.unit else f"a number, as {item.default}"
        return [Problem(path=path, wrong=f"is {value!r}", expected=expected)]
    return []


def _one_of(known: dict[str, Feature] | dict[str, IxitItem]) -> str:
    return "one of " + ", ".join(sorted(known)) if known else "nothing"


@dataclass(frozen=True, kw_only=True)
class Term:
    """A feature, compared with a value where one is given."""

    name: str
    value: Answer = True
    equal: bool = True

    def names(self) -> frozenset[str]:
        """The features that are named."""
        return frozenset({self.name})

    def holds(self, answers: Answers) -> bool:
        """Whether the answers meet it; a feature without an answer counts as declared false."""
        return (answers.get(self.name, False) == self.value) is self.equal

    def decided(self, answers: Answers) -> bool | None:
        """Whether it is met; None where its feature has no answer."""
        return self.holds(answers) if self.name in answers else None


@dataclass(frozen=True, kw_only=True)
class Combination:
    """``and``, ``or`` or ``not`` over conditions."""

    operator: str
    parts: tuple["Condition", ...]

    def names(self) -> frozenset[str]:
        """The features that are named."""
        return frozenset().union(*(part.names() for part in self.parts))

    def holds(self, answers: Answers) -> bool:
        """Whether the answers meet it."""
        if self.operator == "not":
            return not self.parts[0].holds(answers)
        met = (part.holds(answers) for part in self.parts)
        return all(met) if self.operator == "and" else any(met)

    def decided(self, answers: Answers) -> bool | None:
        """Whether it is met; None where that hangs on a feature that has no answer (Kleene's three-valued logic)."""
        parts = [part.decided(answers) for part in self.parts]
        if self.operator == "not":
            return None if parts[0] is None else not parts[0]
        decisive = self.operator == "or"
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive


Condition = Term | Combination

_TOKEN = re.compile(r"\s*(?:(?P<mark>\(|\)|==|!=)|(?P<word>[A-Za-z0-9][A-Za-z0-9._:-]*))")
_DEPTH_MAX = 20


def holds(text: str, answers: Answers) -> bool:
    """Whether the condition ``text`` is met by ``answers``. Raises ValueError where it is no condition."""
    return parse_condition(text).holds(answers)


def parse_condition(text: str) -> Condition:
    """Parse a condition; raises ValueError that says what is wrong and where."""
    parser = _Parser(text)
    condition = parser.either(0)
    if parser.peek() is not None:
        raise parser.wrong("the end")
    return condition


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise ValueError(f"{text!r} cannot be read at {text[place:].strip()!r}; expected a condition")
            self._tokens.append(match.group("mark") or match.group("word"))
            place = match.end()
        self._next = 0

    def peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def take(self) -> str | None:
        token = self.peek()
        self._next += 1
        return token

    def wrong(self, expected: str) -> ValueError:
        return ValueError(f"{self._text!r} has {self.peek() or 'its end'} where it must not; expected {expected}")

    def either(self, depth: int) -> Condition:
        if depth > _DEPTH_MAX:
            raise ValueError(f"{self._text!r} is nested too deep; expected at most {_DEPTH_MAX} levels")
        parts = [self.both(depth)]
        while self.peek() == "or":
            self.take()
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Combination(operator="or", parts=tuple(parts))

    def both(self, depth: int) -> Condition:
        parts = [self.term(depth)]
        while self.peek() == "and":
            self.take()
            parts.append(self.term(depth))
        return parts[0] if len(parts) == 1 else Combination(operator="and", parts=tuple(parts))

    def term(self, depth: int) -> Condition:
        if depth > _DEPTH_MAX:
            raise ValueError(f"{self._text!r} is nested too deep; expected at most {_DEPTH_MAX} levels")
        word = self.peek()
        if word == "not":
            self.take()
            return Combination(operator="not", parts=(self.term(depth + 1),))
        if word == "(":
            self.take()
            inner = self.either(depth + 1)
            if self.peek() != ")":
                raise self.wrong("')'")
            self.take()
            return inner
        if word is None or word in {")", "==", "!=", "and", "or"}:
            raise self.wrong("the name of a feature")
        self.take()
        if self.peek() not in {"==", "!="}:
            return Term(name=word)
        equal = self.take() == "=="
        value = self.peek()
        if value is None or value in {"(", ")", "==", "!="}:
            raise self.wrong("a value")
        self.take()
        answer: Answer = {"true": True, "false": False}.get(value, value)
        return Term(name=word, value=answer, equal=equal)
