"""What people write on the sheet: nothing has a default, and nothing that says nothing is taken."""

from typing import Any

import pytest
from on_record import SHEET

from lab_inventory.noun import says_nothing
from orchestrator.reports.sheet import ASKED, Sheet, against_sheet


def with_field(path: str, value: Any) -> Sheet:
    """The good sheet with another value in one field; None: the field is left out."""
    said = SHEET.model_dump(mode="json")
    inner = said
    *groups, name = path.split(".")
    for group in groups:
        inner = inner[group]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return Sheet.model_validate(said)


def test_a_sheet_that_is_filled_in_has_nothing_against_it() -> None:
    assert against_sheet(SHEET) == ()


def test_an_empty_sheet_is_told_with_every_field_at_once() -> None:
    assert [problem.path for problem in against_sheet(Sheet())] == list(ASKED)


@pytest.mark.parametrize("path", ASKED)
def test_each_field_that_is_left_out_is_told_alone(path: str) -> None:
    (problem,) = against_sheet(with_field(path, None))
    assert (problem.path, problem.wrong, problem.expected) == (path, "is missing", ASKED[path])


@pytest.mark.parametrize("path", [path for path in ASKED if path != "item.received_on"])
@pytest.mark.parametrize("words", ["N/A", "TBD", "n.a.", " - ", "None", "unknown.", "..."])
def test_words_that_say_nothing_are_refused_in_each_field(path: str, words: str) -> None:
    (problem,) = against_sheet(with_field(path, words))
    assert problem.path == path
    assert repr(words) in problem.wrong


@pytest.mark.parametrize("words", ["No deviations.", "Nancy Abel", "None were found.", "TBDX-2 rig", "x-ray room"])
def test_words_that_only_begin_like_those_are_taken(words: str) -> None:
    assert not says_nothing(words)


def test_the_fields_that_are_asked_for_are_all_fields_of_the_sheet() -> None:
    said = SHEET.model_dump()
    there = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in said.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert there == set(ASKED)
