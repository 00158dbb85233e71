"""The pages of waivers: those there are, one of them with its forms, and what other pages say of them."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date, timedelta

import httpx
import pytest
from lab_server import LabServer
from review_world import GRANTING, granting, judged, let_in

from lab_inventory.clock import SystemClock
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.waiver import WaivedProduct
from orchestrator.waiving import WaiverWanted

Browsers = dict[str, httpx.AsyncClient]
UNTIL: date = SystemClock().now().date() + timedelta(days=90)


@pytest.fixture
async def browsers(server: LabServer) -> AsyncIterator[Browsers]:
    """A browser that is signed in for each of those with one role."""
    server.parts.desk.keep_programmes([*shipped_programmes(), granting()])
    async with AsyncExitStack() as stack:
        made = {}
        for name in let_in(server):
            browser = httpx.AsyncClient(base_url=server.address, headers={"Origin": server.address})
            made[name] = await stack.enter_async_context(browser)
            code = server.parts.people.code(name, name).secret
            assert (await browser.post("/sign-in", data={"code": code})).status_code == 303
        yield made


def propose(server: LabServer, by: str = "opal") -> str:
    wanted = WaiverWanted(
        programme=GRANTING,
        programme_version=granting().version,
        requirement="BP-SIP-01",
        levels=("certified",),
        product=WaivedProduct(maker="Acme", model="One", hardware_revision="A"),
        reason="The fix is due in spring <soon>.",
        ends_on=UNTIL,
    )
    return server.parts.waiving.propose(wanted, by)


async def act(browser: httpx.AsyncClient, waiver: str, what: str, words: str = "because") -> httpx.Response:
    page = (await browser.get(f"/waivers/{waiver}")).text
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert found
    return await browser.post(f"/waivers/{waiver}/{what}", data={"form": found[1], "words": words})


def forms(page: str) -> set[str]:
    return set(re.findall(r'action="/waivers/[^/"]+/([a-z]+)"', page))


async def test_a_decider_answers_a_waiver_and_what_is_judged_with_it_says_so(
    server: LabServer, browsers: Browsers
) -> None:
    waiver = propose(server)
    page = f"/waivers/{waiver}"
    assert waiver in (await browsers["rita"].get("/waivers?state=proposed")).text
    assert waiver not in (await browsers["rita"].get("/waivers")).text
    for name in ("opal", "rita"):
        assert forms((await browsers[name].get(page)).text) == set(), name
    assert (await browsers["acme"].get(page)).status_code == 403
    assert "/waivers" not in (await browsers["acme"].get("/")).text
    assert forms((await browsers["dora"].get(page)).text) == {"approve", "refuse"}
    sent = await act(browsers["dora"], waiver, "approve", "A small risk.\r\nA date.")
    assert (sent.status_code, sent.headers["location"]) == (303, page)
    shown = (await browsers["dora"].get(page)).text
    assert "A small risk.\nA date." in shown
    assert "The fix is due in spring &lt;soon&gt;." in shown
    assert forms(shown) == {"revoke"}
    assert waiver in (await browsers["rita"].get("/waivers")).text

    async with server.client(server.token) as client:
        submission = await judged(server, client, ringing_ms=900.0)
    for path, name in ((f"/submissions/{submission}", "opal"), (f"/reviews/{submission}", "rita")):
        told = (await browsers[name].get(path)).text
        assert "met by waivers" in told, path
        assert f'href="/waivers/{waiver}"' in told, path
    told = (await browsers["acme"].get(f"/submissions/{submission}")).text
    assert f"Waived by {waiver} until {UNTIL}" in told
    assert f'href="/waivers/{waiver}"' not in told
    assert submission in (await browsers["dora"].get(page)).text
    assert (await act(browsers["dora"], waiver, "revoke")).status_code == 303
    assert "revoked" in (await browsers["rita"].get(f"/reviews/{submission}")).text


async def test_a_form_that_is_refused_says_why_and_keeps_the_words(server: LabServer, browsers: Browsers) -> None:
    waiver = propose(server, by="dora")
    page = (await browsers["dora"].get(f"/waivers/{waiver}")).text
    assert forms(page) == {"refuse"}
    assert "approver-is-author" in page
    sent = await act(browsers["dora"], waiver, "approve", "my own")
    assert sent.status_code == 409
    assert "approver-is-author" in sent.text
    empty = await act(browsers["dora"], waiver, "refuse", " ")
    assert empty.status_code == 422
    assert "say why in 1 to 500 characters" in empty.text
    long = await act(browsers["dora"], waiver, "revoke", "kept words")
    assert long.status_code == 409


@pytest.mark.parametrize("what", ["approve", "refuse", "revoke"])
async def test_a_form_of_another_site_answers_nothing(server: LabServer, browsers: Browsers, what: str) -> None:
    waiver = propose(server)
    sent = await browsers["dora"].post(f"/waivers/{waiver}/{what}", data={"words": "because"})
    assert sent.status_code == 403
