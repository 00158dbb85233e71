"""``make run`` as a newcomer has it, but for the set-up."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.demo_job import ROOT, demo

ASSAY = [sys.executable, "-m", "orchestrator.cli"]


def left_behind(work: Path) -> list[str]:
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if any(str(work) in word for word in process.info["cmdline"] or ())
    ]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def job(work: Path) -> subprocess.CompletedProcess[str]:
    return demo(work)


def test_the_job_ends_as_its_golden_profile_says(job: subprocess.CompletedProcess[str]) -> None:
    assert job.returncode == 0, job.stdout[-6000:] + job.stderr
    assert "the job ended as expected" in job.stdout


def test_the_reasons_are_real_and_named(job: subprocess.CompletedProcess[str]) -> None:
    words = " ".join(job.stdout.replace("│", " ").split())
    assert "BP-MED-01" in words
    assert "BP-SIP-03" in words
    assert "sendrecv" in words


def test_it_leaves_no_process_behind(job: subprocess.CompletedProcess[str], work: Path) -> None:
    assert left_behind(work) == []


def test_its_certificates_verify_and_a_changed_one_does_not(job: subprocess.CompletedProcess[str], work: Path) -> None:
    files = sorted(work.glob("certificate-*.json"))
    assert [json.loads(file.read_text())["certificate"]["level"] for file in files] == ["certified", "works-with"]
    issuer = ["--issuer", str(work / "issuer.json")]
    assert subprocess.run([*ASSAY, "verify", str(files[0]), *issuer], cwd=ROOT, check=False).returncode == 0
    trust = ["--trust", str(work / "none.json")]
    assert subprocess.run([*ASSAY, "verify", str(files[0]), *trust], cwd=ROOT, check=False).returncode == 3
    changed = work / "changed.json"
    changed.write_bytes(files[1].read_bytes().replace(b"works-with", b"certified "))
    assert subprocess.run([*ASSAY, "verify", str(changed), *issuer], cwd=ROOT, check=False).returncode == 1


def test_the_journal_and_the_tables_agree(job: subprocess.CompletedProcess[str], work: Path) -> None:
    done = subprocess.run(
        [*ASSAY, "audit", "verify", "--data", str(work / "lab")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_swapped_configuration_files_swap_the_verdicts(tmp_path: Path) -> None:
    phones = ROOT / "deploy" / "demo" / "phones"
    swapped = tmp_path / "phones"
    for source, target in (("phone-1", "phone-2"), ("phone-2", "phone-1"), ("phone-3", "phone-3")):
        shutil.copytree(phones / source, swapped / target)
    done = demo(tmp_path / "work", "--phones", str(swapped))
    assert done.returncode == 1, done.stdout[-6000:] + done.stderr
    words = " ".join(done.stdout.split())
    assert "phone-1, wideband: came to works-with, not passed: BP-MED-01" in words
    assert "phone-2, narrowband: came to certified, not passed: none" in words
