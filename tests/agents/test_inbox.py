import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_nouns import RememberingLog, assignment

import agents.inbox
from agents.inbox import Inbox
from agents.settings import SOCKET_PATH_BYTES_MAX, AgentSettings
from agents.worker import _post
from lab_inventory.messages import Acceptance, Assignment, AssignmentAnswer


def accept(wanted: Assignment) -> AssignmentAnswer:
    return AssignmentAnswer(run=wanted.run, answer=Acceptance.ACCEPTED)


@asynccontextmanager
async def inbox_at(path: Path, log: RememberingLog | None = None) -> AsyncIterator[Inbox]:
    inbox = Inbox(path, accept, log or RememberingLog())
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


async def say(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_door_of_ray_posts_an_assignment_and_gets_the_answer(tmp_path: Path) -> None:
    async with inbox_at(tmp_path / "inbox.sock"):
        answer = await _post(str(tmp_path / "inbox.sock"), assignment())
    assert answer == AssignmentAnswer(run="run-1", answer=Acceptance.ACCEPTED)


async def test_only_the_agents_own_user_may_post(tmp_path: Path) -> None:
    async with inbox_at(tmp_path / "inbox.sock"):
        assert stat.S_IMODE((tmp_path / "inbox.sock").stat().st_mode) == 0o600


@pytest.mark.parametrize("junk", [b"\n", b"not json\n", b"{}\n", b"\xff\xfe\n", b"x" * 1_200_000 + b"\n"])
async def test_junk_gets_no_answer_and_the_next_assignment_is_taken(tmp_path: Path, junk: bytes) -> None:
    log = RememberingLog()
    async with inbox_at(tmp_path / "inbox.sock", log):
        assert await say(tmp_path / "inbox.sock", junk) == b""
        answer = await _post(str(tmp_path / "inbox.sock"), assignment())
    assert answer.answer is Acceptance.ACCEPTED
    assert log.slugs() == ["inbox-not-understood"]


async def test_a_sender_that_never_ends_its_line_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.inbox, "READ_TIMEOUT_S", 0.1)
    async with inbox_at(tmp_path / "inbox.sock"):
        assert await say(tmp_path / "inbox.sock", b'{"run"') == b""


async def test_a_socket_that_a_killed_agent_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "inbox.sock").write_text("left behind")
    async with inbox_at(tmp_path / "inbox.sock"):
        assert (await _post(str(tmp_path / "inbox.sock"), assignment())).answer is Acceptance.ACCEPTED
    assert not (tmp_path / "inbox.sock").exists()


def test_the_inbox_of_a_long_work_directory_has_a_short_path_of_its_own(tmp_path: Path) -> None:
    def path(work: Path) -> Path:
        return AgentSettings.model_validate({"server_url": "http://h", "host": "h", "work_dir": work}).inbox_path

    long = tmp_path / ("x" * 100)
    assert path(tmp_path / "w") == tmp_path / "w" / "inbox.sock"
    assert len(str(path(long))) <= SOCKET_PATH_BYTES_MAX
    assert path(long) == path(long)
    assert path(long) != path(tmp_path / ("y" * 100))
