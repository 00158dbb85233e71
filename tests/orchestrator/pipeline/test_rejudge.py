"""Past evidence judged again, on the small programme."""

from datetime import timedelta
from typing import Any

import pytest
import small_programme as small

from lab_inventory.programme import Programme
from orchestrator.lifecycle.verdict import Verdict
from orchestrator.pipeline.attempts import Distrust
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.rejudge import Impact, Rejudged, measured_by, rejudge, stands

WELL = small.attempt(1, *small.all_well())


def version(**change: Any) -> Programme:
    """A next version of the small programme."""
    return small.programme(version="2.0", **change)


def fields() -> dict[str, Any]:
    """The small programme as plain data, to be changed."""
    return small.SMALL.model_dump(mode="json")


def again(
    *of: small.Attempt, after: Programme | None = None, distrust: Distrust | None = None, **content: Any
) -> Rejudged:
    view = small.view(*(of or (WELL,)), of=small.content(**content))
    return rejudge(view, small.SMALL, judge(view, small.SMALL), after, distrust)


def stricter(**limit: float) -> Programme:
    """A version with another certified limit of ringing_ms."""
    requirements = fields()["requirements"]
    requirements[0]["checks"][0]["limits"]["certified"].update(limit)
    return version(requirements=requirements)


def test_the_same_version_changes_nothing() -> None:
    got = again()
    assert (got.impact, got.differences, got.again) == (Impact.UNCHANGED, (), ())
    assert got.words == "earned certified under small 1.0, and would again"


def test_a_stricter_limit_fails_who_does_not_meet_it_and_says_by_which_value() -> None:
    got = again(after=stricter(max=50))
    assert (got.impact, got.earned_before, got.earned_after) == (Impact.FAILS, "certified", "works-with")
    (difference,) = got.differences
    assert (difference.level, difference.before, difference.after) == ("certified", "pass", "fail")
    assert difference.words == "ringing_ms was 100 ms ± 1; at most 50 ms is asked for (clause on ringing_ms)"
    assert got.words.endswith("would now earn works-with; not met: R-1")


def test_a_wider_limit_gains_who_did_not_meet_it_before() -> None:
    got = again(small.attempt(1, *small.all_well(small.ended("TC-1", 1, ringing_ms=700.0))), after=stricter(max=900))
    assert (got.impact, got.earned_before, got.earned_after) == (Impact.GAINS, "works-with", "certified")
    assert [(one.before, one.after) for one in got.levels] == [(True, True), (False, True)]


def test_who_earned_nothing_and_would_not_again_is_unchanged() -> None:
    got = again(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=9.0))), after=stricter(max=50))
    assert (got.impact, got.earned_after) == (Impact.UNCHANGED, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method_version": 2}, "TC-2 asks for method version 2, and it was 1"),
        ({"procedure": "other"}, "TC-2 asks for procedure other, and it was any"),
        ({"parameters": {"speed": 2}}, "TC-2 asks for parameters speed=2, and it was none"),
        ({"roles": ["dut", "companion"]}, "TC-2 asks for roles dut, companion, and it was dut"),
    ],
    ids=str,
)
def test_what_was_measured_by_another_method_was_not_run(change: dict[str, Any], words: str) -> None:
    suites = fields()["suites"]
    suites[0]["cases"][1].update(change)
    got = again(after=version(suites=suites))
    assert (got.impact, got.earned_after, got.again) == (Impact.NOT_JUDGEABLE, None, ("TC-2",))
    assert {(one.requirement, one.after) for one in got.differences} == {("R-2", Verdict.NOT_RUN)}
    assert words in got.differences[0].words


def test_more_repeats_than_were_measured_were_not_run() -> None:
    suites = fields()["suites"]
    suites[0]["cases"][1]["repeats"] = 3
    got = again(after=version(suites=suites))
    assert got.impact is Impact.NOT_JUDGEABLE
    assert "2 of 3 repeats not run" in got.differences[0].words


def test_a_new_requirement_on_what_was_never_measured_was_not_run() -> None:
    made = fields()
    made["suites"][0]["cases"].append({"id": "TC-4", "title": "x", "procedure": "new", "duration_s": 1})
    made["requirements"].append({**made["requirements"][1], "id": "R-4", "case": "TC-4"})
    got = again(after=version(suites=made["suites"], requirements=made["requirements"]))
    assert (got.impact, got.again) == (Impact.NOT_JUDGEABLE, ("TC-4",))
    assert "nothing was measured by new version 1" in got.differences[0].words


def with_case(name: str, **change: Any) -> Programme:
    """The second case under another name, measured with a parameter."""
    made = fields()
    made["suites"][0]["cases"][1].update(id=name, parameters={"speed": 1})
    made["requirements"][1]["case"] = name
    return small.programme(suites=made["suites"], requirements=made["requirements"], **change)


def test_a_case_that_only_got_another_name_is_judged_from_what_was_measured_under_the_old_one() -> None:
    before, after = with_case("TC-9"), with_case("TC-2", version="2.0")
    well = {one.case: one for one in small.all_well()}
    bodies = [*small.all_well(leave_out=["TC-2"]), well["TC-2"].model_copy(update={"case": "TC-9"})]
    view = small.view(small.attempt(1, *bodies, cases=["TC-1", "TC-9", "TC-3"]), against=before)
    got = rejudge(view, before, judge(view, before), after)
    assert (got.impact, got.earned_after) == (Impact.UNCHANGED, "certified")


