"""A judgement as JUnit XML: what is green there was met, and nothing else."""

from xml.etree.ElementTree import Element, fromstring

import pytest
import small_programme as small

from orchestrator.pipeline.judge import judge
from orchestrator.reports.junit import junit


def suites(*attempts: small.Attempt, title: str = "A phone") -> dict[str, Element]:
    content = small.content().model_copy(update={"title": title})
    judgement = judge(small.view(*attempts, of=content), small.SMALL)
    root = fromstring(junit(judgement, content, small.SMALL))  # noqa: S314 - our own
    assert root.get("name") == title
    assert int(root.get("tests", "0")) == len(root.findall("testsuite/testcase"))
    return {suite.get("name", "").rpartition(".")[2]: suite for suite in root}


def bad(suite: Element) -> dict[str, tuple[str, str]]:
    return {
        case.get("name", "").partition(" ")[0]: (one.tag, one.get("type", ""))
        for case in suite.findall("testcase")
        for one in case
        if one.tag in ("failure", "error", "skipped")
    }


def test_a_device_that_meets_everything_is_green_at_every_level() -> None:
    found = suites(small.attempt(1, *small.all_well()))
    assert {name: bad(suite) for name, suite in found.items()} == {"works-with": {}, "certified": {}}


def test_a_fail_is_a_failure_with_value_limit_and_source_at_the_level_that_asks_it() -> None:
    found = suites(small.attempt(1, *small.all_well(small.ended("TC-1", 2, ringing_ms=700.0))))
    assert bad(found["works-with"]) == {}
    assert bad(found["certified"]) == {"level": ("failure", "not-met"), "R-1": ("failure", "fail")}
    [failure] = found["certified"].findall("testcase[2]/failure")
    assert failure.get("message") == "ringing_ms was 700 ms ± 1; at most 500 ms is asked for (clause on ringing_ms)"
    assert (found["certified"].get("failures"), found["certified"].get("errors")) == ("2", "0")


def test_what_the_lab_has_to_answer_for_is_an_error_and_no_failure_of_the_device() -> None:
    found = suites(small.attempt(1, *small.all_well(small.not_measured("TC-2"))))
    assert bad(found["works-with"]) == {"level": ("failure", "not-met"), "R-2": ("error", "error")}


def test_a_pass_too_near_to_the_limit_does_not_make_the_level_green() -> None:
    found = suites(small.attempt(1, *small.all_well(small.ended("TC-2", gain_db=0.95))))
    assert bad(found["certified"]) == {"level": ("failure", "not-met")}
    assert "flags: marginal" in "".join(found["certified"].itertext())


def test_nothing_that_was_run_is_red() -> None:
    found = suites()
    assert all(tag in ("failure", "error") for suite in found.values() for tag, _ in bad(suite).values())
    assert all("level" in bad(suite) for suite in found.values())


def test_a_demonstration_says_so_and_every_suite_says_what_it_is_of() -> None:
    for suite in suites(small.attempt(1, *small.all_well())).values():
        said = {one.get("name"): one.get("value") for one in suite.findall("properties/property")}
        assert said["notice"] == "DEMONSTRATION, grants nothing"
        assert said["profile"]
        assert said["does not cover"]


@pytest.mark.parametrize("title", ["<b>&\"'", "before \ufffe after", "\U0001f4de"])
def test_what_xml_cannot_hold_is_replaced_and_the_rest_is_kept(title: str) -> None:
    content = small.content().model_copy(update={"title": title})
    judgement = judge(small.view(small.attempt(1, *small.all_well()), of=content), small.SMALL)
    root = fromstring(junit(judgement, content, small.SMALL))  # noqa: S314 - our own
    assert root.get("name") == title.replace("\ufffe", "\N{REPLACEMENT CHARACTER}")
