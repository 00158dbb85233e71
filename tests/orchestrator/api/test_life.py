"""A batch from submission to certificate, over HTTP as agents and operators speak."""

import json

from lab_server import LabServer
from lab_world import registration

from lab_inventory.messages import RenewReply, Standing
from orchestrator.signing import read_issuer
from orchestrator.verifying import Finding, verify


async def test_a_batch_that_measures_well_earns_a_certificate_that_verifies_offline(server: LabServer) -> None:
    batch = await server.measured_batch()
    (entry,) = batch["entries"]
    assert entry["earned"] == "certified"
    answer = await server.operator.get(f"/v1/certificates/{entry['certificate']}")
    verification = verify(answer.content, named=read_issuer(server.data / "issuer.json"), trusted=())
    assert verification.finding is Finding.VALID
    assert verification.certificate is not None
    assert verification.certificate.submission == entry["submission"]


async def test_the_record_of_a_run_names_the_ray_node_and_actor(server: LabServer) -> None:
    batch = await server.measured_batch()
    run = batch["entries"][0]["runs"][0]["run"]
    found = (await server.operator.get(f"/v1/runs/{run}")).json()
    assert (found["ray_node"], found["ray_actor"]) == ("ray-node-1", "ray-actor-1")
    assert found["lease_state"] == "released"
    assert found["reports"][0]["body"]["kind"] == "started"


async def test_a_failed_requirement_is_told_with_value_limit_and_source(server: LabServer) -> None:
    batch = await server.measured_batch(rtp_jitter_max_ms=900.0, hold_offer_valid=False)
    (entry,) = batch["entries"]
    assert entry["certificate"] is None
    found = (await server.operator.get(f"/v1/submissions/{entry['submission']}")).json()
    failed = [
        ground
        for level in found["judgement"]["levels"]
        for requirement in level["requirements"]
        for ground in requirement["grounds"]
        if ground["verdict"] == "fail"
    ]
    assert {ground["quantity"] for ground in failed} == {"hold_offer_valid"}
    assert all(ground["source"] and ground["words"] for ground in failed)


async def test_a_waiting_run_says_why_it_waits(server: LabServer) -> None:
    await server.join()
    reply = (await server.submit()).json()
    assert "no unit" in " ".join(reply["warnings"])
    path = f"/v1/batches/{reply['batch']}"
    found = await server.until(path, lambda found: "waits_because" in found["entries"][0]["runs"][0])
    assert "no unit" in found["entries"][0]["runs"][0]["waits_because"]


async def test_a_cancelled_batch_stops_its_run_with_the_next_renewal(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    batch = (await server.submit()).json()["batch"]
    assignment = await server.taken.get()
    answer = await server.operator.post(f"/v1/batches/{batch}/cancel", json={"reason": "wrong firmware"})
    assert answer.status_code == 204
    renewals = {"renewals": [{"run": assignment.run, "epochs": assignment.epochs}]}
    renewed = RenewReply.model_validate((await server.agent.post("/v1/agents/renewals", json=renewals)).json())
    assert renewed.leases[0].standing is Standing.CANCELLED
    assert "wrong firmware" in renewed.leases[0].reason


async def test_a_held_device_stays_held_whatever_its_agent_says(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (device,) = (await server.operator.get("/v1/devices")).json()
    assert device["state"] == "idle"
    await server.operator.post(f"/v1/devices/{device['device']}/hold", json={"reason": "broken key"})
    await server.heartbeat(registration())
    found = (await server.operator.get(f"/v1/devices/{device['device']}")).json()
    assert (found["state"], found["reason"]) == ("held", "broken key")
    await server.operator.post(f"/v1/devices/{device['device']}/release")
    found = (await server.operator.get(f"/v1/devices/{device['device']}")).json()
    assert found["state"] == "idle"


async def test_the_same_key_and_body_get_the_same_reply_and_another_body_a_conflict(server: LabServer) -> None:
    first = await server.submit()
    assert (await server.submit()).json() == first.json()
    other = await server.submit("another title")
    assert (other.status_code, other.json()["type"]) == (409, "urn:assay:conflict")
    assert len((await server.operator.get("/v1/batches")).json()) == 1


async def test_events_name_what_changed_and_never_its_content(server: LabServer) -> None:
    await server.join()
    async with server.operator.stream("GET", "/v1/events") as events:
        lines = events.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        batch = (await server.submit("a secret title")).json()["batch"]
        heard = [line async for line in _until(lines, batch)]
    assert "event: batches" in heard
    assert "secret" not in json.dumps(heard)


async def _until(lines, part):  # type: ignore[no-untyped-def]
    async for line in lines:
        yield line
        if part in line:
            return
