"""What is shipped beside the code: units, rules, compose file; and the scripts of the supervisors."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml
from ssh_lab import make_wheel

from deploy.build import CONSTRAINTS, BuildFile, Dependencies, Manifest, read_build
from deploy.release import prune, release_of
from deploy.rollout_file import Agent, Rollout, SupervisorName
from deploy.supervisors import UNIT, PlainProcess, Systemd, as_agent, supervisor_of, udev_rules
from lab_inventory.errors import BadInput

DEPLOY = Path(__file__).parents[2] / "deploy"


def unit_verified(path: Path) -> str:
    """What systemd-analyze has against a unit; nothing where it is well."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    ended = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    return ended.stderr if ended.returncode else ""


def with_a_program(text: str, program: Path) -> str:
    """The unit with a program that is there, and a user that is: systemd-analyze looks for both."""
    lines = text.replace("User=assay", "User=root").splitlines()
    return "\n".join(f"ExecStart={program} serve" if line.startswith("ExecStart=") else line for line in lines)


@pytest.mark.parametrize("name", ["assay-agent.service", "assay-server.service"])
def test_systemd_has_nothing_against_the_units(tmp_path: Path, name: str) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = Systemd(Agent()).files()[UNIT] if name == UNIT else (DEPLOY / "systemd" / name).read_text()
    assert "@" not in text.replace("network-online", "")
    (tmp_path / name).write_text(with_a_program(text, program))
    assert unit_verified(tmp_path / name) == ""


def test_the_agents_unit_stops_the_agent_alone_and_not_its_runs() -> None:
    lines = Systemd(Agent(user="bench")).files()[UNIT].splitlines()
    assert {"KillMode=process", "User=bench", "Restart=always"} <= set(lines)


def test_the_udev_rules_open_usb_devices_to_one_group_and_nothing_else() -> None:
    rules = [line for line in udev_rules(Agent(user="bench")).splitlines() if line and not line.startswith("#")]
    assert rules
    for rule in rules:
        assert 'GROUP="bench", MODE="0660"' in rule
        assert 'SUBSYSTEMS=="usb"' in rule or 'SUBSYSTEM=="usb"' in rule


def test_the_compose_file_can_be_read_and_names_only_pinned_images_and_its_own_volumes() -> None:
    content = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    assert set(content["services"]) == {"server", "postgres", "prometheus"}
    for name, service in content["services"].items():
        assert "build" in service or service["image"].rpartition(":")[2] not in ("", "latest"), name
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in content["volumes"] or (DEPLOY / "compose" / source).exists(), mount
    scrape = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == ["server:8470"]


@pytest.mark.parametrize("name", list(SupervisorName))
def test_every_script_of_a_supervisor_is_shell_text_without_errors(name: SupervisorName) -> None:
    supervisor = supervisor_of(Agent(supervisor=name))
    for script in (supervisor.install(), supervisor.start(), supervisor.stop(), supervisor.pid()):
        ended = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert ended.stderr == ""


def test_the_plain_supervisor_says_clearly_what_it_does_not_do() -> None:
    assert "NOTHING RESTARTS IT after a reboot" in PlainProcess(Agent()).promise


def test_an_agent_is_started_without_anything_of_the_connection_in_its_environment() -> None:
    command = as_agent(Agent(user="bench"), "/opt/a/current", "doctor", "-o", "json")
    assert "--reuid=bench" in command
    assert " env -i " in command
    assert command.endswith("assay-agent doctor -o json")


def rollout(**change: object) -> Rollout:
    content = {
        "server": "https://10.0.0.1:8470",
        "build": "b",
        "ssh": {"key_file": "k", "known_hosts": "k"},
        "hosts": [{"name": "host-1", "address": "10.0.0.2"}],
    }
    return Rollout.model_validate(content | change)


