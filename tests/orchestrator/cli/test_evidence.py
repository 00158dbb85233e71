"""Evidence is there as long as its certificate can hold, and ``assay evidence check`` says where it is not."""

import pytest
from lab_world import World
from test_reviewing import FILE, Authority

from lab_inventory.canonical import sha256
from orchestrator.certificates import Certificates
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.store.artifacts import Artifacts
from orchestrator.store.evidence_check import checked
from tests.orchestrator.cli.conftest import run_assay


@pytest.fixture
def world(tmp_path: object) -> World:
    return World(tmp_path)  # type: ignore[arg-type]


async def check(world: World) -> tuple[int, str]:
    ended = await run_assay("evidence", "check", "--data", str(world.folder))
    return ended.status, ended.out


async def test_evidence_is_kept_over_clean_up_and_its_loss_and_change_are_named(world: World) -> None:
    authority = Authority(world)
    made = authority.reviewing.decide(authority.recommended(), "dora", "certified", "because")
    assert made.certificate is not None
    artifacts = Artifacts(world.folder / "artifacts")
    artifacts.sweep()
    world.reopen()
    world.clock.advance(10 * 365 * 86400)
    world.tick()
    path = artifacts.open_path(sha256(FILE))
    assert path.read_bytes() == FILE
    assert (await check(world)) == (0, "1 certificates, 1 files named: 0 missing or changed\n")
    path.write_bytes(b"another")
    status, said = await check(world)
    assert (status, f"CHANGED: {sha256(FILE)} (capture of " in said, made.certificate in said) == (1, True, True)
    path.unlink()
    status, said = await check(world)
    assert (status, f"MISSING: {sha256(FILE)}" in said) == (1, True)
    order = CertificateOrder(event=Event.REVOKED, reason="Its evidence is lost.")
    Certificates(world.store, world.clock, world.signer).order(made.certificate, order, "dora")
    with world.store.reading() as connection:
        assert list(checked(connection, artifacts)) == []
