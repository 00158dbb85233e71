"""What is typed into the form: a submission, or every mistake at its field."""

from hypothesis import given
from hypothesis import strategies as st

from lab_inventory.shipped import shipped_programmes
from orchestrator.pipeline.form import read_form
from orchestrator.pipeline.questionnaire import questions

BASIC = next(one for one in shipped_programmes() if one.id == "ip-phone-basic")
DIGEST = "sha256:" + "a" * 64
WELL = {
    "title": "Desk phone",
    "vendor": "Acme",
    "product.maker": "Acme",
    "product.model": "One",
    "product.firmware": "1.0",
    "hardware_revision": "A",
    "mode": "wideband",
    "profile": "digital",
    "ics.audio": "wideband",
    "ics.codec.pcmu": "true",
    "ics.codec.pcma": "true",
    "ics.codec.g722": "true",
    "ics.dtmf.events": "true",
    "ics.hold": "false",
    "ixit.ptime": "20",
    "ixit.tone": "1000.5",
}


def mistakes(**change: str) -> dict[str, list[str]]:
    read = read_form(WELL | {name.replace("__", "."): text for name, text in change.items()}, BASIC)
    assert (read.submission is None) is bool(read.mistakes)
    return {field: [one.wrong for one in found] for field, found in read.mistakes.items()}


def test_what_is_typed_in_whole_is_a_submission() -> None:
    rows = {
        "components.1.name": "main",
        "components.1.version": "1.0",
        "components.1.digest": DIGEST,
        "companions.0.kind": "host",
        "companions.0.product": "Acme Two",
        "companions.0.version": "3",
    }
    submission = read_form(WELL | rows | {"region": " EMEA "}, BASIC).submission
    assert submission is not None
    assert (submission.region, submission.components[0].digest) == ("EMEA", DIGEST)
    assert submission.companions[0].kind.value == "host"
    assert submission.ixit == {"ptime": 20, "tone": 1000.5}
    assert submission.ics["hold"] is False


def test_an_empty_form_is_told_every_question_that_must_be_answered_at_its_field() -> None:
    read = read_form({}, BASIC)
    needed = {one.path for one in questions(BASIC) if one.needed}
    assert set(read.mistakes) == needed
    assert all(len(found) == 1 for found in read.mistakes.values())


def test_a_contradiction_is_told_beside_blanks_and_mistakes_elsewhere() -> None:
    found = mistakes(vendor="", ics__codec__g722="false", ixit__ptime="often", hardware_revision="A\x00")
    assert found == {
        "vendor": ["is not answered"],
        "hardware_revision": ["is 'A\\x00'"],
        "ics.codec.g722": ["audio == wideband is declared without codec.g722"],
        "ixit.ptime": ["is 'often'"],
    }


def test_a_mistake_in_a_row_is_told_at_the_row_that_was_typed_in() -> None:
    found = mistakes(components__2__name="main", components__2__version="9", companions__3__product="Acme Two")
    assert set(found) == {"components.2.digest", "companions.3.kind", "companions.3.version"}
    whole = {"components__1__name": "main", "components__1__version": "9", "components__1__digest": DIGEST}
    found = mistakes(components__0__name="dongle", **whole)
    assert set(found) == {"components.0.version", "components.0.digest", "components.1.version"}
    twice = {
        f"components__{row}__{name}": text for row in (0, 3) for name, text in (("name", "main"), ("digest", DIGEST))
    }
    found = mistakes(**twice, components__0__version="1.0", components__3__version="2.0", profile="loud", vendor="")
    assert found == {
        "vendor": ["is not answered"],
        "profile": ["loud is no profile of it"],
        "components.3.name": ["main stands twice"],
        "components.3.version": ["is '2.0', and product.firmware is '1.0'"],
    }


def test_a_row_in_which_only_a_kind_is_chosen_is_empty() -> None:
    assert mistakes(companions__0__kind="host") == {}


def test_a_number_that_is_none_is_told_as_it_was_typed() -> None:
    for text in ("nan", "inf", "1e999", "20 ms"):
        assert mistakes(ixit__ptime=text) == {"ixit.ptime": [f"is {text!r}"]}


_FIELDS = st.sampled_from(
    [*WELL, *(f"components.{row}.{name}" for row in (0, 1) for name in ("name", "version", "digest"))]
)
_TEXTS = st.one_of(st.sampled_from(["", "true", "false", "wideband", "1", DIGEST]), st.text(max_size=130))


@given(st.dictionaries(_FIELDS, _TEXTS))
def test_whatever_is_typed_is_a_submission_or_has_mistakes(typed: dict[str, str]) -> None:
    read = read_form(WELL | typed, BASIC)
    assert (read.submission is None) is bool(read.mistakes)
