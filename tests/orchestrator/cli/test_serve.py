"""``assay serve``: what keeps it from starting, and that it leaves nothing behind."""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from lab_server import LabServer

from tests.first_person import let_in
from tests.orchestrator.cli.conftest import CLEAN, run_assay


def is_there(path: Path) -> bool:
    return path.exists()


async def test_a_port_that_is_taken_is_told_in_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await run_assay("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert ended.status == 2
    assert ended.err.startswith(f"assay: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert len(ended.err.splitlines()) == 1
    assert not is_there(tmp_path / "data")


async def test_a_second_server_on_the_same_directory_is_refused(server: LabServer) -> None:
    ended = await run_assay("serve", "--port", "0", "--data", str(server.data))
    assert ended.status == 2
    assert "another 'assay serve' is using this directory" in ended.err


async def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = await run_assay("serve", "--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert ended.status == 2
    assert "cannot be used as data directory" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.e2e
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_with_its_ray_serves_and_ends_without_leaving_anything(
    tmp_path: Path, end: signal.Signals
) -> None:
    data = tmp_path / "data"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator.cli", "serve", "--port", "0", "--data", str(data)),
        env=CLEAN,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        address = json.loads(await process.stdout.readline())["address"]
        token = let_in(data)
        assert (data / "operator-token").stat().st_mode & 0o077 == 0
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/v1/devices")).json() == []
            # No event tells when Ray has come up.
            while (await client.get("/readyz")).json()["degraded"]:
                await asyncio.sleep(0.2)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 3
        process.send_signal(end)
        await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 20)
    assert alive == []
