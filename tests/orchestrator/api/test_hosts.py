"""Hosts over the API: who is there, draining and undraining."""

from lab_server import LabServer
from lab_world import registration


async def test_a_host_tells_its_agent_its_units_and_when_it_was_heard_of(server: LabServer) -> None:
    await server.join()
    (row,) = (await server.operator.get("/v1/hosts")).json()
    assert (row["host"], row["intent"], row["agent_version"], row["heard_s_ago"]) == (
        "host-1",
        "in-service",
        None,
        None,
    )
    await server.heartbeat(registration())
    (row,) = (await server.operator.get("/v1/hosts")).json()
    assert (row["agent_version"], row["boot"], row["devices_present"], row["devices"]) == ("1", "boot-1", 1, 1)
    assert row["heard_s_ago"] < 10
    assert row["runs"] == 0


async def test_a_host_is_drained_with_reason_and_name_and_undrained(server: LabServer) -> None:
    await server.join()
    answer = await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "new agent"})
    assert answer.status_code == 204
    (row,) = (await server.operator.get("/v1/hosts")).json()
    assert (row["intent"], row["reason"], row["by"]) == ("drained", "new agent", "operator")
    assert (await server.operator.post("/v1/hosts/host-1/drain", json={})).status_code == 409
    assert (await server.operator.post("/v1/hosts/host-1/undrain")).status_code == 204
    assert (await server.operator.get("/v1/hosts")).json()[0]["intent"] == "in-service"


async def test_only_an_operator_drains_and_only_a_host_of_the_lab_file_is_drained(server: LabServer) -> None:
    await server.join()
    assert (await server.agent.post("/v1/hosts/host-1/drain", json={})).status_code == 403
    assert (await server.operator.post("/v1/hosts/nowhere/drain", json={})).status_code == 404
    assert (await server.operator.post("/v1/hosts/nowhere/undrain")).status_code == 404
