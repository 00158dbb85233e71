"""The inbox of a host without a Ray node, and the door that posts to it over TLS."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_nouns import RememberingLog, assignment

from agents.far_inbox import FarInbox
from agents.inbox import Inbox
from agents.settings import AgentSettings
from agents.worker import _post
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.messages import Acceptance, Assignment, AssignmentAnswer, Heartbeat
from lab_inventory.noun import host_and_port

ADDRESS = "127.0.0.1:28471"


def accept(wanted: Assignment) -> AssignmentAnswer:
    return AssignmentAnswer(run=wanted.run, answer=Acceptance.ACCEPTED)


def settings(work: Path, certificate: str = "one") -> AgentSettings:
    certificate_path, key = work / f"{certificate}.crt", work / f"{certificate}.key"
    if not key.exists():
        made = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]
        made += ["-subj", "/CN=a-bench", "-keyout", str(key), "-out", str(certificate_path)]
        subprocess.run(made, check=True, capture_output=True)
    values = {"server_url": "http://h", "host": "h", "work_dir": work, "inbox_listen": ADDRESS}
    return AgentSettings.model_validate({**values, "inbox_cert": certificate_path, "inbox_key": key})


@pytest.fixture
def log() -> RememberingLog:
    return RememberingLog()


@pytest.fixture
async def inbox(tmp_path: Path, log: RememberingLog) -> AsyncIterator[FarInbox]:
    far = FarInbox(settings(tmp_path), Inbox(tmp_path / "inbox.sock", accept, log), SystemClock())
    await far.open()
    yield far
    await far.close()


async def test_the_door_at_a_stronger_host_posts_an_assignment_and_gets_the_answer(inbox: FarInbox) -> None:
    assert await _post(inbox.name, assignment()) == AssignmentAnswer(run="run-1", answer=Acceptance.ACCEPTED)


async def test_the_name_of_the_inbox_fits_into_a_heartbeat(inbox: FarInbox) -> None:
    assert Heartbeat(agent_version="1", boot="b", inbox=inbox.name).inbox == inbox.name


async def test_an_assignment_without_the_secret_is_not_taken(inbox: FarInbox, log: RememberingLog) -> None:
    place, _, rest = inbox.name.removeprefix("tls://").partition("/")
    with pytest.raises((OSError, ValueError)):
        await _post(f"tls://{place}/{'x' * 22}#{rest.partition('#')[2]}", assignment())
    assert log.slugs() == ["inbox-not-allowed"]


async def test_whoever_shows_another_certificate_hears_neither_secret_nor_assignment(inbox: FarInbox) -> None:
    other, _, pin = inbox.name.partition("#")
    with pytest.raises(ValueError, match="another certificate"):
        await _post(f"{other}#{pin[::-1]}", assignment())


async def test_who_speaks_no_tls_gets_nothing(inbox: FarInbox) -> None:
    reader, writer = await asyncio.open_connection(*host_and_port(ADDRESS))
    writer.write(b"{}\n")
    said = await reader.read()
    writer.close()
    assert not said.startswith(b"{")


async def test_a_key_that_is_not_the_certificates_is_told_at_the_start(tmp_path: Path, log: RememberingLog) -> None:
    mixed = settings(tmp_path).model_copy(update={"inbox_key": settings(tmp_path, "two").inbox_key})
    with pytest.raises(BadInput, match="the inbox cannot use"):
        FarInbox(mixed, Inbox(tmp_path / "inbox.sock", accept, log), SystemClock())


async def test_behind_a_forwarded_port_the_door_is_told_the_other_address(tmp_path: Path, log: RememberingLog) -> None:
    forwarded = settings(tmp_path).model_copy(update={"inbox_address": "127.0.0.1:9999"})
    far = FarInbox(forwarded, Inbox(tmp_path / "inbox.sock", accept, log), SystemClock())
    assert far.name.startswith("tls://127.0.0.1:9999/")
