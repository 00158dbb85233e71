"""The systemd supervisor under a real systemd: installed, restarted when it dies, back after a reboot, upgraded."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ssh_lab import SshLab, until, why_not
from systemd_host import SystemdHost, why_no_systemd

from tests.deploy.conftest import FAULT, Builds

pytestmark = pytest.mark.e2e
UNIT = "assay-agent.service"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, builds: Builds) -> Iterator[SshLab]:
    reason = why_not() or why_no_systemd()
    if reason:
        pytest.skip(reason)
    made = SshLab(tmp_path_factory.mktemp("lab"), 1, kind=SystemdHost)
    try:
        made.start()
        made.write_rollout(build=builds.old, agent={"supervisor": "systemd"})
        applied = made.deploy("apply")
        assert applied.results() == {"host-1": "done"}, applied.err
        yield made
    finally:
        made.stop()


def main_pid(lab: SshLab) -> int:
    return int(lab.hosts[0].inside("systemctl", "show", "-p", "MainPID", "--value", UNIT))


def test_systemd_is_the_first_process_and_keeps_the_agent(lab: SshLab) -> None:
    (host,) = lab.hosts
    assert host.inside("cat", "/proc/1/comm").strip() == "systemd"
    assert host.inside("systemctl", "is-active", UNIT).strip() == "active"
    assert host.inside("systemctl", "is-enabled", UNIT).strip() == "enabled"
    assert host.inside("stat", "-c", "%U", f"/proc/{main_pid(lab)}").strip() == "assay"
    assert lab.seen()["host-1"]["agent_version"] == "0.2.0"


def test_an_agent_that_was_killed_is_started_again_by_systemd(lab: SshLab) -> None:
    (host,) = lab.hosts
    pid, boot = main_pid(lab), lab.seen()["host-1"]["boot"]
    host.inside("kill", "-9", str(pid))
    until("systemd has started another agent", lambda: main_pid(lab) not in (0, pid), 30)
    until("it is heard of", lambda: lab.seen()["host-1"]["boot"] != boot, 30)


def test_stopping_the_agent_leaves_its_runs_alive(lab: SshLab) -> None:
    """A process in the unit's cgroup, as runs are, outlives the agent (KillMode=process)."""
    (host,) = lab.hosts
    group = host.inside("systemctl", "show", "-p", "ControlGroup", "--value", UNIT).strip()
    root = "cd /sys/fs/cgroup; [ ! -d systemd ] || cd systemd"
    run = f"{root}; sleep 300 >/dev/null 2>&1 & echo $! | tee .{group}/cgroup.procs"
    pid = host.inside("sh", "-c", run).strip()
    try:
        host.inside("systemctl", "restart", UNIT)
        assert host.inside("cat", f"/proc/{pid}/comm").strip() == "sleep"
        assert group in host.inside("cat", f"/proc/{pid}/cgroup")
    finally:
        host.inside("kill", pid)


def test_after_a_reboot_the_agent_is_there_and_the_plan_has_nothing_to_do(lab: SshLab) -> None:
    (host,) = lab.hosts
    assert isinstance(host, SystemdHost)
    boot = lab.seen()["host-1"]["boot"]
    host.reboot()
    until("the agent is heard of again", lambda: lab.seen()["host-1"]["boot"] != boot, 60)
    plan = lab.deploy("plan")
    assert plan.rows[0]["steps"] == [], plan.err


def test_an_upgrade_and_a_failed_one_go_forth_and_back_under_systemd(lab: SshLab, builds: Builds) -> None:
    (host,) = lab.hosts
    lab.write_rollout(build=builds.new, agent={"supervisor": "systemd"})
    assert lab.deploy("apply").results() == {"host-1": "done"}
    (host.dir / FAULT.lstrip("/")).touch()
    lab.write_rollout(build=builds.bad, agent={"supervisor": "systemd"}, verify_s=8)
    failed = lab.deploy("apply")
    assert failed.results() == {"host-1": "failed, back on the old release"}, failed.err
    assert lab.seen()["host-1"]["agent_version"] == "0.3.0"
    assert host.inside("systemctl", "is-active", UNIT).strip() == "active"
