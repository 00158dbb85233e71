"""A report as pages: everything of it is on them, and nothing from outside becomes markup or code."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import small_programme as small
from on_record import SHEET, composed, recorded

from orchestrator.reports.content import TestReport
from orchestrator.reports.rendering import html, pdf


class Words(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.said))


def failed() -> TestReport:
    return composed(recorded(small.attempt(1, *small.all_well(small.ended("TC-1", 2, ringing_ms=700.0)))))


def test_the_page_says_everything_a_report_must() -> None:
    report = failed()
    said = Words(html(report)).text
    for words in (
        report.number,
        "DEMONSTRATION, grants nothing",
        "A Lab Ltd, 1 Bench Road, Anytown",
        "certification@acme.example",
        "Undamaged, sealed, as sold.",
        "Works with: met; 3 of 3 requirements pass",
        "Certified: not met;",
        "ringing_ms was 700 ms ± 1; at most 500 ms is asked for (clause on ringing_ms)",
        "Guard band (ILAC-G8:09/2019, 4.2.2)",
        "Not covered nothing",
        "The methods were followed without deviation.",
        "Anna Example, Head of the laboratory",
        report.judgement_digest,
        f"End of report {report.number}",
    ):
        assert words in said, words


def test_no_word_from_outside_becomes_markup() -> None:
    hostile = SHEET.model_copy(update={"environment": "<script>alert(1)</script> & #evil[x]"})
    page = html(composed(sheet=hostile))
    assert "script" not in Words(page).tags
    assert "<script>alert(1)</script> & #evil[x]" in Words(page).text


def test_the_pdf_is_made_also_of_words_that_mean_something_to_typst_and_is_always_the_same() -> None:
    hostile = SHEET.model_copy(update={"environment": '#panic("x") $ x_ _ * ` \\ @a <b> ' + "long" * 300})
    report = composed(sheet=hostile)
    made = pdf(report)
    assert made.startswith(b"%PDF-")
    assert b"pdfaid" in made
    assert made == pdf(report)


def test_a_report_of_many_rows_has_many_pages() -> None:
    report = composed()
    level = report.levels[0]
    many = report.model_copy(update={"levels": (level.model_copy(update={"requirements": level.requirements * 60}),)})
    assert pages(pdf(many)) > pages(pdf(report)) >= 2


def pages(made: bytes) -> int:
    (count,) = re.findall(rb"/Type/Pages/Count (\d+)", made)
    return int(count)


def test_the_devices_that_a_run_had_beside_the_one_under_test_are_named() -> None:
    words = "companion Assay Reference Phone 1.0 (urn:uuid:2) in slot-2"
    alone = recorded()
    report = composed(recorded(runs=[replace(run, beside=(words,)) for run in alone.runs]))
    assert f"host-1 slot-1 with the {words}" in Words(html(report)).text
    assert pdf(report).startswith(b"%PDF")
    assert "beside" not in composed(alone).model_dump_json()
