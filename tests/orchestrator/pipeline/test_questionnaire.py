"""The questionnaire: every question of the programme, and filled in a batch that can be submitted."""

import json
from collections.abc import Mapping

import pytest
import small_programme as small
import yaml

from lab_inventory.clock import ManualClock
from lab_inventory.errors import BadInput
from lab_inventory.programme import Programme
from lab_inventory.reading import parse_yaml
from lab_inventory.shipped import shipped_programmes
from orchestrator.pipeline.questionnaire import as_data, as_yaml, questions
from orchestrator.pipeline.submit import Accepted, BatchRequest, submit

BASIC = next(one for one in shipped_programmes() if one.id == "ip-phone-basic")
ANSWERS = {
    "title": "Desk phone",
    "vendor": "Acme",
    "maker": "Acme",
    "model": "One",
    "firmware": '"1.0"',
    "hardware_revision": "A",
    "mode": "wideband",
    "audio": "wideband",
    "codec.pcmu": "true",
    "codec.pcma": "true",
    "codec.g722": "true",
    "dtmf.events": "true",
    "hold": "false",
}


def filled(programme: Programme, answers: Mapping[str, str]) -> str:
    """The file with an answer after each colon that has none."""
    lines = []
    for line in as_yaml(programme).splitlines():
        name = line.strip().removesuffix(":")
        lines.append(f"{line} {answers[name]}" if line.endswith(":") and name in answers else line)
    return "\n".join(lines)


def test_a_file_that_is_filled_in_is_a_batch_that_is_accepted() -> None:
    request = parse_yaml(filled(BASIC, ANSWERS), BatchRequest, source="file")
    assert (request.programme, request.programme_version) == (BASIC.id, BASIC.version)
    answer = submit(request, [BASIC], frozenset(), "anna", small.NOW, ManualClock().new_id)
    assert isinstance(answer, Accepted)
    assert request.submissions[0].ixit == {"ptime": 20, "tone": 1000}


def test_every_blank_is_told_at_once_with_its_line() -> None:
    text = as_yaml(BASIC)
    with pytest.raises(BadInput) as caught:
        parse_yaml(text, BatchRequest, source="file")
    blank = {
        problem.path.removeprefix("submissions[0].").removeprefix("product.").removeprefix("ics.")
        for problem in caught.value.problems
    }
    assert blank == set(ANSWERS)
    lines = text.splitlines()
    assert all(lines[(problem.line or 0) - 1].endswith(":") for problem in caught.value.problems)


def test_every_question_stands_as_a_comment_with_its_choices_unit_and_default() -> None:
    text = " ".join(line.strip(" #") for line in as_yaml(BASIC).splitlines())
    for one in questions(BASIC):
        assert " ".join(one.words.split()) in text
    assert "One of: wideband, narrowband" in text
    assert "In ms ptime: 20" in text
    assert "Where audio == wideband, also codec.g722: wideband audio here means G.722." in text


@pytest.mark.parametrize("programme", [*shipped_programmes(), small.SMALL])
def test_the_file_of_every_programme_is_readable(programme: Programme) -> None:
    read = yaml.safe_load(as_yaml(programme))
    assert set(read["submissions"][0]["ics"] or {}) == {feature.id for feature in programme.proforma.features}


def test_what_a_programme_says_cannot_break_out_of_its_comment() -> None:
    evil = small.programme(
        title="x: [1, 2]",
        statement="one\ntitle: stolen\n- more",
        proforma={"features": [{"id": "dtmf", "question": "Really?\nvendor: Somebody"}]},
    )
    read = yaml.safe_load(as_yaml(evil))
    assert read["title"] == "Submission to small"
    assert read["submissions"][0]["vendor"] is None


def test_the_data_has_everything_a_program_needs_and_is_json() -> None:
    data = json.loads(json.dumps(as_data(BASIC)))
    asked = {one["path"]: one for one in data["questions"]}
    assert asked["ics.audio"]["choices"] == ["wideband", "narrowband"]
    assert (asked["ixit.ptime"]["unit"], asked["ixit.ptime"]["default"]) == ("ms", 20)
    assert asked["profile"]["default"] == "digital"
    assert data["digest"] == BASIC.digest
    assert len(data["rules"]) == 2
