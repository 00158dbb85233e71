"""The page of a bench: the record of its uncertainty as its host told it, and why none holds where none does."""

import asyncio
import json
import re

import httpx
from lab_server import TIMEOUT_S, LabServer
from lab_world import registration

from lab_inventory.messages import Heartbeat
from orchestrator.lifecycle.control import DriftFound
from tests.made_up_record import made_up_bench, made_up_record
from tests.orchestrator.web.test_pages import page


async def test_a_bench_without_a_record_says_how_one_is_made(server: LabServer) -> None:
    await server.join()
    found = await page(server, "/benches/bench-1")
    assert "No record holds: the bench has no record of its characterisation" in found.text
    assert "assay-agent bench characterise" in (await page(server, "/")).text


async def test_a_bench_shows_each_quantity_of_its_record_with_uncertainty_and_dates(server: LabServer) -> None:
    await server.join()
    record = made_up_record(at=server.parts.desk.clock.now())
    told = Heartbeat(agent_version="1", boot="boot-1", inbox="/run/inbox", characterised=(made_up_bench(record),))
    answer = await server.agent.post("/v1/agents/heartbeat", json=json.loads(told.model_dump_json()))
    assert answer.status_code == 200, answer.text
    found = await page(server, "/benches/bench-1")
    assert "No record holds" not in found.text
    assert "response time 1.034 ms 30 0 0.5085" in found.text
    assert "30 runs in 18.0 s" in found.text
    assert f"Made {record.at:%Y-%m-%d}" in found.text
    assert "/benches/bench-1" in (await page(server, "/")).links()


async def test_who_may_order_in_the_lab_explains_a_drift_on_the_page_and_it_says_who_when_and_why(
    server: LabServer,
) -> None:
    batch = await server.measured_batch()
    run = batch["entries"][0]["runs"][0]["run"]
    words = "ringing_ms on bench-1 was 130 ms"
    found = DriftFound(
        drift="dft-1",
        bench="bench-1",
        chart="CC-SIP-01 ringing_ms",
        run=run,
        words=words,
        at=server.parts.desk.clock.now(),
    )
    server.parts.store.commit([found])
    assert words in (await page(server, "/")).text  # among what is degraded
    async with httpx.AsyncClient(base_url=server.address, headers={"Origin": server.address}) as browser:
        code = server.parts.people.code("operator", "operator").secret
        assert (await browser.post("/sign-in", data={"code": code})).status_code == 303
        token = re.search(r'name="form" value="([0-9a-f]{64})"', (await browser.get("/benches/bench-1")).text)
        assert token
        path = "/benches/bench-1/drifts/dft-1/explain"
        assert (await browser.post(path, data={"form": token[1], "words": "  "})).status_code == 422
        said = {"form": token[1], "words": "A <b>loose</b> plug.", "anew": "true"}
        assert (await browser.post(path, data=said)).status_code == 303
        assert (await browser.post(path, data=said)).status_code == 409
    shown = await page(server, "/benches/bench-1")
    assert re.search(
        r"dft-1 explained .* A <b>loose</b> plug\. operator, 20[0-9-]+ .*; the chart began anew", shown.text
    )


async def test_a_unit_is_marked_as_a_control_device_by_the_api_and_is_measured_as_one(server: LabServer) -> None:
    await server.join()
    await server.heartbeat(registration())
    (device,) = (await server.operator.get("/v1/devices")).json()
    path = f"/v1/devices/{device['device']}"
    assert (await server.operator.post(f"{path}/control", json={"reason": "steady since March"})).status_code == 204
    assert (await server.operator.post(f"{path}/control", json={"reason": "again"})).status_code == 409
    async with asyncio.timeout(TIMEOUT_S):
        assignment = await server.taken.get()
    assert assignment.programme == "ip-phone-control 1.0"
    assert "(steady since March)" in (await page(server, "/benches/bench-1")).text
    assert (await server.operator.post(f"{path}/end-control")).status_code == 204
    assert "No unit here is a control device." in (await page(server, "/benches/bench-1")).text
    assert (await server.operator.get("/v1/drifts")).json() == []
