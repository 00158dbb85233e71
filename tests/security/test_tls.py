"""TLS between agent and server, real processes on loopback: what is believed, what is not, and what is then said."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab_world import lab

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.trust import trust
from orchestrator.lab_ca import Files, make, renew
from tests.faults.__main__ import build_shim
from tests.first_person import let_in

ROOT = Path(__file__).parents[2]
FAKE_AGENT = ROOT / "tests" / "agents" / "fake_agent.py"
TIMEOUT_S = 30.0
NO_TOKEN = "asy_join_of_nobody"
YEAR_S = 365 * 86_400
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "SSL_"))}


def now() -> datetime:
    return SystemClock().now()


async def until(look: Callable[[], Any]) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        while not (found := look()):
            await asyncio.sleep(0.05)
    return found


class Server:
    """A server in a process of its own, with or without TLS; ``log`` is what it told."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, folder: Path, ca: Path | None) -> None:
        self.process = process
        self.address = address
        self.folder = folder
        token = let_in(folder / "data")
        headers = {"Authorization": f"Bearer {token}"}
        self.operator = httpx.AsyncClient(base_url=address, headers=headers, verify=trust(ca), timeout=TIMEOUT_S)

    async def join_token(self) -> str:
        content = json.loads(lab(2).model_dump_json())
        assert (await self.operator.put("/v1/lab", json=content)).status_code == 204
        return str((await self.operator.post("/v1/hosts/host-1/join-token")).json()["token"])

    def log(self) -> str:
        return (self.folder / "server.log").read_text()


@asynccontextmanager
async def serving(folder: Path, files: Files | None, *, ca: Path | None = None) -> AsyncIterator[Server]:
    pair = [str(files.certificate), str(files.key)] if files else []
    with (folder / "server.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.orchestrator.server_process"),
            *(str(folder / "data"), f"sqlite:///{folder}/data/assay.sqlite", *pair),
            env=CLEAN, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        address = json.loads(await process.stdout.readline())["address"]
        server = Server(process, address, folder, ca or (files.ca if files else None))
        try:
            yield server
        finally:
            await server.operator.aclose()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def environment(folder: Path, url: str, ca: Path | None, **more: str) -> dict[str, str]:
    settings = {"SERVER_URL": url, "HOST": "host-1", "WORK_DIR": str(folder / "agent"), "RENEWAL_S": "0.3"}
    given = {f"ASSAY_AGENT_{name}": value for name, value in settings.items()}
    return {**CLEAN, **given, **({"ASSAY_CA": str(ca)} if ca else {}), **more}


async def join(folder: Path, url: str, ca: Path | None, token: str = NO_TOKEN, **more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.cli", "join"),
        env=environment(folder, url, ca, **more), cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate(token.encode())
    return process.returncode or 0, said.decode()


class Agent:
    """A real agent with phones that are always there."""

    def __init__(self, folder: Path, url: str, ca: Path | None, **more: str) -> None:
        self.path = folder / "agent.log"
        given = {**environment(folder, url, None, **more), "ASSAY_AGENT_CA_FILE": str(ca)}
        with self.path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, str(FAKE_AGENT)], env=given, stderr=log, cwd=ROOT)

    def lines(self, slug: str) -> list[dict[str, Any]]:
        told = (json.loads(line) for line in self.path.read_text().splitlines() if line.startswith("{"))
        return [line for line in told if line["slug"] == slug]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def agent_of(server: Server, ca: Path, **more: str) -> AsyncIterator[Agent]:
    agent = Agent(server.folder, server.address, ca, **more)
    try:
        await until(lambda: agent.lines("orchestrator-answers") or agent.process.poll() is not None)
        yield agent
    finally:
        agent.stop()


async def test_an_agent_joins_and_serves_over_tls_and_what_it_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        status, said = await join(tmp_path, server.address, files.ca, await server.join_token())
        assert (status, said) == (0, "joined as agent-host-1\n")
        kept = tmp_path / "agent" / "agent-key.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        async with agent_of(server, files.ca):
            rows = (await server.operator.get("/v1/hosts")).json()
            assert rows[0]["heard_s_ago"] is not None
        answer = await server.operator.get("/healthz")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert json.loads(kept.read_text())["private_key"] not in server.log()