def test_a_fail_counts_for_more_than_what_was_not_measured() -> None:
    made = stricter(max=50).model_dump(mode="json")
    made["suites"][0]["cases"][1]["method_version"] = 2
    assert again(after=version(suites=made["suites"], requirements=made["requirements"])).impact is Impact.FAILS


def test_a_feature_that_was_not_asked_for_then_is_never_taken_for_not_declared() -> None:
    made = fields()
    made["proforma"]["features"].append({"id": "video", "question": "Video?"})
    made["requirements"][1].update(kind="conditional", condition="video")
    got = again(after=version(proforma=made["proforma"], requirements=made["requirements"]))
    assert got.impact is Impact.NOT_JUDGEABLE
    assert "the ICS does not answer video, on which it depends" in got.differences[0].words


def test_what_was_measured_with_other_values_than_are_asked_for_now_was_not_run() -> None:
    proforma = fields()["proforma"]
    proforma["ixit"][0]["default"] = 30
    got = again(after=version(proforma=proforma))
    assert (got.impact, got.again) == (Impact.NOT_JUDGEABLE, ("TC-1", "TC-2", "TC-3"))
    assert "it was measured with ptime = 20, not 30" in got.differences[0].words
    assert again(after=version(proforma=proforma), ixit={"ptime": 20}).impact is Impact.UNCHANGED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category": "usb-headset"}, "small 2.0 is for usb-headset, and this is ip-phone"),
        (
            {"profiles": [{"id": "other", "title": "o", "covers": "", "does_not_cover": ""}], "requirements": []},
            "small 2.0 has no profile all",
        ),
    ],
)
def test_a_programme_that_is_not_about_it_says_nothing(change: dict[str, Any], words: str) -> None:
    if "profiles" in change:
        change["requirements"] = [{**one, "profiles": ["other"]} for one in fields()["requirements"]]
    got = again(after=version(**change))
    assert (got.impact, got.words, got.levels) == (Impact.NOT_JUDGEABLE, words, ())


def test_under_another_programme_it_gains_what_its_lowest_level_asks() -> None:
    another = small.programme(id="another")
    got = again(after=another)
    assert (got.impact, got.earned_after) == (Impact.GAINS, "certified")
    assert [one.before for one in got.levels] == [None, None]
    failing = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=9.0)))
    assert again(failing, after=another).impact is Impact.FAILS


def test_a_level_that_is_gone_is_compared_with_the_lowest_that_is_there() -> None:
    made = fields()
    made["levels"] = [{**made["levels"][0], "id": "basic"}]
    for requirement in made["requirements"]:
        requirement["checks"] = [
            {**check, "limits": {"basic": check["limits"]["works-with"]}}
            for check in requirement["checks"]
            if "works-with" in check["limits"]
        ]
    got = again(after=version(levels=made["levels"], requirements=made["requirements"]))
    assert (got.impact, got.earned_after) == (Impact.GAINS, "basic")


def test_without_an_instrument_what_it_measured_is_inconclusive_and_the_words_say_so() -> None:
    got = again(distrust=Distrust(instrument="sip"))
    assert (got.impact, got.earned_after, got.measurements) == (Impact.NOT_JUDGEABLE, None, 7)
    assert {one.after for one in got.differences} == {Verdict.INCONCLUSIVE}
    assert f"sip, which measured it on {small.NOW.date()}, is not relied on" in got.differences[0].words


def test_an_instrument_that_measured_nothing_in_those_days_changes_nothing() -> None:
    got = again(distrust=Distrust(instrument="sip", since=small.NOW.date() + timedelta(days=1)))
    assert (got.impact, got.measurements) == (Impact.UNCHANGED, 0)


def test_without_the_instrument_of_one_quantity_only_its_requirement_is_open() -> None:
    other = small.measured("gain_db", 0.0, uncertainty=0.1, instrument="analyser")
    view = small.view(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=other))))
    distrust = Distrust(instrument="analyser")
    assert measured_by(view, distrust) == 1
    got = rejudge(view, small.SMALL, judge(view, small.SMALL), distrust=distrust)
    assert {one.requirement for one in got.differences} == {"R-2"}
    assert got.again == ("TC-2",)


def test_a_fail_that_only_a_bad_instrument_saw_no_longer_stands_against_the_product() -> None:
    bad = small.measured("gain_db", 9.0, uncertainty=0.1, instrument="analyser")
    first = small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=bad)))
    got = again(first, small.attempt(2, *small.all_well()), distrust=Distrust(instrument="analyser"))
    assert (got.impact, got.earned_before, got.earned_after) == (Impact.GAINS, None, "certified")


def test_a_certificate_stands_where_its_level_or_a_higher_one_would_be_earned() -> None:
    after = stricter(max=50)
    got = again(after=after)
    assert stands(got, "works-with", small.SMALL, after) is True
    assert stands(got, "certified", small.SMALL, after) is False
    assert (
        stands(again(after=small.programme(id="another")), "certified", small.SMALL, small.programme(id="another"))
        is None
    )
