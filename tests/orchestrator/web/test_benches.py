"""The page of a bench: the record of its uncertainty as its host told it, and why none holds where none does."""

import json

from lab_server import LabServer

from lab_inventory.messages import Heartbeat
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
