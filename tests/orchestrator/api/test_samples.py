"""Samples over the API, on the pages and by the command: the same chain, and a vendor sees only its own."""

import json

from lab_server import LabServer
from lab_world import registration

from orchestrator.lifecycle.rights import SCOPES, Principal, Role

TOLD = {"vendor": "Acme", "maker": "Acme", "model": "One", "hardware_revision": "A"}
HANDS = {"handed_by": "carrier", "handed_to": "berta"}
RECEIPT = {"serial": "S-1", "origin": "retail", "condition": "well", "seal": "none", "place": "gate", **HANDS}


async def announced(server: LabServer, **change: str) -> str:
    answer = await server.operator.post("/v1/samples", json=TOLD | change)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["sample"])


async def tell(server: LabServer, sample: str, what: str, body: dict[str, str]) -> int:
    return (await server.operator.post(f"/v1/samples/{sample}/{what}", json=body)).status_code


def vendor_token(server: LabServer, vendor: str) -> str:
    server.parts.people.add("ven", (Role.VENDOR,), vendor, "operator")
    principal = Principal(subject="ven", roles=frozenset({Role.VENDOR}), scopes=SCOPES[Role.VENDOR])
    return server.parts.people.make_token(principal, "a test", frozenset(), 1).secret


async def test_a_sample_is_told_of_from_its_announcement_to_its_return(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (device,) = (await server.operator.get("/v1/devices")).json()
    submission = (await server.submit()).json()["submissions"][0]
    sample = await announced(server)
    assert await tell(server, sample, "receive", RECEIPT) == 204
    assert await tell(server, sample, "move", {"to": "bench", "place": "bench-1", **HANDS}) == 204
    assert await tell(server, sample, "submission", {"submission": submission}) == 204
    assert await tell(server, sample, "unit", {"device": device["device"]}) == 204
    assert await tell(server, sample, "return", {"place": "gate", **HANDS}) == 204
    found = (await server.operator.get(f"/v1/samples/{sample}")).json()
    assert (found["state"], found["unit"], found["submissions"]) == ("returned", device["device"], [submission])
    assert [entry["fact"] for entry in found["custody"]] == [
        "SampleAnnounced",
        "SampleReceived",
        "SampleBroughtToBench",
        "SampleLinked",
        "SampleUnitNamed",
        "SampleReturned",
    ]
    assert await tell(server, sample, "lose", {"note": "?"}) == 409


async def test_what_is_missing_in_a_receipt_is_told_at_once(server: LabServer) -> None:
    sample = await announced(server)
    missing = ("origin", "condition", "serial", "seal", "place")
    answer = await server.operator.post(f"/v1/samples/{sample}/receive", json={"origin": "stolen", "condition": ""})
    assert answer.status_code == 422
    assert {one["path"] for one in answer.json()["problems"]} >= {f"body.{name}" for name in missing}


async def test_a_vendor_announces_and_sees_its_own_samples_alone(server: LabServer) -> None:
    theirs = await announced(server)
    async with server.client(vendor_token(server, "Blue")) as client:
        mine = (await client.post("/v1/samples", json=TOLD | {"vendor": "Blue"})).json()["sample"]
        assert [row["sample"] for row in (await client.get("/v1/samples")).json()] == [mine]
        assert (await client.get(f"/v1/samples/{mine}")).status_code == 200
        for path in (f"/v1/samples/{theirs}", f"/samples/{theirs}"):
            assert (await client.get(path)).status_code == 404
        refused = await client.post("/v1/samples", json=TOLD)
        assert (refused.status_code, refused.json()["problems"][0]["path"]) == (422, "vendor")
        assert (await client.post(f"/v1/samples/{mine}/receive", json=RECEIPT)).status_code == 403
        page = (await client.get("/samples")).text
        assert mine in page
        assert theirs not in page


async def test_the_pages_show_samples_by_the_filters_in_the_address_and_one_with_its_chain(server: LabServer) -> None:
    here, expected = await announced(server), await announced(server, maker="<script>")
    await tell(server, here, "receive", RECEIPT)
    async with server.client(server.token) as reader:
        whole = (await reader.get("/samples")).text
        received = (await reader.get("/samples?state=received&origin=retail&words=s-1")).text
        nothing = (await reader.get("/samples?state=lost")).text
        one = (await reader.get(f"/samples/{here}")).text
        await tell(server, here, "submission", {"submission": (await server.submit()).json()["submissions"][0]})
        linked = json.loads((await reader.get(f"/v1/samples/{here}")).text)["submissions"][0]
        submission = (await reader.get(f"/submissions/{linked}")).text
    assert here in whole
    assert expected in whole
    assert "<script>" not in whole
    assert here in received
    assert expected not in received
    assert '<option value="received" selected>' in received
    assert "No sample is like that." in nothing
    assert "Chain of custody" in one
    assert "carrier" in one
    assert "bought by the lab" in one
    assert f"/samples/{here}" in submission


async def test_times_and_words_that_there_cannot_be_are_refused_in_words(server: LabServer) -> None:
    sample = await announced(server)
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2020-01-01T00:00:00"):
        assert await tell(server, sample, "lose", {"note": "?", "happened_at": at}) == 422
    for path in ("/v1/samples", "/samples"):
        assert (await server.operator.get(path, params={"words": "a\x00"})).status_code == 422
