"""Programmes: the shipped ones, and the mistakes that are found when one is loaded."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lab_inventory.measurement import Limit
from lab_inventory.programme import DecisionRule, Mark, Programme
from lab_inventory.reading import problems_of
from lab_inventory.shipped import shipped_programmes


def basic() -> Programme:
    return next(programme for programme in shipped_programmes() if programme.id == "ip-phone-basic")


def changed(change: str) -> dict[str, Any]:
    """The basic programme as data, changed by an assignment to a path such as ``requirements.0.case=TC``."""
    data: dict[str, Any] = basic().model_dump(mode="json", exclude_none=True)
    path, _, value = change.partition("=")
    *way, last = path.split(".")
    place: Any = data
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = yaml.safe_load(value)
    return data


def test_the_basic_programme_is_a_demonstration_with_two_levels() -> None:
    programme = basic()
    assert programme.demonstration
    assert [level.id for level in programme.levels] == ["works-with", "certified"]
    assert programme.level("certified").rule is DecisionRule.GUARD_BAND


def test_every_limit_says_where_it_comes_from() -> None:
    for requirement in basic().requirements:
        for check in requirement.checks:
            for limit in check.limits.values():
                assert limit.source.text
                assert limit.source.mark in Mark


def test_only_g722_and_no_limit_in_the_middle_is_asked_at_certified_alone() -> None:
    only_certified = {
        check.quantity
        for requirement in basic().requirements
        for check in requirement.checks
        if set(check.limits) == {"certified"}
    }
    assert only_certified == {
        "codec_g722",
        "refresh_ratio_min",
        "held_inactive_answer_valid",
        "allow_present",
        "timestamp_constant",
        "end_packets_min",
    }


def test_the_digest_changes_with_any_limit() -> None:
    other = Programme.model_validate(changed("requirements.2.checks.0.limits.certified.max=499"))
    assert other.digest != basic().digest
    assert basic().digest == basic().digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("requirements.2.checks.0.limits.certified.max=1600", "BP-SIP-01/ringing_ms: certified .* is weaker"),
        ("requirements.0.case=TC-NONE", "BP-REG-01 names test case TC-NONE"),
        ("requirements.0.profiles=[acoustic]", "names profile acoustic"),
        ("requirements.0.id=BP-REG-02", "requirement BP-REG-02 stands twice"),
        ("requirements.0.kind=conditional", "missing where kind is conditional"),
        ("requirements.0.checks.0.unit=ms", "does not fit the unit ms"),
        ("requirements.10.condition=colour", "names colour"),
        ("suites.0.cases.1.id=TC-REG-01", "test case TC-REG-01 stands twice"),
        ("demonstration=perhaps", "demonstration"),
        ("requirements.0.condition=hold", "there where kind is mandatory"),
        ("requirements.0.case=''", "so it is manual, and no instructions"),
        ("designations=[{id: d, title: D, statement: S, requirements: [X-1]}]", "X-1, which there is not"),
        ("holders_of=[{programme: ip-phone-basic, count: true, because: B}]", "ip-phone-basic is this programme"),
        ("proforma.ixit.1.id=ptime", "IXIT value ptime stands twice"),
        ("levels=[]", "levels"),
    ],
)
def test_a_mistake_in_a_programme_is_found(change: str, message: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=message):
        Programme.model_validate(changed(change))


def test_a_limit_dropped_at_the_higher_level_is_found() -> None:
    data = changed("title=x")
    del data["requirements"][0]["checks"][0]["limits"]["certified"]
    with pytest.raises(ValidationError, match="dropped at a higher level"):
        Programme.model_validate(data)


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        (Limit(max=10.0), [10.0, 9, -1.0], [10.001, float("nan"), True, float("inf")]),
        (Limit(min=1.0, max=2.0), [1, 1.5, 2.0], [0.999, 2.001, False]),
        (Limit(equals=True), [True], [False, 1, 1.0]),
    ],
)
def test_a_limit_is_inclusive_and_admits_nothing_of_another_kind(
    limit: Limit, inside: list[Any], outside: list[Any]
) -> None:
    assert all(limit.admits(value) for value in inside)
    assert not any(limit.admits(value) for value in outside)


def test_a_guard_draws_the_limit_in() -> None:
    assert Limit(max=10.0).admits(9.5, guard=0.5)
    assert not Limit(max=10.0).admits(9.6, guard=0.5)
    assert not Limit(min=1.0).admits(1.2, guard=0.5)


@pytest.mark.parametrize("bad", [{}, {"min": 2, "max": 1}, {"equals": True, "max": 1}, {"max": float("nan")}])
def test_what_is_no_limit_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limit.model_validate(bad)


def test_a_feature_that_is_seen_by_what_no_requirement_asks_for_is_a_mistake_with_its_place() -> None:
    data = changed('proforma.features.1.seen_by={"quantity": "ringing_ms"}')
    with pytest.raises(ValidationError) as caught:
        Programme.model_validate(data)
    (problem,) = problems_of(caught.value.errors(include_url=False))
    assert problem.path == "proforma.features[1].seen_by.quantity"
    assert "codec.pcmu is seen by ringing_ms, which no requirement asks for in bool" in problem.wrong
