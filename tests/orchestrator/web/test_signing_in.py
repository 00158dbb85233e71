"""Signing in and out on the pages: cookies, forms of ours alone, and what GET must not do."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from lab_server import LabServer

from orchestrator.api.parts import COOKIES
from orchestrator.lifecycle.rights import Role

PASSWORD = "correct horse battery"


@pytest.fixture
async def browser(server: LabServer) -> AsyncIterator[httpx.AsyncClient]:
    """One that says where its forms come from, as browsers do, and keeps cookies."""
    async with httpx.AsyncClient(base_url=server.address, headers={"Origin": server.address}) as made:
        yield made


def code_of(server: LabServer, name: str = "operator") -> str:
    return server.parts.people.code(name, name).secret


async def signed_in(server: LabServer, browser: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await browser.post("/sign-in", data={"code": code_of(server), **fields})


def form_token(page: str) -> str:
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_then_back(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    sent = await browser.get("/?state=idle")
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=/%3Fstate%3Didle")
    page = (await browser.get(sent.headers["location"])).text
    assert 'name="next" value="/?state=idle"' in page
    back = await signed_in(server, browser, next="/?state=idle")
    assert (back.status_code, back.headers["location"]) == (303, "/?state=idle")
    assert "operator" in (await browser.get("/?state=idle")).text


async def test_a_link_with_a_code_signs_in_only_when_its_button_is_pressed(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    code = code_of(server)
    for _ in range(2):
        page = await browser.get(f"/sign-in?code={code}&next=/")
        assert code in page.text
        assert "set-cookie" not in page.headers
    assert (await browser.post("/sign-in", data={"code": code})).status_code == 303
    again = await browser.post("/sign-in", data={"code": code})
    assert again.status_code == 401
    assert "used before" in again.text


async def test_the_cookie_is_for_this_server_alone_and_no_script_reads_it(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    cookie = (await signed_in(server, browser)).headers["set-cookie"]
    assert cookie.startswith(COOKIES["http"])
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_over_tls_the_cookie_is_bound_to_the_host_and_never_goes_in_clear(server: LabServer) -> None:
    wire = httpx.ASGITransport(server.app, client=("192.0.2.7", 50000))
    headers = {"Origin": "https://lab.example"}
    async with httpx.AsyncClient(transport=wire, base_url="https://lab.example", headers=headers) as far:
        cookie = (await far.post("/sign-in", data={"code": code_of(server)})).headers["set-cookie"]
        assert cookie.startswith("__Host-assay=")
        assert "Secure" in cookie.split("; ")
        assert (await far.get("/me")).status_code == 200
    plain = {"Origin": "http://lab.example"}
    async with httpx.AsyncClient(transport=wire, base_url="http://lab.example", headers=plain) as far:
        refused = await far.post("/sign-in", data={"code": code_of(server)})
        assert refused.status_code == 403
        assert "needs https" in refused.text
        assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("origin", [None, "null", "https://elsewhere.example", "http://127.0.0.1:1"])
async def test_a_form_from_elsewhere_is_refused(
    server: LabServer, browser: httpx.AsyncClient, origin: str | None
) -> None:
    await signed_in(server, browser)
    token = form_token((await browser.get("/me")).text)
    if origin is None:
        del browser.headers["Origin"]
    else:
        browser.headers["Origin"] = origin
    code = code_of(server)
    for path, data in (("/sign-in", {"code": code}), ("/sign-out", {"form": token})):
        assert (await browser.post(path, data=data)).status_code == 403, path
    assert (await browser.get("/me")).status_code == 200


async def test_a_form_without_the_token_of_this_sign_in_is_refused(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    await signed_in(server, browser)
    other = form_token((await browser.get("/me")).text)
    await signed_in(server, browser)
    token = form_token((await browser.get("/me")).text)
    for wrong in ("", other, "0" * 64, "\N{SNOWMAN}"):
        for path in ("/sign-out", "/me/password", "/me/tokens/x/revoke"):
            assert (await browser.post(path, data={"form": wrong})).status_code == 403, (path, wrong)
    out = await browser.post("/sign-out", data={"form": token})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert (await browser.get("/me")).status_code == 303


async def test_a_cookie_reads_and_never_writes_through_the_api(server: LabServer, browser: httpx.AsyncClient) -> None:
    await signed_in(server, browser)
    assert (await browser.get("/v1/devices")).status_code == 200
    assert (await browser.post("/v1/people", json={"person": "eve", "roles": ["admin"]})).status_code == 401


async def test_a_password_is_chosen_with_a_code_changed_with_the_one_before_and_signs_in(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    short = await signed_in(server, browser, new_password="short")
    assert short.status_code == 422
    assert "12 to 256 characters" in short.text
    assert (await signed_in(server, browser, new_password=PASSWORD)).status_code == 303
    token = form_token((await browser.get("/me")).text)
    change = {"form": token, "password": "wrong", "new_password": PASSWORD + "!"}
    assert (await browser.post("/me/password", data=change)).status_code == 422
    assert (await browser.post("/me/password", data=change | {"password": PASSWORD})).status_code == 303
    browser.cookies.clear()
    by_name = {"person": "operator", "password": PASSWORD}
    refused = await browser.post("/sign-in", data=by_name)
    assert refused.status_code == 401
    assert "name or password is wrong" in refused.text
    assert PASSWORD not in refused.text
    signed = await browser.post("/sign-in", data=by_name | {"password": PASSWORD + "!"})
    assert signed.status_code == 303


async def test_after_many_wrong_passwords_none_is_looked_at_and_a_code_still_lets_in(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    await signed_in(server, browser, new_password=PASSWORD)
    browser.cookies.clear()
    guess = {"person": "operator", "password": "wrong"}
    answers = [(await browser.post("/sign-in", data=guess)).status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert (await browser.post("/sign-in", data=guess | {"password": PASSWORD})).status_code == 429
    assert (await signed_in(server, browser)).status_code == 303


@pytest.mark.parametrize(
    "where",
    ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "/\n/x"],
)
async def test_after_signing_in_nobody_is_sent_elsewhere(
    server: LabServer, browser: httpx.AsyncClient, where: str
) -> None:
    assert (await signed_in(server, browser, next=where)).headers["location"] == "/"


async def test_a_token_is_revoked_on_ones_own_page_and_others_are_not_shown(
    server: LabServer, browser: httpx.AsyncClient
) -> None:
    server.parts.people.add("carl", (Role.VIEWER,), None, "operator")
    await browser.post("/sign-in", data={"code": code_of(server, "carl")})
    page = (await browser.get("/me")).text
    assert "operator-token" not in page
    tokens = re.findall(r"/me/tokens/(tok-[0-9a-f]+)/revoke", page)
    assert len(tokens) == 1
    form = {"form": form_token(page)}
    assert (await browser.post(f"/me/tokens/{tokens[0]}/revoke", data=form)).status_code == 303
    assert (await browser.get("/me")).status_code == 303


async def test_a_certificate_is_for_everybody(server: LabServer, browser: httpx.AsyncClient) -> None:
    batch = await server.measured_batch()
    entry = batch["entries"][0]
    page = await browser.get(f"/certificates/{entry['certificate']}")
    assert page.status_code == 200
    assert f"/submissions/{entry['submission']}" not in page.text
    assert (await browser.get(f"/v1/certificates/{entry['certificate']}")).status_code == 200