async def test_a_server_of_another_ca_is_not_believed(tmp_path: Path) -> None:
    files, other = make(tmp_path / "tls", [], now()), make(tmp_path / "other", [], now())
    async with serving(tmp_path, files) as server:
        for ca in (other.ca, None):
            status, said = await join(tmp_path, server.address, ca)
            assert status == 2
            assert "is not believed: " in said
            assert "give the lab's CA file with --ca or ASSAY_CA" in said


async def test_a_server_under_another_name_is_not_believed(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        url = server.address.replace("127.0.0.1", "127.0.0.2")
        relay = await asyncio.start_server(lambda r, w: relayed(r, w, server), "127.0.0.2", int(url.rpartition(":")[2]))
        async with relay:
            status, said = await join(tmp_path, url, files.ca)
    assert status == 2
    assert "IP address mismatch, certificate is not valid for '127.0.0.2'. Use a name that stands in its" in said


async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pass_on(reader, back), pass_on(there, writer), return_exceptions=True)


async def test_an_expired_certificate_is_not_believed_and_a_renewed_one_is_while_connections_go_on(
    tmp_path: Path,
) -> None:
    files = make(tmp_path / "tls", [], now() - timedelta(days=397) + timedelta(seconds=8))
    async with serving(tmp_path, files) as server:
        token = await server.join_token()
        async with server.operator.stream("GET", "/v1/events", timeout=None) as events:
            async with asyncio.timeout(TIMEOUT_S):
                while "expired" not in (told := await join(tmp_path, server.address, files.ca))[1]:
                    await asyncio.sleep(1)
            assert told[0] == 2
            assert "certificate has expired. Renew it at the server ('assay tls renew')" in told[1]
            renew(tmp_path / "tls", now())
            await until(lambda: "certificate-taken-up" in server.log())
            assert (await join(tmp_path, server.address, files.ca, token))[0] == 0
            headers = server.operator.headers
            async with httpx.AsyncClient(verify=trust(files.ca), headers=headers, timeout=TIMEOUT_S) as fresh:
                await fresh.post(f"{server.address}/v1/hosts/host-1/drain", json={"reason": "a test"})
            async with asyncio.timeout(TIMEOUT_S):
                assert await anext(line async for line in events.aiter_lines() if "host-1" in line)


async def test_a_replacement_that_cannot_be_used_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    files, other = make(tmp_path / "tls", [], now()), make(tmp_path / "other", [], now())
    async with serving(tmp_path, files) as server:
        files.certificate.write_bytes(other.certificate.read_bytes())
        await until(lambda: "certificate-not-taken-up" in server.log())
        assert "do not belong together" in server.log()
        async with httpx.AsyncClient(verify=trust(files.ca)) as fresh:
            assert (await fresh.get(f"{server.address}/healthz")).status_code == 200


