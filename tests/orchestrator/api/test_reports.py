"""Test reports over HTTP: who may issue and see them, and in which forms they come."""

import json
from typing import Any

import pytest
from lab_server import LabServer
from lab_world import lab

from orchestrator.api.reports import SHEET
from orchestrator.lifecycle.rights import Role
from orchestrator.people import People

LABORATORY = {"name": "A Lab Ltd", "address": "1 Bench Road, Anytown", "contact": "lab@example.org"}


@pytest.fixture
async def submission(server: LabServer) -> str:
    """A judged submission in a lab that says who it is."""
    (entry,) = (await server.measured_batch(hold_offer_valid=False))["entries"]
    content = json.loads(lab().model_dump_json()) | {"laboratory": LABORATORY}
    assert (await server.operator.put("/v1/lab", json=content)).status_code == 204
    return str(entry["submission"])


async def issued(server: LabServer, submission: str) -> str:
    answer = await server.operator.post(f"/v1/submissions/{submission}/reports", json=SHEET)
    assert answer.status_code == 201, answer.text
    assert answer.json()["notice"] == "DEMONSTRATION, grants nothing"
    return str(answer.json()["number"])


async def test_a_report_comes_as_json_as_pdf_and_as_a_page(server: LabServer, submission: str) -> None:
    number = await issued(server, submission)
    said = (await server.operator.get(f"/v1/reports/{number}")).json()
    assert (said["number"], said["earned"]) == (number, None)
    made = await server.operator.get(f"/v1/reports/{number}/pdf")
    assert made.headers["content-type"] == "application/pdf"
    assert made.content.startswith(b"%PDF-")
    page = await server.operator.get(f"/v1/reports/{number}/html")
    assert "hold_offer_valid was no" in page.text
    assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


async def test_the_page_of_the_submission_leads_to_its_reports(server: LabServer, submission: str) -> None:
    first = await issued(server, submission)
    body = {"because": "The condition was noted wrongly.", "sheet": SHEET}
    second = (await server.operator.post(f"/v1/reports/{first}/amend", json=body)).json()["number"]
    async with server.client(server.token) as reader:
        page = (await reader.get(f"/submissions/{submission}")).text
    assert f'href="/v1/reports/{second}/pdf"' in page
    assert f"{second} took its place" in page
    rows = (await server.operator.get(f"/v1/submissions/{submission}/reports")).json()
    assert {row["number"]: row["amends"] for row in rows} == {first: "none", second: first}


async def test_what_stands_against_it_is_told_all_at_once_and_issues_nothing(
    server: LabServer, submission: str
) -> None:
    sheet: dict[str, Any] = {**SHEET, "deviations": "N/A", "environment": None}
    checked = await server.operator.post(f"/v1/submissions/{submission}/reports/check", json=sheet)
    assert {one["path"] for one in checked.json()} == {"deviations", "environment"}
    refused = await server.operator.post(f"/v1/submissions/{submission}/reports", json=sheet)
    assert refused.status_code == 422
    assert {one["path"] for one in refused.json()["problems"]} == {"deviations", "environment"}
    assert (await server.operator.get(f"/v1/submissions/{submission}/reports")).json() == []


async def test_a_vendor_sees_the_reports_of_its_own_and_issues_none(server: LabServer, submission: str) -> None:
    number = await issued(server, submission)
    people = People(server.app.state.parts.store, server.app.state.parts.people._clock)
    content = (await server.operator.get(f"/v1/submissions/{submission}")).json()["content"]
    for name, vendor, seen in (("own", content["vendor"], 200), ("other", "Somebody Else", 404)):
        people.add(name, (Role.VENDOR,), vendor, "admin")
        async with server.client(people.api_token(name, "tests", frozenset(), 1).secret) as asking:
            assert (await asking.get(f"/v1/reports/{number}")).status_code == seen
            assert (await asking.get(f"/v1/reports/{number}/pdf")).status_code == seen
            rows = (await asking.get(f"/v1/submissions/{submission}/reports")).json()
            assert [row["number"] for row in rows] == ([number] if seen == 200 else [])
            refused = await asking.post(f"/v1/submissions/{submission}/reports", json=SHEET)
            assert refused.status_code == 403
