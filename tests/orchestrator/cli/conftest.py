"""A running server, and the command ``assay`` as a person runs it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab_server import LabServer, serving

Assay = Callable[..., Awaitable["Ended"]]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")} | {"COLUMNS": "200"}


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


async def run_assay(*arguments: str, stdin: str = "", **environment: str) -> Ended:
    """Run ``assay`` in a process of its own, which is told ``stdin``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestrator.cli",
        *arguments,
        env=CLEAN | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LabServer]:
    async with serving(tmp_path / "data") as running:
        yield running


@pytest.fixture
def assay(server: LabServer) -> Assay:
    """``assay`` with the address and the token of the running server."""

    async def run(*arguments: str, **environment: str) -> Ended:
        return await run_assay(
            *arguments, **({"ASSAY_SERVER": server.address, "ASSAY_DATA": str(server.data)} | environment)
        )

    return run
