"""A bundle is verified by its own page with openssl and coreutils alone, and refused when a byte of it is another."""

import io
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_world import World, basic, registration
from test_certificates import certificates, name, order, signer

from orchestrator.certificates import Certificates
from orchestrator.lifecycle.waiver import WaivedProduct
from orchestrator.pipeline.certificate_life import Event
from orchestrator.store import listings
from orchestrator.waiving import WaiverWanted, Waiving

__all__ = ["certificates", "name", "signer"]
TOOLS = ("openssl", "basenc", "sha256sum", "sed", "grep", "sh")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


@pytest.fixture
def unpacked(world: World, certificates: Certificates, name: str) -> Path:
    """A bundle of a certificate with a history, unpacked into a directory of its own."""
    order(certificates, name, Event.SUSPENDED)
    order(certificates, name, Event.REINSTATED)
    folder = world.folder / "bundle"
    with zipfile.ZipFile(io.BytesIO(certificates.bundle(name))) as archive:
        archive.extractall(folder)
    # The clock of these tests stands years before today, and that of a shell does not.
    page = (folder / "VERIFY.md").read_text().replace("$(date -u +%Y-%m-%dT%H:%M:%S)", f"{world.clock.now():%FT%T}")
    (folder / "VERIFY.md").write_text(page)
    return folder


def followed(folder: Path) -> tuple[int, str]:
    """What the steps of VERIFY.md say, each after the other as they stand there, in a shell that knows nothing else."""
    steps = re.findall(r"```sh\n(.*?)```", (folder / "VERIFY.md").read_text(), re.DOTALL)
    assert len(steps) == 4
    ended = subprocess.run(
        ["sh", "-c", "\n".join(steps)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_every_step_of_the_page_finds_what_is_whole(unpacked: Path) -> None:
    status, said = followed(unpacked)
    assert status == 0, said
    for words in (
        "certificate.json: signed by the issuer",
        "link-001.json: signed by the issuer",
        "link-002.json: signed by the issuer",
        "status-list.json: signed by the issuer",
        "suspended: The firmware that is sold is another.",
        "state: granted; last day: null; limits of use: ",
        "judgement.json: what was certified",
    ):
        assert words in said
    assert "was good until" not in said


def test_a_certificate_to_which_nothing_happened_is_verified_the_same_way(
    world: World, certificates: Certificates, name: str
) -> None:
    folder = world.folder / "bundle"
    with zipfile.ZipFile(io.BytesIO(certificates.bundle(name))) as archive:
        archive.extractall(folder)
    status, said = followed(folder)
    assert status == 0, said
    assert "state: granted" in said
    assert "fetch a newer one" in said


def test_what_a_level_was_granted_without_is_told_by_the_page_too(world: World, certificates: Certificates) -> None:
    world.heartbeat(registration(1))
    waiving = Waiving(world.store, world.clock)
    wanted = WaiverWanted(
        programme=basic().id,
        programme_version=basic().version,
        requirement="BP-SIP-01",
        levels=("certified",),
        product=WaivedProduct(maker="Acme", model="One", hardware_revision="A"),
        reason='Late, "and never missing" [sic], as it says: {},"waived":[]},"signature":',
        ends_on=world.clock.now().date(),
    )
    waiver = waiving.propose(wanted, "opal")
    waiving.approve(waiver, "dora", "a small risk")
    world.submit()
    assignment = world.take(*world.tick())
    world.deliver(assignment, *world.whole_run(assignment, ringing_ms=900.0))
    world.tick()
    with world.store.reading() as connection:
        (row,) = listings.certificates(connection)
    assert row["level"] == "certified"
    folder = world.folder / "bundle"
    with zipfile.ZipFile(io.BytesIO(certificates.bundle(str(row["certificate"])))) as archive:
        archive.extractall(folder)
    status, said = followed(folder)
    assert status == 0, said
    (line,) = [line for line in said.splitlines() if line.startswith("not met, and waived: ")]
    (told,) = json.loads(f"[{line.removeprefix('not met, and waived: ')}]")
    assert (told["requirement"], told["verdict"], told["waiver"]) == ("BP-SIP-01", "fail", waiver)
    assert told["reason"] == wanted.reason


def flipped(path: Path) -> None:
    """Another letter in the middle of a word of the content."""
    data = path.read_bytes()
    place = len(data) // 3
    while not chr(data[place]).isalpha():
        place += 1
    path.write_bytes(data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :])


@pytest.mark.parametrize(
    "part", ["certificate.json", "link-001.json", "link-002.json", "status-list.json", "issuer.json", "judgement.json"]
)
def test_a_letter_that_is_another_is_refused(unpacked: Path, part: str) -> None:
    flipped(unpacked / part) if part != "issuer.json" else other_key(unpacked / part)
    status, said = followed(unpacked)
    assert status != 0, said


def other_key(path: Path) -> None:
    issuer = json.loads(path.read_text())
    issuer["key"]["x"] = issuer["key"]["x"][::-1]
    path.write_text(json.dumps(issuer, separators=(",", ":")))


def left_out(folder: Path) -> None:
    (folder / "link-002.json").unlink()


def swapped(folder: Path) -> None:
    first, second = folder / "link-001.json", folder / "link-002.json"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


@pytest.mark.parametrize("change", [left_out, swapped])
def test_a_history_that_is_not_whole_is_refused(unpacked: Path, change: Callable[[Path], None]) -> None:
    change(unpacked)
    status, said = followed(unpacked)
    assert status != 0, said


def test_the_evidence_is_listed_with_what_the_reports_say_of_it(unpacked: Path) -> None:
    listed = json.loads((unpacked / "evidence.json").read_text())
    certificate = json.loads((unpacked / "certificate.json").read_text())["certificate"]
    assert [file["digest"] for file in listed] == certificate["evidence"]


def test_the_same_state_gives_the_same_bytes(certificates: Certificates, name: str) -> None:
    assert certificates.bundle(name) == certificates.bundle(name)
