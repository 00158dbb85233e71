"""What another version of a programme changes and what it asks of whoever passed the one before."""

from typing import Any

import pytest

from lab_inventory.programme import Programme
from lab_inventory.programme_changes import Asks, Change, again, by_hand, changes
from tests.lab_inventory.test_programme import basic, changed


def found(change: str) -> tuple[Change, ...]:
    return changes(basic(), Programme.model_validate(changed(change)))


def test_a_version_differs_in_nothing_from_itself() -> None:
    assert changes(basic(), basic()) == ()


@pytest.mark.parametrize(
    ("change", "asks", "level", "case"),
    [
        ("requirements.2.checks.0.limits.certified.max=400", Asks.JUDGE, "certified", ""),
        ("requirements.2.checks.0.limits.works-with.max=9000", Asks.NOTHING, "works-with", ""),
        ("suites.0.cases.1.repeats=5", Asks.MEASURE, "", "TC-SIP-01"),
        ("suites.0.cases.1.repeats=1", Asks.NOTHING, "", ""),
        ("suites.0.cases.1.method_version=2", Asks.MEASURE, "", "TC-SIP-01"),
        ("suites.0.cases.1.procedure=incoming-call-2", Asks.MEASURE, "", "TC-SIP-01"),
        ("suites.0.cases.9.parameters={window_s: 60}", Asks.MEASURE, "", "TC-MED-03"),
        ("levels.0.rule=guard-band", Asks.JUDGE, "works-with", ""),
    ],
)
def test_one_change_asks_for_as_much_as_it_changes(change: str, asks: Asks, level: str, case: str) -> None:
    (one,) = found(change)
    assert (one.asks, one.level, one.case) == (asks, level, case)


def without(requirement: int) -> Programme:
    data: dict[str, Any] = changed("title=x")
    gone = data["requirements"].pop(requirement)
    for suite in data["suites"]:
        suite["cases"] = [case for case in suite["cases"] if case["id"] != gone["case"]]
    return Programme.model_validate(data)


def test_a_requirement_that_is_added_is_measured_at_the_levels_that_ask_for_it_and_one_that_is_removed_is_not() -> None:
    added = changes(without(6), basic())
    assert {(one.level, one.asks, one.case) for one in added} == {
        ("works-with", Asks.MEASURE, "TC-SIP-05"),
        ("certified", Asks.MEASURE, "TC-SIP-05"),
    }
    (removed,) = changes(basic(), without(6))
    assert (removed.asks, removed.after) == (Asks.NOTHING, "removed")


def manual(**change: Any) -> Programme:
    """The basic programme with hold and resume measured by people."""
    data: dict[str, Any] = changed("title=x")
    data["suites"][0]["cases"] = [case for case in data["suites"][0]["cases"] if case["id"] != "TC-SIP-03"]
    del data["requirements"][4]["case"]
    data["requirements"][4] |= {"instructions": "Hold the call."} | change
    return Programme.model_validate(data | {"title": basic().title})


def test_a_requirement_that_gets_a_procedure_or_loses_it_is_measured_anew() -> None:
    (one,) = [one for one in changes(manual(), basic()) if one.what == "BP-SIP-03 is measured"]
    assert (one.before, one.after, one.asks, one.case) == ("manual", "by a procedure", Asks.MEASURE, "TC-SIP-03")
    back = changes(basic(), manual())
    assert by_hand(back, "certified") == ("BP-SIP-03",)
    assert again(back, "certified") == ()


def test_other_instructions_ask_people_to_measure_again() -> None:
    (one,) = changes(manual(), manual(instructions="Hold it longer."))
    assert (one.what, one.asks, one.case) == ("BP-SIP-03 instructions", Asks.MEASURE, "")


PICTURE = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="


@pytest.mark.parametrize(
    ("change", "what", "after", "asks"),
    [
        ({"picture": PICTURE}, "BP-SIP-03 picture", "another picture", Asks.MEASURE),
        ({"second_person": True}, "BP-SIP-03 is measured by", "two persons", Asks.MEASURE),
        ({"timeout_h": 2}, "BP-SIP-03 is measured", "within 2 h", Asks.NOTHING),
    ],
)
def test_how_people_are_asked_is_told(change: dict[str, Any], what: str, after: str, asks: Asks) -> None:
    (one,) = found = changes(manual(), manual(**change))
    assert (one.what, one.after, one.asks) == (what, after, asks)
    assert by_hand(found, "certified") == (("BP-SIP-03",) if asks is Asks.MEASURE else ())
    assert all(back.asks is not Asks.JUDGE for back in changes(manual(**change), manual()))


def test_one_person_is_enough_where_two_were() -> None:
    (one,) = changes(manual(second_person=True), manual())
    assert (one.before, one.after, one.asks) == ("two persons", "one person", Asks.NOTHING)


def test_a_requirement_that_becomes_optional_asks_for_nothing_and_one_that_was_is_measured() -> None:
    optional = Programme.model_validate(changed("requirements.4.kind=optional"))
    (one,) = changes(basic(), optional)
    assert (one.before, one.after, one.asks) == ("always", "optional, always", Asks.NOTHING)
    (back,) = changes(optional, basic())
    assert (back.asks, back.case) == (Asks.MEASURE, "TC-SIP-03")


def test_dates_and_other_terms_are_told_and_ask_nothing_of_a_product() -> None:
    dated = Programme.model_validate(changed("lifecycle={available_from: 2026-01-01}"))
    (one,) = changes(basic(), dated)
    assert (one.what, one.before, one.after, one.asks) == ("lifecycle", "–", "available from 2026-01-01", Asks.NOTHING)
    designation = "designations=[{id: extra, title: E, statement: S, requirements: [BP-MED-01]}]"
    (added,) = changes(basic(), Programme.model_validate(changed(designation)))
    assert (added.what, added.after, added.asks) == ("designations extra", "BP-MED-01", Asks.JUDGE)
    (gone,) = changes(Programme.model_validate(changed(designation)), basic())
    assert (gone.after, gone.asks) == ("removed", Asks.NOTHING)


def test_a_quantity_in_another_unit_is_measured_anew() -> None:
    data = changed("requirements.2.checks.0.unit=s")
    for limit in data["requirements"][2]["checks"][0]["limits"].values():
        limit["max"] = limit["max"] / 1000
    asked = {one.asks for one in changes(basic(), Programme.model_validate(data))}
    assert asked == {Asks.MEASURE}


def test_a_requirement_that_applied_to_some_and_now_to_all_is_measured() -> None:
    data = changed("requirements.9.kind=mandatory")
    condition = data["requirements"][9].pop("condition", None)
    conditional = next(n for n, one in enumerate(basic().requirements) if one.condition)
    data = changed(f"requirements.{conditional}.kind=mandatory")
    condition = data["requirements"][conditional].pop("condition")
    (one,) = changes(basic(), Programme.model_validate(data))
    assert (one.before, one.after, one.asks) == (condition, "always", Asks.MEASURE)
    (back,) = changes(Programme.model_validate(data), basic())
    assert back.asks is Asks.NOTHING


def test_holders_of_a_level_are_measured_again_only_where_their_level_asks_for_it() -> None:
    both = (*found("suites.0.cases.1.repeats=5"), *found("suites.0.cases.2.repeats=5"))
    assert again(both, "certified") == ("TC-SIP-01", "TC-SIP-02")
    only = Change(what="x", level="certified", before="", after="", asks=Asks.MEASURE, case="TC-1")
    assert again((only,), "works-with") == ()
    assert again((only,), "certified") == ("TC-1",)
