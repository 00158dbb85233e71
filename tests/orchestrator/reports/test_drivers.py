"""A report says what pressed the keys, and on what that was ever tried."""

from dataclasses import replace

import pytest
from on_record import composed, recorded

from lab_inventory.device import DriverFacts
from orchestrator.reports.rendering import html, pdf

UNTRIED = DriverFacts(version="1.0", tried_on=(), press_timeout_s=5.0).in_words("yealink")
TRIED = DriverFacts(version="2.1", tried_on=("Acme 9 1.2.3, 2026-11-26",), press_timeout_s=5.0).in_words("acme")


@pytest.mark.parametrize("words", [UNTRIED, TRIED])
def test_a_report_tells_of_the_driver_once(words: str) -> None:
    of = recorded()
    report = composed(replace(of, runs=[replace(run, driver=words) for run in of.runs]))
    assert report.drivers == (words,)
    assert html(report).count(words) == 1
    assert pdf(report).startswith(b"%PDF")


def test_the_words_for_a_driver_that_nobody_ever_tried_are_plain() -> None:
    assert UNTRIED == "The driver yealink 1.0 has never been tried on a device."
    assert TRIED == "The driver acme 2.1 was tried on Acme 9 1.2.3, 2026-11-26."


def test_a_report_of_runs_that_say_nothing_of_their_driver_is_as_it_was() -> None:
    report = composed()
    assert report.drivers == ()
    assert "drivers" not in report.model_dump_json()
    assert "<dt>Keys</dt>" not in html(report)
