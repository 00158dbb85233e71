"""The golden list of what the API offers: a change here is a change for everybody who calls it."""

from pathlib import Path

from lab_server import LabServer

GOLDEN = Path(__file__).parents[2] / "golden" / "openapi-paths.txt"


async def test_the_paths_and_methods_are_the_golden_ones(server: LabServer) -> None:
    document = (await server.operator.get("/openapi.json")).json()
    offered = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    assert sorted(offered) == GOLDEN.read_text().splitlines()


async def test_every_operation_says_what_it_does_how_errors_look_and_who_may_call_it(server: LabServer) -> None:
    document = (await server.operator.get("/openapi.json")).json()
    open_to_all = {"/v1/sign-in", "/healthz", "/readyz", "/v1/certificates/{certificate}", "/v1/issuer"}
    open_to_all |= {"/v1/listing", "/v1/status-list", "/v1/keys", "/v1/certificates/{certificate}/links"}
    open_to_all |= {"/v1/agents/join", "/v1/agents/challenge", "/v1/agents/credential"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], f"{method} {path}"
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert ("security" in operation) is (path not in open_to_all), f"{method} {path}"


async def test_submitting_has_an_example_that_is_accepted(server: LabServer) -> None:
    document = (await server.operator.get("/openapi.json")).json()
    schema = document["paths"]["/v1/batches"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    answer = await server.operator.post("/v1/batches", json=schema["examples"][0], headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201
