"""``assay-agent join``: the token comes on standard input, the credential is kept, and nothing shows the token."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from agent_nouns import HOST
from stand_in_orchestrator import TOKEN, StandInOrchestrator

from agents.key import kept_key
from agents.serve import sole_agent


def join(work: Path, url: str, told: str) -> subprocess.CompletedProcess[str]:
    settings = {"SERVER_URL": url, "HOST": HOST, "WORK_DIR": str(work)}
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", "join"],
        input=told,
        env={**os.environ, **{f"ASSAY_AGENT_{name}": value for name, value in settings.items()}},
        capture_output=True,
        text=True,
        check=False,
    )


async def run(work: Path, url: str, told: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(join, work, url, told)


async def test_the_token_is_exchanged_for_a_credential_that_only_its_owner_reads(
    tmp_path: Path, orchestrator: StandInOrchestrator
) -> None:
    ended = await run(tmp_path / "work", orchestrator.url, f"{TOKEN}\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert TOKEN not in ended.stdout
    assert kept_key(tmp_path / "work", HOST) is not None
    assert (tmp_path / "work" / "agent-key.json").stat().st_mode & 0o077 == 0


async def test_a_wrong_token_or_none_is_told_in_words_and_nothing_is_kept(
    tmp_path: Path, orchestrator: StandInOrchestrator
) -> None:
    wrong = await run(tmp_path, orchestrator.url, "asy_join_wrong\n")
    none = await run(tmp_path, orchestrator.url, "")
    assert (wrong.returncode, none.returncode) == (2, 2)
    assert "The join token is unknown or was used" in wrong.stderr
    assert "asy_join_wrong" not in wrong.stderr
    assert "there is no join token on standard input" in none.stderr
    assert kept_key(tmp_path, HOST) is None


async def test_while_an_agent_serves_nobody_joins_in_its_place(
    tmp_path: Path, orchestrator: StandInOrchestrator
) -> None:
    with sole_agent(tmp_path):
        ended = await run(tmp_path, orchestrator.url, f"{TOKEN}\n")
    assert ended.returncode == 2
    assert kept_key(tmp_path, HOST) is None
