"""The pages of reviews: what waits for whom, what prevents a decision, and forms that need no script."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from lab_server import LabServer
from review_world import GRANTING, granting, judged, let_in

Browsers = dict[str, httpx.AsyncClient]


@pytest.fixture
async def browsers(server: LabServer) -> AsyncIterator[Browsers]:
    """A browser that is signed in for each of those with one role."""
    async with AsyncExitStack() as stack:
        made = {}
        for name in let_in(server):
            browser = httpx.AsyncClient(base_url=server.address, headers={"Origin": server.address})
            made[name] = await stack.enter_async_context(browser)
            code = server.parts.people.code(name, name).secret
            assert (await browser.post("/sign-in", data={"code": code})).status_code == 303
        yield made


async def queued_by_operator(server: LabServer, key: str = "key-1") -> str:
    async with server.client(server.token) as client:
        return await judged(server, client, key)


async def act(browser: httpx.AsyncClient, submission: str, what: str, **fields: str) -> httpx.Response:
    page = (await browser.get(f"/reviews/{submission}")).text
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert found
    return await browser.post(f"/reviews/{submission}/{what}", data={"form": found[1], "words": "because"} | fields)


def forms(page: str) -> set[str]:
    return set(re.findall(r'action="/reviews/[^/"]+/([a-z]+)"', page))


async def test_each_sees_the_forms_of_their_role_and_a_review_goes_through_to_its_certificate(
    server: LabServer, browsers: Browsers
) -> None:
    submission = await queued_by_operator(server)
    page = f"/reviews/{submission}"
    assert submission in (await browsers["rita"].get("/reviews")).text
    assert submission not in (await browsers["dora"].get("/reviews")).text
    assert forms((await browsers["rita"].get(page)).text) == {"ask", "recommend", "return"}
    for name in ("opal", "dora", "acme"):
        assert forms((await browsers[name].get(page)).text) == set(), name
    assert "no-recommendation" in (await browsers["dora"].get(page)).text

    sent = await act(browsers["rita"], submission, "ask", words="Which handset?\r\nAnd base?")
    assert (sent.status_code, sent.headers["location"]) == (303, page)
    assert "Which handset?\nAnd base?" in (await browsers["acme"].get(page)).text
    assert submission in (await browsers["acme"].get("/reviews")).text
    assert forms((await browsers["acme"].get(page)).text) == {"answer"}
    assert forms((await browsers["rita"].get(page)).text) == {"return"}
    assert (await act(browsers["acme"], submission, "answer", words="H2")).status_code == 303
    assert (await act(browsers["rita"], submission, "recommend", level="certified")).status_code == 303

    assert submission in (await browsers["dora"].get("/reviews")).text
    assert "Nothing prevents that certified be granted." in (await browsers["dora"].get(page)).text
    assert forms((await browsers["dora"].get(page)).text) == {"decide"}
    assert (
        await act(browsers["dora"], submission, "decide", level="certified", words="All is met.")
    ).status_code == 303
    ended = (await browsers["acme"].get(page)).text
    assert forms(ended) == set()
    assert "All is met." in ended
    assert re.search(r'href="/certificates/crt-[0-9a-f]+"', ended)


async def test_what_is_prevented_is_shown_with_its_rules_and_the_words_are_kept(
    server: LabServer, browsers: Browsers
) -> None:
    submission = await queued_by_operator(server)
    await act(browsers["rita"], submission, "recommend", level="certified")
    server.parts.offering.withdraw(GRANTING, "1.0", "Version 2.0 takes its place.", "dora")
    refused = await act(browsers["dora"], submission, "decide", level="certified", words="I wrote <much>.")
    assert refused.status_code == 409
    assert "programme-withdrawn" in refused.text
    assert "I wrote &lt;much&gt;." in refused.text
    for fields, words in (({"words": " "}, "1 to 2000 characters"), ({"level": ""}, "choose what is to be granted")):
        wrong = await act(browsers["dora"], submission, "decide", **fields)
        assert wrong.status_code == 422
        assert words in wrong.text


async def test_a_reviewer_reads_what_failed_and_a_refused_form_keeps_its_own_words_alone(
    server: LabServer, browsers: Browsers
) -> None:
    async with server.client(server.token) as client:
        submission = await judged(server, client, ringing_ms=900.0)
    assert "ringing_ms was 900 ms" in (await browsers["rita"].get(f"/reviews/{submission}")).text
    refused = await act(browsers["rita"], submission, "recommend", level="certified", words="I meant well.")
    assert refused.status_code == 409
    assert "level-not-earned" in refused.text
    assert refused.text.count("I meant well.") == 1


async def test_a_form_from_elsewhere_or_of_another_sign_in_changes_nothing(
    server: LabServer, browsers: Browsers
) -> None:
    submission = await queued_by_operator(server)
    body = {"words": "because", "level": "-"}
    for what in ("ask", "recommend", "return"):
        answer = await browsers["rita"].post(f"/reviews/{submission}/{what}", data=body | {"form": "0" * 64})
        assert answer.status_code == 403
    assert (await browsers["dora"].post(f"/reviews/{submission}/decide", data=body)).status_code == 403
    browsers["rita"].headers["Origin"] = "https://elsewhere.example"
    assert (await act(browsers["rita"], submission, "return")).status_code == 403
    shown = (await server.operator.get(f"/v1/reviews/{submission}")).json()
    assert (shown["state"], shown["entries"]) == ("open", [])


async def test_what_people_say_never_becomes_markup(server: LabServer, browsers: Browsers) -> None:
    submission = await queued_by_operator(server)
    await act(browsers["rita"], submission, "ask", words="<script>alert(1)</script>")
    for name in browsers:
        page = (await browsers[name].get(f"/reviews/{submission}")).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_reviews_are_chosen_by_what_they_wait_for_and_others_of_no_vendor_are_not_there(
    server: LabServer, browsers: Browsers
) -> None:
    first, second = await queued_by_operator(server), await queued_by_operator(server, "key-2")
    await act(browsers["rita"], second, "return")
    waiting = (await browsers["opal"].get("/reviews")).text
    ended = (await browsers["opal"].get("/reviews?waits_for=nothing")).text
    assert (first in waiting, second in waiting) == (True, False)
    assert (first in ended, second in ended) == (False, True)
    assert (await browsers["opal"].get("/reviews?waits_for=tea")).status_code == 422
    assert (await browsers["opal"].get("/reviews/sub-none")).status_code == 404


async def test_the_form_grants_provisionally_where_the_programme_allows_it(
    server: LabServer, browsers: Browsers
) -> None:
    async with server.client(server.token) as client:
        submission = await judged(server, client, programme=granting(provisional=True))
    assert (await act(browsers["rita"], submission, "recommend", level="certified")).status_code == 303
    assert 'name="provisional_until"' in (await browsers["dora"].get(f"/reviews/{submission}")).text
    half = await act(browsers["dora"], submission, "decide", level="certified", provisional_until="2040-08-15")
    assert half.status_code == 422
    assert "say what is open" in half.text
    given = {"provisional_until": "2040-08-15", "open_conditions": "The manual is to be translated."}
    sent = await act(browsers["dora"], submission, "decide", level="certified", **given)
    assert sent.status_code == 303
    (row,) = (await server.operator.get("/v1/certificates")).json()
    assert (row["state"], row["ends_on"]) == ("provisional", "2040-08-15")


async def test_the_form_offers_nothing_provisional_where_the_programme_does_not_allow_it(
    server: LabServer, browsers: Browsers
) -> None:
    submission = await queued_by_operator(server)
    await act(browsers["rita"], submission, "recommend", level="certified")
    assert "provisional_until" not in (await browsers["dora"].get(f"/reviews/{submission}")).text
