"""Test reports: what stands against one, issuing, amending, and the report in each form."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field

from lab_inventory.errors import NotFound
from lab_inventory.noun import Name, Noun, Text
from orchestrator.api.parts import BatchesRead, Parts, PartsOf, ReportsWrite
from orchestrator.lifecycle.rights import Principal
from orchestrator.reports.content import TestReport
from orchestrator.reports.rendering import html, pdf
from orchestrator.reports.sheet import Sheet
from orchestrator.store import report_views

router = APIRouter(prefix="/v1", tags=["reports"])
Row = dict[str, Any]
Number = Annotated[Name, Path(examples=["rep-0123456789abcdef"])]
Submission = Annotated[Name, Path(examples=["sub-0123456789abcdef"])]
SHEET = {
    "customer": {"name": "Example Phones", "contact": "certification@phones.example"},
    "item": {
        "received_on": "2026-11-02",
        "condition": "Undamaged, sealed, as sold.",
        "sampling": "Chosen and sent by the vendor; the laboratory took no sample.",
    },
    "environment": "On the bench's own network without impairment, at 20 to 24 degrees Celsius.",
    "deviations": "The methods were followed without deviation.",
    "authorised_by": {"name": "Anna Example", "function": "Head of the laboratory"},
}
STANDS_ALONE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
SheetBody = Annotated[Sheet, Body(examples=[SHEET])]


class Amendment(Noun):
    """A report in the place of another, and why."""

    because: Text = Field(examples=["The hardware revision was wrong."])
    sheet: Sheet = Field(examples=[SHEET])


class Issued(Noun):
    """What was issued."""

    number: str
    notice: str


class Against(Noun):
    """One thing that stands against a report."""

    path: str
    wrong: str
    expected: str


def _as(media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string"}}}
    return {"response_class": Response, "responses": {200: {"content": content}}}


@router.get("/submissions/{submission}/reports")
def list_reports(submission: Submission, parts: PartsOf, asking: BatchesRead) -> list[Row]:
    """The reports of a submission, the newest first, with those whose place another took."""
    with parts.store.reading() as connection:
        return report_views.issued(connection, submission, asking.vendor)


@router.post("/submissions/{submission}/reports/check")
def check(submission: Submission, sheet: SheetBody, parts: PartsOf, asking: ReportsWrite) -> list[Against]:
    """Everything that stands against issuing a report with this sheet; issues nothing."""
    found = parts.issuing.against(submission, sheet)
    return [Against(path=one.path, wrong=one.wrong, expected=one.expected) for one in found]


@router.post("/submissions/{submission}/reports", status_code=201)
def issue(submission: Submission, sheet: SheetBody, parts: PartsOf, asking: ReportsWrite) -> Issued:
    """Issue a test report."""
    report = parts.issuing.issue(submission, sheet, asking.subject)
    return Issued(number=report.number, notice=report.notice)


@router.post("/reports/{number}/amend", status_code=201)
def amend(number: Number, amendment: Annotated[Amendment, Body()], parts: PartsOf, asking: ReportsWrite) -> Issued:
    """Issue a report in the place of another, which stays and says so."""
    report = parts.issuing.amend(number, amendment.because, amendment.sheet, asking.subject)
    return Issued(number=report.number, notice=report.notice)


@router.get("/reports/{number}", **_as("application/json"))
def show(number: Number, parts: PartsOf, asking: BatchesRead) -> Response:
    """The report as it was issued, byte for byte."""
    return Response(_document(parts, number, asking), media_type="application/json")


@router.get("/reports/{number}/pdf", **_as("application/pdf"))
def show_pdf(number: Number, parts: PartsOf, asking: BatchesRead) -> Response:
    """The report as PDF/A; made of the report as it was issued, always the same."""
    report = TestReport.model_validate_json(_document(parts, number, asking))
    headers = {"Content-Disposition": f'inline; filename="{report.number}.pdf"'}
    return Response(pdf(report), media_type="application/pdf", headers=headers)


@router.get("/reports/{number}/html", **_as("text/html"))
def show_html(number: Number, parts: PartsOf, asking: BatchesRead) -> Response:
    """The report as a page that stands alone."""
    report = TestReport.model_validate_json(_document(parts, number, asking))
    return Response(html(report), media_type="text/html", headers=STANDS_ALONE)


def _document(parts: Parts, number: str, asking: Principal) -> str:
    with parts.store.reading() as connection:
        found = report_views.document(connection, number, asking.vendor)
    if found is None:
        raise NotFound(f"there is no report {number[:80]}")
    return found[0]
