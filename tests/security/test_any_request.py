"""Whatever is sent to the API: no server error, and no answer that the OpenAPI document does not tell of.

Schemathesis makes requests from the document, right ones and wrong ones, and holds every answer against it. The event
stream is left out, because it does not end; it has tests of its own.
"""

import asyncio
import sys
from pathlib import Path

import pytest
from lab_server import serving

PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES_MAX = 10
OPERATIONS = {
    "operator": ("--exclude-path-regex", "^/v1/(agents|events)"),
    "agent": ("--include-path-regex", "^/v1/(agents|artifacts)"),
}


@pytest.mark.parametrize("who", OPERATIONS)
async def test_no_request_makes_the_server_fail_or_answer_what_is_not_documented(tmp_path: Path, who: str) -> None:
    async with serving(tmp_path / "data") as server:
        await server.measured_batch()
        asking = server.operator if who == "operator" else server.agent
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            "run",
            f"{server.address}/openapi.json",
            *("-H", f"Authorization: {asking.headers['Authorization']}"),
            *OPERATIONS[who],
            *("--checks", ",".join(CHECKS)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES_MAX)),
            *("--request-timeout", "20"),
            *("--seed", "1"),
            *("--suppress-health-check", "all"),
            "--continue-on-failure",
            "--no-color",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    words = said.decode(errors="replace")
    assert process.returncode == 0, words[-6000:]
    assert "Test cases:" in words