def manifest(directory: Path) -> Manifest:
    (directory / CONSTRAINTS).write_text("a==1\n")
    file = BuildFile(
        name=CONSTRAINTS,
        digest="sha256:9b5a4e0ae3d3e3c3a3d2c3b2a190817263544536271809fedcba987654321000",
        size_bytes=5,
    )
    return Manifest(version="1.0", python="3.11", machine="x86_64", dependencies=Dependencies.CARRIED, files=(file,))


def test_other_settings_make_another_release_of_the_same_build_and_the_same_settings_the_same(tmp_path: Path) -> None:
    one, made = rollout(), manifest(tmp_path)
    first = release_of(one, one.hosts[0], made)
    assert release_of(rollout(), one.hosts[0], made) == first
    other = rollout(server="https://10.0.0.9:8470")
    second = release_of(other, other.hosts[0], made)
    assert (second.build, second.name == first.name) == (first.build, False)
    assert f"ASSAY_DEPLOY_RELEASE={second.name}" in second.files["agent.env"]


def test_a_ca_comes_with_the_release_and_another_ca_makes_another_release(tmp_path: Path) -> None:
    made = manifest(tmp_path)
    names = set()
    for text in ("one CA\n", "another CA\n"):
        wanted = rollout(ca_certificates=text)
        release = release_of(wanted, wanted.hosts[0], made)
        names.add(release.name)
        assert release.files["lab-ca.pem"] == text
        path = f"/opt/assay-agent/releases/{release.name}/lab-ca.pem"
        assert f"ASSAY_AGENT_CA_FILE={path}\n" in release.files["agent.env"]
    assert len(names) == 2


def test_a_build_whose_file_is_not_what_the_manifest_says_or_whose_manifest_reaches_out_is_refused(
    tmp_path: Path,
) -> None:
    made = manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(made.model_dump_json())
    with pytest.raises(BadInput, match=r"constraints\.txt is missing or is not what the manifest says"):
        read_build(tmp_path)
    (tmp_path / "manifest.json").write_text(made.model_dump_json().replace(CONSTRAINTS, "../../etc/passwd"))
    with pytest.raises(BadInput, match=r"files\[0\]\.name"):
        read_build(tmp_path)
    with pytest.raises(BadInput, match="is no build"):
        read_build(tmp_path / "nowhere")


def test_the_wheel_carries_units_rules_and_compose_file_and_the_three_commands(tmp_path: Path) -> None:
    with zipfile.ZipFile(make_wheel(tmp_path, "9.9.9")) as wheel:
        names = set(wheel.namelist())
        scripts = wheel.read("assay_lab-9.9.9.dist-info/entry_points.txt").decode()
    shipped = {f"deploy/{path.relative_to(DEPLOY)}" for path in DEPLOY.rglob("*") if path.is_file()}
    assert {name for name in shipped if "__pycache__" not in name} <= names
    assert {"deploy/systemd/assay-agent.service", "deploy/udev/70-assay.rules", "deploy/compose/compose.yaml"} <= names
    assert [line.split(" = ")[0] for line in scripts.splitlines() if line.startswith("assay")][:3] == [
        *("assay", "assay-agent", "assay-deploy")
    ]


def test_old_releases_and_builds_are_removed_but_none_that_is_linked_recent_or_in_use(tmp_path: Path) -> None:
    for number in range(1, 8):
        (tmp_path / f"builds/b{number}/bin").mkdir(parents=True)
        release = tmp_path / f"releases/r{number}"
        release.mkdir(parents=True)
        (release / "build").symlink_to(f"../../builds/b{number}")
        os.utime(release, (number, number))
    (tmp_path / "current").symlink_to("releases/r7")
    (tmp_path / "proven").symlink_to("releases/r1")
    program = Path(shutil.copy(shutil.which("sleep") or "", tmp_path / "builds/b2/bin/run"))
    with subprocess.Popen([program, "60"]) as running:
        try:
            subprocess.run(["sh", "-ec", prune(str(tmp_path))], check=True)
        finally:
            running.kill()
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["r1", "r5", "r6", "r7"]
    assert sorted(path.name for path in (tmp_path / "builds").iterdir()) == ["b1", "b2", "b5", "b6", "b7"]
