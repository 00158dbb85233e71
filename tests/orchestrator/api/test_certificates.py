"""What becomes of certificates over HTTP: who may order it, and what everybody sees."""

import json

import pytest
from lab_server import LabServer

from lab_inventory.canonical import sha256
from orchestrator.key_chain import Issuer
from orchestrator.lifecycle.rights import Role
from orchestrator.people import People
from orchestrator.verifying import Finding, verify, with_status

WHY = "The firmware that is sold is another."
SUSPEND = {"event": "suspended", "reason": WHY}


@pytest.fixture
async def name(server: LabServer) -> str:
    """A certificate that was granted."""
    (entry,) = (await server.measured_batch())["entries"]
    return str(entry["certificate"])


@pytest.fixture
def decider(server: LabServer) -> str:
    """The token of a decider."""
    people = People(server.app.state.parts.store, server.app.state.parts.people._clock)
    people.add("dora", (Role.DECIDER,), None, "admin")
    return people.api_token("dora", "tests", frozenset(), 1).secret


async def test_a_decider_suspends_and_everybody_sees_it_without_an_account(
    server: LabServer, name: str, decider: str
) -> None:
    async with server.client(decider) as dora:
        answer = await dora.post(f"/v1/certificates/{name}/orders", json=SUSPEND)
        assert (answer.status_code, answer.json()["state"]) == (201, "suspended")
        again = await dora.post(f"/v1/certificates/{name}/orders", json=SUSPEND)
        assert again.status_code == 409
        assert "is suspended: it cannot be suspended" in again.json()["detail"]
    async with server.client("") as anybody:
        issuer = Issuer.model_validate_json((await anybody.get("/v1/issuer")).content)
        document = (await anybody.get(f"/v1/certificates/{name}")).content
        listed = (await anybody.get("/v1/status-list")).content
        (link,) = (await anybody.get(f"/v1/certificates/{name}/links")).json()
        page = (await anybody.get(f"/certificates/{name}")).text
    now = server.app.state.parts.people._clock.now()
    found = with_status(verify(document, named=issuer), sha256(document), listed, now)
    assert found.finding is Finding.NOT_IN_FORCE
    assert (link["link"]["by"], link["link"]["reason"]) == ("dora", WHY)
    assert "It is suspended: it does not hold." in page
    assert WHY in page


async def test_nobody_else_may_order_anything(server: LabServer, name: str) -> None:
    answer = await server.operator.post(f"/v1/certificates/{name}/orders", json=SUSPEND)
    assert answer.status_code == 403
    assert "certificates:write" in answer.json()["detail"]
    assert (await server.operator.get(f"/v1/certificates/{name}/links")).json() == []


async def test_a_bad_order_is_told_with_everything_wrong_in_it(server: LabServer, name: str, decider: str) -> None:
    async with server.client(decider) as dora:
        body = {"event": "reduced", "reason": "n/a", "limits": "", "ends_on": "2040-01-01"}
        answer = await dora.post(f"/v1/certificates/{name}/orders", json=body)
        assert answer.status_code == 422
        assert {one["path"] for one in answer.json()["problems"]} == {"reason", "limits", "ends_on"}
        assert (await dora.post("/v1/certificates/crt-x/orders", json=SUSPEND)).status_code == 404


async def test_a_vendor_gets_the_bundle_of_its_own_certificate_alone(server: LabServer, name: str) -> None:
    people = People(server.app.state.parts.store, server.app.state.parts.people._clock)
    document = json.loads((await server.operator.get(f"/v1/certificates/{name}")).content)
    for who, vendor, status in (("own", document["certificate"]["vendor"], 200), ("other", "Somebody Else", 404)):
        people.add(who, (Role.VENDOR,), vendor, "admin")
        async with server.client(people.api_token(who, "tests", frozenset(), 1).secret) as asking:
            answer = await asking.get(f"/v1/certificates/{name}/bundle")
            assert answer.status_code == status
    assert (await server.operator.get(f"/v1/certificates/{name}/bundle")).content.startswith(b"PK")
