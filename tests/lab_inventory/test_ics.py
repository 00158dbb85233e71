"""Conditions, answers and their contradictions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lab_inventory.ics import (
    INTEGER_MAX,
    AnswerKind,
    Answers,
    Feature,
    IxitItem,
    IxitValues,
    Proforma,
    Rule,
    SeenBy,
    holds,
    parse_condition,
)
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


def test_a_contradiction_stands_at_the_feature_that_is_missing() -> None:
    (problem,) = PROFORMA.contradictions({"audio": "wideband", "codec.g722": False}, {"n": 1})
    assert problem.path == "ics.codec.g722"


def test_rules_are_held_against_what_is_answered_though_other_answers_are_missing() -> None:
    problems = PROFORMA.contradictions({"audio": "wideband", "codec.g722": False}, {"ptime": "often"})
    assert [problem.path for problem in problems] == ["ixit.ptime", "ixit.n", "ics.codec.g722"]


@pytest.mark.parametrize(
    "answers", [{"audio": "wideband"}, {"codec.g722": False}, {"audio": "no", "codec.g722": False}]
)
def test_a_rule_that_hangs_on_a_missing_or_wrong_answer_says_nothing(answers: Answers) -> None:
    wrong = [problem.wrong for problem in PROFORMA.contradictions(answers, {"n": 1})]
    assert wrong
    assert not any("without" in words for words in wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("x", None),
        ("not x", None),
        ("not a", False),
        ("a and x", None),
        ("b and x", False),
        ("a or x", True),
        ("b or x", None),
        ("not (b and x)", True),
        ("x != y", None),
    ],
)
def test_a_condition_is_decided_where_the_missing_answer_does_not_matter(text: str, expected: bool | None) -> None:
    assert parse_condition(text).decided({"a": True, "b": False}) is expected


_CONDITIONS = st.recursive(
    st.sampled_from(["a", "b", "c == x", "c != x"]),
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=8,
)


@given(_CONDITIONS, st.booleans(), st.booleans(), st.sampled_from(["x", "y"]), st.sets(st.sampled_from("abc")))
def test_what_is_decided_early_stays_so_whatever_is_answered_later(
    text: str, a: bool, b: bool, c: str, answered: set[str]
) -> None:
    whole: Answers = {"a": a, "b": b, "c": c}
    early = parse_condition(text).decided({name: whole[name] for name in answered})
    assert early in (None, holds(text, whole))
    assert parse_condition(text).decided(whole) is holds(text, whole)


def test_a_value_with_a_unit_is_a_number() -> None:
    problems = PROFORMA.contradictions({"audio": "narrowband", "codec.g722": False}, {"n": "any", "ptime": "20 ms"})
    assert [(problem.path, problem.expected) for problem in problems] == [("ixit.ptime", "a number in ms")]


def test_an_integer_that_json_cannot_hold_exactly_is_no_value() -> None:
    values = TypeAdapter(IxitValues)
    assert values.validate_python({"n": INTEGER_MAX}) == {"n": INTEGER_MAX}
    for beyond in (INTEGER_MAX + 1, -(10**20)):
        with pytest.raises(ValidationError, match="written down exactly"):
            values.validate_python({"n": beyond})


def test_only_a_feature_that_is_answered_yes_or_no_can_be_seen() -> None:
    with pytest.raises(ValueError, match="only where the answer is yes or no"):
        Feature(id="a", question="?", kind=AnswerKind.CHOICE, choices=("x",), seen_by=SeenBy(quantity="q"))


def test_a_feature_of_which_nothing_says_how_it_is_seen_is_written_as_before() -> None:
    assert set(Feature(id="a", question="?").model_dump()) == {"id", "question", "kind", "choices"}


def test_defaults_fill_what_was_not_given() -> None:
    assert PROFORMA.with_defaults({"n": 1}) == {"ptime": 20, "n": 1}


def test_a_rule_may_only_name_features_that_are_asked_for() -> None:
    with pytest.raises(ValueError, match="names nothing-like-it"):
        Proforma(rules=(Rule(when="nothing-like-it", then="a", because="b"),))
