"""``assay rejudge`` beside a running server, on either database; it writes nothing."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab_server import LabServer, serving
from lab_world import basic

from tests.orchestrator.cli.conftest import Ended, run_assay
from tests.postgres import PostgresServer


@pytest.fixture
def empty_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


def stricter(folder: Path, ringing_ms: float) -> Path:
    """A file with a version whose certified level asks for a shorter time to ringing."""
    made = basic().model_dump(mode="json")
    for requirement in made["requirements"]:
        for check in requirement["checks"]:
            if check["quantity"] == "ringing_ms":
                check["limits"]["certified"]["max"] = ringing_ms
    path = folder / "stricter.yaml"
    path.write_text(yaml.safe_dump({**made, "version": "2.0"}), encoding="utf-8")
    return path


async def rejudge(server: LabServer, *arguments: str, database: str = "") -> Ended:
    """The command on the data of a running server, whose journal, certificates and submissions stay as they are."""
    before = await everything(server)
    where = ("--data", str(server.data), *(("--database", database) if database else ()))
    ended = await run_assay("rejudge", *arguments, *where)
    assert await everything(server) == before
    return ended


async def everything(server: LabServer) -> list[Any]:
    """What a server says of its journal, certificates and batches."""
    paths = ("/v1/journal/head", "/v1/certificates", "/v1/batches")
    return [(await server.operator.get(path)).json() for path in paths]


async def test_a_stricter_version_says_who_would_fail_it_and_which_certificate_would_not_stand(
    server: LabServer, tmp_path: Path
) -> None:
    batch = await server.measured_batch(ringing_ms=400.0)
    (entry,) = batch["entries"]
    ended = await rejudge(server, "--programme", str(stricter(tmp_path, 300)), "--all", "--json")
    assert (ended.status, ended.err) == (0, "")
    report = json.loads(ended.out)
    assert report["summary"] == {"unchanged": 0, "fails": 1, "gains": 0, "not-judgeable": 0}
    (row,) = report["submissions"]
    assert (row["submission"], row["earned_before"], row["earned_after"]) == (
        entry["submission"],
        "certified",
        "works-with",
    )
    assert row["certificates"] == [
        {"certificate": entry["certificate"], "level": "certified", "state": "granted", "stands": False}
    ]
    assert "at most 300 ms is asked for" in row["differences"][0]["words"]


async def test_the_version_that_is_kept_changes_nothing_and_is_named_by_its_id(server: LabServer) -> None:
    batch = await server.measured_batch()
    submission = batch["entries"][0]["submission"]
    for name in ("ip-phone-basic", f"ip-phone-basic@{basic().version}"):
        ended = await rejudge(server, "--programme", name, "--submission", submission)
        assert ended.status == 0
        assert "1 submission(s); 1 unchanged, 0 fails, 0 gains, 0 not-judgeable" in ended.out
        assert "Nothing was changed" in ended.out


async def test_without_an_instrument_it_says_what_its_certificates_would_be(server: LabServer, tmp_path: Path) -> None:
    batch = await server.measured_batch()
    html = tmp_path / "report.html"
    ended = await rejudge(server, "--without-instrument", "sip", "--host", "host-1", "--html", str(html))
    assert (ended.status, ended.err) == (0, "")
    certificate = batch["entries"][0]["certificate"]
    assert certificate in ended.out
    assert "(certified, granted, not known to stand)" in re.sub(r"[│\s]+", " ", ended.out)
    page = html.read_text()
    assert "of the level certified: not known to stand" in page
    assert certificate in page
    assert "is not relied on" in page
    assert "<script" not in page
    again = await rejudge(server, "--without-instrument", "sip", "--html", str(html))
    assert (again.status, again.err) == (2, f"assay: {html} is there already; expected a new file\n")


@pytest.mark.parametrize(
    "which", [("--since", "2026-02-01"), ("--until", "2025-12-31"), ("--host", "host-2")], ids=lambda which: which[0]
)
async def test_days_and_a_host_narrow_what_an_instrument_measured(server: LabServer, which: tuple[str, str]) -> None:
    await server.measured_batch()
    ended = await rejudge(server, "--without-instrument", "sip", *which)
    assert (ended.status, ended.err) == (0, "")
    assert ": 0 submission(s);" in ended.out


async def test_on_postgresql_it_judges_beside_the_server_as_on_sqlite(tmp_path: Path, empty_url: str) -> None:
    async with serving(tmp_path / "data", database_url=empty_url) as server:
        await server.measured_batch(ringing_ms=400.0)
        file = await asyncio.to_thread(stricter, tmp_path, 300)
        for arguments, impact in (
            (("--programme", str(file), "--all"), "1 fails"),
            (("--without-instrument", "sip"), "1 not-judgeable"),
        ):
            ended = await rejudge(server, *arguments, database=empty_url)
            assert (ended.status, ended.err) == (0, "")
            assert impact in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "expected either --programme or --without-instrument"),
        (("--programme", "x", "--without-instrument", "y"), "expected either --programme or --without-instrument"),
        (("--programme", "ip-phone-basic"), "expected --submission, or --all"),
        (("--programme", "ip-phone-basic", "--all", "--submission", "sub-1"), "expected either --submission or --all"),
        (("--programme", "ip-phone-basic", "--submission", "sub-1"), "no judged submission: sub-1"),
        (("--programme", "ip-phone-basic@9.9", "--all"), "no programme ip-phone-basic@9.9 is kept here"),
        (("--programme", "nowhere.yaml", "--all"), "nowhere.yaml: cannot be read"),
        (("--programme", "nothing", "--all"), "no programme nothing is kept here; versions kept: none"),
        (("--programme", "ip-phone-basic", "--all", "--since", "2026-01-01"), "go with --without-instrument"),
        (("--without-instrument", "sip", "--since", "yesterday"), "--since yesterday: expected a day as YYYY-MM-DD"),
        (
            ("--without-instrument", "sip", "--since", "2026-02-02", "--until", "2026-01-01"),
            "--since 2026-02-02 is after --until 2026-01-01",
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
async def test_what_cannot_be_judged_again_is_refused_in_one_line(
    server: LabServer, arguments: tuple[str, ...], words: str
) -> None:
    ended = await rejudge(server, *arguments)
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
    assert words in ended.err
