"""The form on which a product is submitted: without script, for vendors and operators, with every mistake at once."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from lab_server import LabServer

from orchestrator.lifecycle.rights import Role
from tests.orchestrator.pipeline.test_form import WELL

FORM = "/programmes/ip-phone-basic/submit"


async def signed_in(server: LabServer, name: str, role: Role, vendor: str | None = None) -> httpx.AsyncClient:
    """A browser in which somebody with this role is signed in."""
    server.parts.people.add(name, (role,), vendor, "operator")
    made = server.parts.people.sign_in(name)
    return httpx.AsyncClient(
        base_url=server.address,
        cookies={"assay-of-this-machine": made.secret},
        headers={"Origin": server.address},
        timeout=30,
    )


@pytest.fixture
async def browser(server: LabServer) -> AsyncIterator[httpx.AsyncClient]:
    async with await signed_in(server, "vera", Role.VENDOR, "Acme") as client:
        yield client


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(form|key)" value="([^"]+)">\s*<', page)) | dict(
        re.findall(r'name="(form|key)" value="([^"]+)"', page.partition('class="questions"')[2])
    )


async def test_a_vendor_submits_by_the_form_once_however_often_the_button_is_pressed(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    page = (await browser.get(FORM)).text
    assert "<script" not in page.partition("<main>")[2]
    assert 'value="Acme" readonly' in page
    sent = WELL | hidden(page)
    answers = [await browser.post(FORM, data=sent) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    shown = await browser.get(answers[0].headers["location"])
    assert "Desk phone" in shown.text
    other = await browser.post(FORM, data=sent | {"title": "Another"})
    assert other.status_code == 409
    assert "was used before with another body" in other.text


async def test_mistakes_are_told_at_their_fields_and_what_was_typed_is_kept(browser: httpx.AsyncClient) -> None:
    fields = hidden((await browser.get(FORM)).text)
    typed = WELL | {"product.model": "", "ics.codec.g722": "false", "ixit.ptime": "often", "components.2.name": "main"}
    answer = await browser.post(FORM, data=typed | fields | {"region": '"><script>'})
    assert answer.status_code == 422
    page = answer.text
    assert "5 mistakes; nothing was submitted." in page
    assert 'id="product.model" value="" maxlength="120" aria-invalid="true"' in page
    assert "audio == wideband is declared without codec.g722; expected wideband audio here means G.722" in page
    assert "is &#39;often&#39;; expected a number in ms" in page
    assert 'name="components.2.name" id="components.2.name" value="main"' in page
    assert 'name="ics.codec.g722" value="false" checked' in page
    assert 'value="&#34;&gt;&lt;script&gt;"' in page
    assert hidden(page) == fields
    for field in re.findall(r'<li><a href="#([^"]+)">', page):
        assert f'id="{field}"' in page
    assert (await browser.get("/v1/batches")).json() == []


async def test_a_form_from_elsewhere_or_of_another_sign_in_is_refused(browser: httpx.AsyncClient) -> None:
    fields = hidden((await browser.get(FORM)).text)
    for change, headers in (
        ({"form": "0" * 64}, {}),
        ({"form": ""}, {}),
        ({}, {"Origin": "https://elsewhere.example"}),
    ):
        answer = await browser.post(FORM, data=WELL | fields | change, headers=headers)
        assert answer.status_code == 403
    assert (await browser.get("/v1/batches")).json() == []


async def test_a_vendor_cannot_type_another_vendors_name(browser: httpx.AsyncClient) -> None:
    fields = hidden((await browser.get(FORM)).text)
    answer = await browser.post(FORM, data=WELL | fields | {"vendor": "Other"})
    assert answer.status_code == 422
    assert "is &#39;Other&#39;; expected &#39;Acme&#39;" in answer.text


async def test_an_operator_submits_for_anybody_and_a_viewer_for_nobody(server: LabServer) -> None:
    async with await signed_in(server, "olga", Role.OPERATOR) as client:
        page = (await client.get(FORM)).text
        assert "readonly" not in page
        assert (await client.post(FORM, data=WELL | hidden(page) | {"vendor": "Other"})).status_code == 303
    async with await signed_in(server, "viola", Role.VIEWER) as client:
        assert (await client.get(FORM)).status_code == 403
        listed = (await client.get("/programmes")).text
        assert "Basic SIP desk phone" in listed
        assert "Submit a product" not in listed
        saved = await client.get("/programmes/ip-phone-basic/questionnaire?version=1.0")
        assert saved.headers["content-disposition"] == 'attachment; filename="ip-phone-basic-1.0.yaml"'
        assert "programme_version" in saved.text


async def test_only_certification_programmes_that_are_offered_have_a_form(browser: httpx.AsyncClient) -> None:
    for path in ("/programmes/none/submit", "/programmes/ip-phone-probation/submit", f"{FORM}?version=9.9"):
        assert (await browser.get(path)).status_code == 404


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "1e400"])
async def test_a_number_that_nothing_can_hold_is_a_mistake_at_its_field(
    browser: httpx.AsyncClient, number: str
) -> None:
    fields = hidden((await browser.get(FORM)).text)
    answer = await browser.post(FORM, data=WELL | fields | {"ixit.ptime": number})
    assert answer.status_code == 422
    assert '<a href="#ixit.ptime">' in answer.text
