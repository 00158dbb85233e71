"""``assay-deploy apply`` is killed (kill -9) at each of its steps, and the next apply ends right."""

import pytest
from ssh_lab import SshLab, until

from deploy.decide import Step
from tests.deploy.conftest import Builds

pytestmark = pytest.mark.e2e


def assert_all_is_well(lab: SshLab, version: str) -> None:
    (host,) = lab.hosts
    assert (host.link("current") or "").startswith(f"{version}-")
    assert host.link("proven") == host.link("current")
    row = lab.seen()["host-1"]
    assert (row["intent"], row["agent_version"]) == ("in-service", version)
    serving = [
        line for line in host.inside("ps", "-ww", "-eo", "args").splitlines() if line.endswith("assay-agent serve")
    ]
    assert len(serving) == 1, serving
    assert not (host.dir / "opt/assay-agent/before").exists()
    plan = lab.deploy("plan")
    assert (plan.status, plan.rows[0]["steps"]) == (0, []), plan.err


def wiped(lab: SshLab) -> None:
    """The host as it was before anything was brought to it."""
    (host,) = lab.hosts
    pid = host.agent_pid()
    if pid is not None:
        host.inside("sh", "-c", f"kill -9 {pid} 2>/dev/null || true")
    host.inside("sh", "-c", "rm -rf /opt/assay-agent /var/lib/assay-agent; userdel assay 2>/dev/null || true")
    if lab.seen()["host-1"]["intent"] == "drained":
        lab.call("POST", "/v1/hosts/host-1/undrain")


@pytest.mark.parametrize("step", [Step.PREPARE, Step.UPLOAD, Step.INSTALL, Step.RELEASE, Step.JOIN, Step.START])
def test_a_first_installation_that_was_cut_is_ended_by_the_next_apply(
    one_host: SshLab, builds: Builds, step: Step
) -> None:
    wiped(one_host)
    one_host.write_rollout(build=builds.old)
    one_host.deploy_cut_at(step)
    ended = one_host.deploy("apply")
    assert ended.results() == {"host-1": "done"}, ended.err
    assert_all_is_well(one_host, "0.2.0")


@pytest.mark.parametrize(
    "step", [Step.CHECK, Step.DRAIN, Step.WAIT, Step.SWITCH, Step.START, Step.VERIFY, Step.UNDRAIN]
)
def test_an_upgrade_that_was_cut_is_ended_by_the_next_apply(one_host: SshLab, builds: Builds, step: Step) -> None:
    one_host.write_rollout(build=builds.old)
    assert one_host.deploy("apply").status == 0
    one_host.write_rollout(build=builds.new)
    one_host.deploy_cut_at(step)
    ended = one_host.deploy("apply")
    assert ended.results()["host-1"] in ("done", "nothing to do"), ended.err
    assert_all_is_well(one_host, "0.3.0")


def test_an_upgrade_that_was_cut_half_way_can_be_taken_back_by_applying_the_old_build(
    one_host: SshLab, builds: Builds
) -> None:
    one_host.write_rollout(build=builds.old)
    assert one_host.deploy("apply").status == 0
    one_host.write_rollout(build=builds.new)
    one_host.deploy_cut_at(Step.START)
    one_host.write_rollout(build=builds.old)
    assert one_host.deploy("apply").results() == {"host-1": "done"}
    assert_all_is_well(one_host, "0.2.0")


def test_a_host_that_lost_its_agent_gets_it_back(one_host: SshLab, builds: Builds) -> None:
    """As after a reboot, where no supervisor is."""
    one_host.write_rollout(build=builds.old)
    assert one_host.deploy("apply").status == 0
    (host,) = one_host.hosts
    host.inside("kill", "-9", str(host.agent_pid()))
    until("the agent is gone", lambda: "assay-agent serve" not in host.inside("ps", "-ww", "-eo", "args"))
    ended = one_host.deploy("apply")
    assert ended.steps() == {"host-1": ["check", "drain", "start", "verify", "undrain"]}
    assert_all_is_well(one_host, "0.2.0")
