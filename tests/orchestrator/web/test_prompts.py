"""The pages of prompts: what waits, how it is measured, and forms that need no script."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from lab_server import LabServer
from prompt_world import PICTURE, only_prompt, submit, throughout
from review_world import ONE_ROLE, let_in, token_of

from orchestrator.lifecycle.rights import Role

Browsers = dict[str, httpx.AsyncClient]
TYPED = {
    "serial": "SN 12",
    "value.0": "71.5",
    "uncertainty.0": "1",
    "instrument.0": "meter-1",
    "method.0": "certificate 17",
    "due_on.0": "2999-01-31",
    "value.1": "yes",
}


@pytest.fixture
async def browsers(server: LabServer) -> AsyncIterator[Browsers]:
    """A browser that is signed in for each of those with one role, and for a second operator."""
    let_in(server)
    token_of(server, "otto", Role.OPERATOR)
    async with AsyncExitStack() as stack:
        made = {}
        for name in (*ONE_ROLE, "otto"):
            browser = httpx.AsyncClient(base_url=server.address, headers={"Origin": server.address})
            made[name] = await stack.enter_async_context(browser)
            code = server.parts.people.code(name, name).secret
            assert (await browser.post("/sign-in", data={"code": code})).status_code == 303
        yield made


async def act(browser: httpx.AsyncClient, prompt: str, what: str, **more: object) -> httpx.Response:
    page = (await browser.get(f"/prompts/{prompt}")).text
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    files = more.pop("files", None)
    data = fields | {key.replace("__", "."): value for key, value in more.items()}
    return await browser.post(f"/prompts/{prompt}/{what}", data=data, files=files)  # type: ignore[arg-type]


def forms(page: str) -> set[str]:
    return set(re.findall(r'action="/prompts/[^/"]+/([a-z]+)"', page))


async def test_one_answers_with_a_photo_and_another_confirms_on_the_pages(
    server: LabServer, browsers: Browsers
) -> None:
    submission = await submit(server, throughout(second_person=True, picture=PICTURE))
    prompt = await only_prompt(server)
    page = f"/prompts/{prompt}"
    assert prompt in (await browsers["opal"].get("/prompts")).text
    shown = (await browsers["opal"].get(page)).text
    assert forms(shown) == {"answer", "abort"}
    assert "stand one metre away" in shown
    assert f'<img src="{page}/picture"' in shown
    assert (await browsers["opal"].get(f"{page}/picture")).headers["content-type"] == "image/svg+xml"

    typed = {name.replace(".", "__"): value for name, value in TYPED.items()}
    photo = [("files", ("photo.png", b"a photo", "image/png"))]
    sent = await act(browsers["opal"], prompt, "answer", files=photo, words="Well\r\nheard.", **typed)
    assert (sent.status_code, sent.headers["location"]) == (303, page)
    assert forms((await browsers["opal"].get(page)).text) == {"abort"}
    shown = (await browsers["otto"].get(page)).text
    assert forms(shown) == {"confirm", "differ", "abort"}
    assert "71.5 dB(A)" in shown
    assert "photo.png" in shown
    assert "unit SN 12" in shown
    assert (await act(browsers["opal"], prompt, "confirm")).status_code == 409
    assert (await act(browsers["otto"], prompt, "confirm")).status_code == 303
    shown = (await browsers["otto"].get(page)).text
    assert (forms(shown), "confirmed" in shown) == (set(), True)
    assert prompt in (await browsers["otto"].get("/prompts?state=confirmed")).text
    assert await server.until(f"/v1/submissions/{submission}", lambda found: found["state"] == "judged")
    shown = (await browsers["acme"].get(f"/submissions/{submission}")).text
    assert f'<a href="{page}">M-1</a>' in shown
    assert "by opal with meter-1, confirmed by otto, unit SN 12" in shown


async def test_what_is_wrong_is_told_and_what_was_typed_in_is_kept(server: LabServer, browsers: Browsers) -> None:
    await submit(server, throughout())
    prompt = await only_prompt(server)
    answer = await act(browsers["opal"], prompt, "answer", value__0="loud", value__1="yes", instrument__0="meter<1>")
    assert answer.status_code == 422
    assert "<code>ringer</code>" in answer.text
    assert "expected a number" in answer.text
    assert 'value="loud"' in answer.text
    assert "meter&lt;1&gt;" in answer.text
    nowhere = await act(
        browsers["opal"], prompt, "answer", **{k.replace(".", "__"): v for k, v in TYPED.items() if k != "serial"}
    )
    assert "say which unit you measured" in nowhere.text
    empty = await act(browsers["opal"], prompt, "abort", words=" ")
    assert (empty.status_code, "say something" in empty.text) == (422, True)
    large = [("files", ("large.bin", bytes(4_100_000), "application/octet-stream"))]
    assert (await act(browsers["opal"], prompt, "answer", files=large, value__0="1")).status_code == 413


async def test_each_sees_the_forms_of_their_role_and_a_vendor_that_it_is_asked(
    server: LabServer, browsers: Browsers
) -> None:
    await submit(server, throughout(picture=PICTURE))
    prompt = await only_prompt(server)
    for name in ("rita", "dora"):
        shown = (await browsers[name].get(f"/prompts/{prompt}")).text
        assert (forms(shown), "stand one metre away" in shown) == (set(), True), name
    shown = (await browsers["acme"].get(f"/prompts/{prompt}")).text
    assert (forms(shown), "stand one metre away" in shown, "due <strong>" in shown) == (set(), False, True)
    assert (await act(browsers["acme"], prompt, "abort", words="no")).status_code == 403
    foreign = await browsers["opal"].post(f"/prompts/{prompt}/abort", data={"words": "no", "form": "x"})
    assert foreign.status_code == 403
    assert (await act(browsers["opal"], prompt, "abort", words="no")).status_code == 303
    assert "aborted" in (await browsers["acme"].get(f"/prompts/{prompt}")).text