async def test_plain_http_to_tls_and_tls_to_plain_http_are_told_apart(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        _, said = await join(tmp_path, server.address.replace("https", "http"), files.ca)
    assert "where it is a server of TLS, use https://" in said
    async with serving(tmp_path, None) as server:
        _, said = await join(tmp_path, server.address.replace("http", "https"), files.ca)
    assert "does not speak TLS: it is a server of plain http, or no web server" in said


async def test_an_agent_sends_no_secret_in_the_clear_to_another_machine_unless_that_was_allowed(tmp_path: Path) -> None:
    status, said = await join(tmp_path, "http://192.0.2.1:8470", None)
    assert status == 2
    assert "is plain http to another machine: secrets would go over the wire in the clear. Use https" in said
    allowed = {"ASSAY_AGENT_TRUSTED_NETWORK": "true", "ASSAY_AGENT_REQUEST_TIMEOUT_S": "0.2"}
    _, said = await join(tmp_path, "http://192.0.2.1:8470", None, **allowed)
    assert "does not answer" in said


async def test_versions_of_tls_before_1_2_are_not_spoken(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        where = server.address.removeprefix("https://")
        tried = ["openssl", "s_client", "-connect", where, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
        ended = await asyncio.create_subprocess_exec(
            *tried, stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await ended.communicate()
    assert ended.returncode != 0, said.decode()


async def test_an_agent_whose_key_is_revoked_while_it_serves_says_why_and_serves_again_after_joining_again(
    tmp_path: Path,
) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        assert (await join(tmp_path, server.address, files.ca, await server.join_token()))[0] == 0
        async with agent_of(server, files.ca) as agent:
            await server.operator.post("/v1/hosts/host-1/revoke", json={"reason": "stolen"})
            (told,) = await until(lambda: agent.lines("credential-refused"))
            assert "the key of host-1 was revoked by operator: stolen" in told["detail"]
            assert "to serve again: stop this agent" in told["advice"]
            assert agent.process.poll() is None
        assert (await join(tmp_path, server.address, files.ca, await server.join_token()))[0] == 0
        async with agent_of(server, files.ca) as agent:
            assert agent.lines("credential-refused") == []


async def test_a_copy_of_the_key_is_dead_once_the_host_has_joined_anew(tmp_path: Path) -> None:
    files = make(tmp_path / "tls", [], now())
    async with serving(tmp_path, files) as server:
        assert (await join(tmp_path, server.address, files.ca, await server.join_token()))[0] == 0
        kept = tmp_path / "agent" / "agent-key.json"
        copied = kept.read_bytes()
        assert (await join(tmp_path, server.address, files.ca, await server.join_token()))[0] == 0
        kept.write_bytes(copied)
        agent = Agent(tmp_path, server.address, files.ca)
        try:
            (told,) = await until(lambda: agent.lines("credential-refused"))
            assert "was not signed with the key with which host-1 joined last" in told["detail"]
        finally:
            agent.stop()


@pytest.mark.parametrize("by_s", [YEAR_S, -YEAR_S])
async def test_an_agent_whose_clock_is_a_year_off_joins_and_serves_and_tls_says_that_it_may_be_the_clock(
    tmp_path: Path, by_s: int
) -> None:
    shim = build_shim(tmp_path)
    if shim is None:
        pytest.skip("there is no C compiler (apt-get install gcc libc6-dev)")
    (tmp_path / "clock").write_bytes(by_s.to_bytes(8, "little", signed=True))
    wrong = {"LD_PRELOAD": str(shim), "ASSAY_FAULTS_CLOCK": str(tmp_path / "clock")}
    async with serving(tmp_path, None) as server:
        status, said = await join(tmp_path, server.address, None, await server.join_token(), **wrong)
        assert status == 0, said
        agent = Agent(tmp_path, server.address, make(tmp_path / "tls", [], now()).ca, **wrong)
        try:
            await until(lambda: agent.lines("orchestrator-answers"))
            assert agent.lines("credential-refused") == []
            year = datetime.fromisoformat(agent.lines("orchestrator-answers")[0]["at"]).year
            assert year != now().year
        finally:
            agent.stop()
    files = make(tmp_path / "soon", [], now() - timedelta(days=100))
    if by_s < 0:
        files = make(tmp_path / "fresh", [], now())
    async with serving(tmp_path, files) as server:
        _, said = await join(tmp_path, server.address, files.ca, **wrong)
        assert ("this machine's clock is wrong" if by_s > 0 else "This machine's clock is behind") in said


def test_files_that_are_there_are_not_overwritten_and_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    files = make(tmp_path, ["lab.example", "10.0.0.1", "fd00::1"], now())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name: path.stat().st_mode & 0o777 for path in before} == {
        "lab-ca.pem": 0o644, "lab-ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600,
    }  # fmt: skip
    with pytest.raises(Exception, match="is there already and is not overwritten"):
        make(tmp_path, ["lab.example"], now())
    for name in ("", "a b", "*.lab", "-x", "a" * 64, "10.0.0.1/8", "x\ny"):
        with pytest.raises(BadInput, match="is no name of a server"):
            make(tmp_path / "none", [name], now())
    assert not (tmp_path / "none").exists()
    renew(tmp_path, now())
    assert files.key.read_bytes() == before[files.key]
    assert files.certificate.read_bytes() != before[files.certificate]


def test_a_ca_file_without_a_certificate_or_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(BadInput, match="has no certificate in it"):
        trust(tmp_path / "empty.pem")
    with pytest.raises(BadInput, match="the CA file cannot be read: No such file"):
        trust(tmp_path / "missing.pem")
