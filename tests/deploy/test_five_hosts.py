"""Five hosts are installed and upgraded; one fails half-way and is back on its old build while the others serve on."""

import json
from pathlib import Path

import pytest
from ssh_lab import Applied, SshLab, until

from tests.deploy.conftest import FAULT, Builds

pytestmark = pytest.mark.e2e
HOSTS = [f"host-{number}" for number in range(1, 6)]
GOOD = [name for name in HOSTS if name != "host-3"]


@pytest.fixture(scope="module")
def upgraded(five_hosts: SshLab, builds: Builds) -> Applied:
    """The old build on all of them with a phone each, then a build that has a fault at host-3."""
    five_hosts.write_rollout(build=builds.old)
    installed = five_hosts.deploy("apply")
    assert installed.results() == dict.fromkeys(HOSTS, "done"), installed.err
    for host in five_hosts.hosts:
        host.start_phone()
    five_hosts.until_phones_are_there()
    (five_hosts.hosts[2].dir / FAULT.lstrip("/")).touch()
    five_hosts.write_rollout(build=builds.bad, out_of_service=2, failures=5, verify_s=15)
    return five_hosts.deploy("apply")


def test_four_are_upgraded_and_the_one_that_failed_is_back_on_its_old_build(
    five_hosts: SshLab, upgraded: Applied
) -> None:
    assert upgraded.status == 1
    assert upgraded.results() == dict.fromkeys(GOOD, "done") | {"host-3": "failed, back on the old release"}
    for host in five_hosts.hosts:
        version = "0.2.0" if host.name == "host-3" else "0.4.0"
        assert (host.link("current") or "").startswith(version)
        assert host.link("proven") == host.link("current")
        arguments = host.inside("cat", f"/proc/{host.agent_pid()}/cmdline")
        assert arguments.startswith(f"/opt/assay-agent/builds/{version}-")


def test_all_five_are_in_service_and_heard_of_with_their_phones(five_hosts: SshLab, upgraded: Applied) -> None:
    for name, row in five_hosts.seen().items():
        assert row["intent"] == "in-service"
        assert row["agent_version"] == ("0.2.0" if name == "host-3" else "0.4.0")
        assert row["devices_present"] == 1
        assert row["heard_s_ago"] < 15


def test_the_failure_says_at_which_step_and_what_the_agent_said_last(upgraded: Applied) -> None:
    (row,) = [row for row in upgraded.rows if row["host"] == "host-3"]
    assert row["detail"].startswith("verify: ")
    assert "this build has a fault" in row["detail"]


def test_no_more_than_two_were_out_of_service_at_a_time(upgraded: Applied) -> None:
    out, most, drained = set[str](), 0, 0
    for event in (json.loads(line) for line in upgraded.err.splitlines()):
        if event["slug"] == "step-begins" and event["words"] == "drain":
            out.add(event["host"])
            drained += 1
        elif event["slug"] == "host-ended":
            out.discard(event["host"])
        most = max(most, len(out))
    assert (most, drained) == (2, 5)


def test_no_join_token_and_no_operator_token_is_in_any_log_or_file_of_a_host(
    five_hosts: SshLab, upgraded: Applied
) -> None:
    texts = [upgraded.out, upgraded.err, (five_hosts.work / "server.log").read_text()]
    for host in five_hosts.hosts:
        texts.append((host.dir / "sshd.log").read_text())
        places = [host.dir / "opt/assay-agent/agent.log", *(host.dir / "opt/assay-agent/releases").rglob("agent.env")]
        texts += [path.read_text() for path in places]
        assert not list((host.dir / "opt/assay-agent/incoming").iterdir())
    for text in texts:
        assert "asy_join_" not in text
        assert five_hosts.token not in text


def test_the_agent_is_not_root_and_its_directory_is_its_own(five_hosts: SshLab, upgraded: Applied) -> None:
    for host in five_hosts.hosts:
        assert host.inside("stat", "-c", "%U", f"/proc/{host.agent_pid()}").strip() == "assay"
        assert host.inside("stat", "-c", "%U %a", "/var/lib/assay-agent").strip() == "assay 700"
        assert host.inside("stat", "-c", "%U %a", "/var/lib/assay-agent/agent-key.json").strip() == "assay 600"


def test_the_udev_rules_are_in_place_for_the_agents_group(five_hosts: SshLab, upgraded: Applied) -> None:
    for host in five_hosts.hosts:
        assert 'GROUP="assay"' in (host.dir / "etc/udev/rules.d/70-assay.rules").read_text()


def test_when_the_fault_is_gone_the_next_apply_upgrades_the_one_and_leaves_the_four_alone(
    five_hosts: SshLab, upgraded: Applied
) -> None:
    pids = {host.name: host.agent_pid() for host in five_hosts.hosts}
    Path(five_hosts.hosts[2].dir / FAULT.lstrip("/")).unlink()
    again = five_hosts.deploy("apply")
    assert again.status == 0, again.err
    assert again.results() == dict.fromkeys(GOOD, "nothing to do") | {"host-3": "done"}
    assert all(host.agent_pid() == pids[host.name] for host in five_hosts.hosts if host.name != "host-3")
    until("host-3 has the new build", lambda: five_hosts.seen()["host-3"]["agent_version"] == "0.4.0")
