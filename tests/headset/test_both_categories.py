"""``make run HEADSET=1`` but for the set-up: one batch over a phone and a headset, at two hosts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo_job import ROOT, demo
from tests.headset.usb_lab import IMAGE


@pytest.mark.usefixtures("machine")
def test_one_batch_over_a_phone_and_a_headset_ends_in_two_certificates(tmp_path: Path) -> None:
    (tmp_path / "lab-vm").symlink_to(IMAGE)

    job = demo(tmp_path, "--headset", timeout_s=900)

    assert job.returncode == 0, job.stdout[-6000:] + job.stderr
    assert "the job ended as expected" in job.stdout
    files = [tmp_path / f"certificate-{name}.json" for name in ("headset", "phone")]
    granted = [json.loads(file.read_text())["certificate"] for file in files]
    assert [one["level"] for one in granted] == ["certified", "certified"]
    assert [one["programme"] for one in granted] == ["skype-for-business.usb-headset", "ip-phone-basic"]
    for file in files:
        command = ["orchestrator.cli", "verify", str(file), "--issuer", str(tmp_path / "issuer.json")]
        subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)
