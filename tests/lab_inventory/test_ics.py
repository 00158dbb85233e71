"""Conditions, answers and their contradictions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_inventory.ics import AnswerKind, Feature, IxitItem, Proforma, Rule, holds, parse_condition
from lab_inventory.measurement import Unit

PROFORMA = Proforma(
    features=(
        Feature(id="audio", question="Which audio?", kind=AnswerKind.CHOICE, choices=("wideband", "narrowband")),
        Feature(id="codec.g722", question="G.722?"),
    ),
    rules=(Rule(when="audio == wideband", then="codec.g722", because="wideband means G.722"),),
    ixit=(IxitItem(id="ptime", title="Packet time", unit=Unit.MILLISECOND, default=20), IxitItem(id="n", title="N")),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("b", False),
        ("not b", True),
        ("a and b", False),
        ("a or b", True),
        ("b or a and not b", True),
        ("not (a and b)", True),
        ("c == x", True),
        ("c != x", False),
        ("unanswered", False),
        ("a == true and b == false", True),
    ],
)
def test_a_condition_holds_as_it_reads(text: str, expected: bool) -> None:
    assert holds(text, {"a": True, "b": False, "c": "x"}) is expected


@pytest.mark.parametrize(
    "text", ["", "and", "a and", "(a", "a)", "a b", "a ==", "a == (", "not", "a & b", "__import__('os')", "(" * 100]
)
def test_what_is_no_condition_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_condition(text)


@given(st.text(max_size=60))
def test_the_parser_answers_or_refuses_whatever_it_reads(text: str) -> None:
    try:
        parse_condition(text)
    except ValueError as error:
        assert "expected" in str(error)


def test_answers_that_fit_have_no_contradictions() -> None:
    assert PROFORMA.contradictions({"audio": "wideband", "codec.g722": True}, {"n": 1}) == ()


def test_a_contradiction_names_both_sides_and_why() -> None:
    (problem,) = PROFORMA.contradictions({"audio": "wideband", "codec.g722": False}, {"n": 1})
    assert problem.wrong == "audio == wideband is declared without codec.g722"
    assert problem.expected == "wideband means G.722"


def test_everything_wrong_with_the_answers_is_told_at_once() -> None:
    problems = PROFORMA.contradictions({"audio": "ultra", "extra": True}, {"m": 2})
    assert {problem.path for problem in problems} == {"ics.extra", "ics.audio", "ics.codec.g722", "ixit.m", "ixit.n"}


def test_defaults_fill_what_was_not_given() -> None:
    assert PROFORMA.with_defaults({"n": 1}) == {"ptime": 20, "n": 1}


def test_a_rule_may_only_name_features_that_are_asked_for() -> None:
    with pytest.raises(ValueError, match="names nothing-like-it"):
        Proforma(rules=(Rule(when="nothing-like-it", then="a", because="b"),))
