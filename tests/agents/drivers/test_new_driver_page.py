"""What docs/how-to/new-driver.md shows works as it stands there; the virtual environment is the one of these tests."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from agents.drivers import load_drivers
from lab_inventory.lab import Slot
from tests.agents.drivers.test_finding_drivers import entry
from tests.new_driver_page import PAGE, write_example

ROOT = PAGE.parents[2]


def test_the_drivers_tests_pass_as_they_stand_on_the_page(tmp_path: Path) -> None:
    write_example(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"]
    where = {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    passed = re.search(r"(\d+) passed in", ended.stdout)
    assert passed is not None, ended.stdout
    assert int(passed[1]) >= 36
    assert "skipped" not in ended.stdout


def test_the_entry_point_on_the_page_is_a_driver(tmp_path: Path) -> None:
    project = tomllib.loads((write_example(tmp_path) / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["assay.drivers"].items()
    sys.path.insert(0, str(tmp_path))
    try:
        found, broken = load_drivers([entry(name, value)])
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("acme_driver", None)
    assert broken == {}
    assert found["acme"].recognises("Acme 9 1.2.3") is not None


def test_the_slot_on_the_page_is_one() -> None:
    block = PAGE.read_text().partition("```yaml\nslots:\n")[2].partition("```")[0]
    (slot,) = yaml.safe_load("slots:\n" + block)["slots"]
    assert Slot.model_validate(slot).driver == "acme"
