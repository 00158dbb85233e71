"""The page of the public listing, as anybody sees it."""

import httpx
from lab_server import LabServer


async def anybody(server: LabServer, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.address) as client:
        return await client.get(path)


async def test_anybody_sees_what_is_certified_and_goes_to_the_certificate(server: LabServer) -> None:
    assert "No certificate was granted yet." in (await anybody(server, "/listing")).text
    batch = await server.measured_batch()
    certificate = batch["entries"][0]["certificate"]
    page = await anybody(server, "/listing")
    assert page.status_code == 200
    assert f'href="/certificates/{certificate}"' in page.text
    assert "1 certificate." in page.text
    assert "DEMONSTRATION, grants nothing." in page.text
    assert "none issued" in page.text
    told = (await anybody(server, "/v1/listing?words=acme")).json()
    assert [row["certificate"] for row in told["certificates"]] == [certificate]
    assert (told["total"], told["pages"]) == (1, 1)


async def test_what_is_sought_is_kept_in_the_form_and_not_trusted(server: LabServer) -> None:
    page = await anybody(server, '/listing?words="><script>alert(1)</script>&state=none&on=2020-01-01')
    assert "<script>alert" not in page.text
    assert "No certificate is like that." in page.text
    assert "what was shown at the end of 2020-01-01" in page.text


async def test_a_day_that_is_none_or_has_not_come_is_told(server: LabServer) -> None:
    wrong = await anybody(server, "/listing?on=2026-02-30")
    assert (wrong.status_code, "2026-02-30 is no day; write it as 2026-03-01." in wrong.text) == (422, True)
    early = await anybody(server, "/listing?on=2999-01-01")
    assert (early.status_code, "2999-01-01 has not come; expected a day up to" in early.text) == (422, True)
    refused = await anybody(server, "/v1/listing?on=2999-01-01")
    assert refused.status_code == 422
    assert "2999-01-01 has not come" in refused.text
