"""What a rollout refuses, waits for, leaves alone and does not begin; on real sshd servers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_lab import SshLab, until

from tests.deploy.conftest import FAULT, Builds

pytestmark = pytest.mark.e2e


@pytest.fixture
def lab(two_hosts: SshLab, builds: Builds) -> Iterator[SshLab]:
    """Both hosts on the old build and in service."""
    two_hosts.pin()
    two_hosts.write_rollout(build=builds.old)
    for host in two_hosts.hosts:
        (host.dir / FAULT.lstrip("/")).unlink(missing_ok=True)
        if two_hosts.seen()[host.name]["intent"] == "drained":
            two_hosts.call("POST", f"/v1/hosts/{host.name}/undrain")
        host.start_phone()
    ready = two_hosts.deploy("apply")
    assert ready.status == 0, ready.err
    return two_hosts


def test_a_plan_changes_nothing_at_a_host_or_at_the_orchestrator(lab: SshLab, builds: Builds) -> None:
    lab.write_rollout(build=builds.new)
    # A phone that registers only now is news for the journal, and not the plan's.
    lab.until_phones_are_there()
    trees, journal = [host.tree() for host in lab.hosts], lab.call("GET", "/v1/journal/head")
    plan = lab.deploy("plan")
    assert plan.status == 0, plan.err
    for row in plan.rows:
        assert row["steps"][-6:] == ["drain", "wait", "switch", "start", "verify", "undrain"]
        assert row["now"].startswith("0.2.0-")
    moving = {"agent.log", "spool.sqlite"}
    for host, before in zip(lab.hosts, trees, strict=True):
        after = host.tree()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert {path for path in changed if Path(path).name not in moving} == set()
    assert lab.call("GET", "/v1/journal/head") == journal


def test_a_host_with_another_key_than_the_pinned_one_is_refused_and_nothing_is_done_there(
    lab: SshLab, builds: Builds
) -> None:
    lines = [host.known for host in lab.hosts]
    # The key of host-2 stands at host-1's name: what a host in between would look like.
    stranger = lines[0].split()[0] + " " + " ".join(lines[1].split()[1:])
    (lab.work / "known_hosts").write_text(f"{stranger}\n{lines[1]}")
    lab.write_rollout(build=builds.new)
    (row, other) = (plan := lab.deploy("plan")).rows
    assert plan.status == 1
    assert "is not the one in known_hosts: THE HOST WAS SET UP AGAIN OR IS NOT THE HOST" in row["refused"][0]
    assert other["refused"] == []
    applied = lab.deploy("apply")
    assert applied.results() == {"host-1": "refused", "host-2": "done"}
    assert lab.seen()["host-1"]["agent_version"] == "0.2.0"


def test_a_host_that_is_not_pinned_is_refused(lab: SshLab) -> None:
    (lab.work / "known_hosts").write_text(lab.hosts[1].known)
    (row, _) = lab.deploy("plan").rows
    assert f"[{lab.hosts[0].address}]:2222 is not in known_hosts: its key is not known" in row["refused"][0]


def test_a_host_that_does_not_answer_keeps_no_other_from_being_served(lab: SshLab, builds: Builds) -> None:
    lab.write_rollout(build=builds.new)
    text = (lab.work / "rollout.yaml").read_text().replace(lab.hosts[0].address, f"{lab.network}.99")
    (lab.work / "rollout.yaml").write_text(text.replace("key_file: key", "key_file: key\n  connect_timeout_s: 2"))
    applied = lab.deploy("apply")
    assert applied.results() == {"host-1": "refused", "host-2": "done"}
    assert "cannot be reached" in applied.rows[0]["detail"]


def test_a_key_that_others_could_read_is_not_used(lab: SshLab) -> None:
    (lab.work / "key").chmod(0o640)
    try:
        ended = lab.deploy("plan")
    finally:
        (lab.work / "key").chmod(0o600)
    assert ended.status == 2
    assert "has mode 0640, so others can use it; expected 0600" in ended.err


def test_a_host_that_a_person_drained_gets_its_build_and_stays_drained(lab: SshLab, builds: Builds) -> None:
    lab.call("POST", "/v1/hosts/host-1/drain", {"reason": "new cabling"})
    lab.write_rollout(build=builds.new)
    applied = lab.deploy("apply")
    assert applied.results() == {"host-1": "done", "host-2": "done"}, applied.err
    row = lab.seen()["host-1"]
    assert (row["intent"], row["reason"], row["agent_version"]) == ("drained", "new cabling", "0.3.0")
    # The driver that came with the build is there for the agent.
    listed = lab.hosts[0].inside("/opt/assay-agent/current/build/bin/assay-agent", "drivers", "-o", "json")
    assert "acme" in {one["driver"] for one in json.loads(listed)["drivers"]}


def test_a_user_who_is_not_root_needs_sudo_without_a_password_and_nothing_else(lab: SshLab, builds: Builds) -> None:
    (host, _) = lab.hosts
    host.inside(
        "sh", "-c", "id bench >/dev/null 2>&1 || useradd --create-home --home-dir /var/lib/bench --shell /bin/sh bench"
    )
    host.inside("usermod", "--password", "*", "bench")
    sudoers = host.dir / "etc/sudoers.d/bench"
    sudoers.unlink(missing_ok=True)
    lab.write_rollout(build=builds.new)
    text = (lab.work / "rollout.yaml").read_text()
    (lab.work / "rollout.yaml").write_text(text.replace("  name: host-1\n", "  name: host-1\n  user: bench\n"))
    refused = lab.deploy("plan").rows[0]["refused"]
    assert "password" in refused[0]
    assert "looking failed" in refused[0]
    sudoers.write_text("bench ALL=(ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    applied = lab.deploy("apply")
    assert applied.results() == {"host-1": "done", "host-2": "done"}, applied.err


def test_two_applies_at_once_do_not_meet_at_a_host(lab: SshLab, builds: Builds) -> None:
    lab.write_rollout(build=builds.new)
    hold = lab.hosts[0].inside("sh", "-c", "flock -n /opt/assay-agent/rollout.lock sleep 60 >/dev/null 2>&1 & echo $!")
    try:
        applied = lab.deploy("apply")
    finally:
        lab.hosts[0].inside("sh", "-c", f"pkill -P {int(hold)}; kill {int(hold)} 2>/dev/null || true")
    assert applied.results() == {"host-1": "refused", "host-2": "done"}
    assert "another rollout is at work on this host" in applied.rows[0]["detail"]


def test_when_the_connection_breaks_half_way_the_host_goes_back_over_a_new_one(lab: SshLab, builds: Builds) -> None:
    (host, _) = lab.hosts
    until("the phone is there", lambda: lab.seen()["host-1"]["devices_present"] == 1, 90)
    lab.write_rollout(build=builds.new)
    process = lab.command("apply")
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if (event["slug"], event["words"], event["host"]) == ("step-begins", "verify", "host-1"):
            host.inside("pkill", "-KILL", "-f", "^sshd: root@notty")
            break
    out, err = process.communicate(timeout=200)
    (first, second) = json.loads(out)
    assert (first["result"], second["result"]) == ("failed, back on the old release", "done"), err
    assert '"connecting-again"' in err
    assert (lab.seen()["host-1"]["agent_version"], lab.seen()["host-1"]["intent"]) == ("0.2.0", "in-service")


def test_after_as_many_failures_as_allowed_no_further_host_is_taken_out(lab: SshLab, builds: Builds) -> None:
    for host in lab.hosts:
        (host.dir / FAULT.lstrip("/")).touch()
    lab.write_rollout(build=builds.bad, out_of_service=1, failures=1, verify_s=5)
    applied = lab.deploy("apply")
    assert sorted(applied.results().values()) == ["failed, back on the old release", "not begun"]
    assert {row["agent_version"] for row in lab.seen().values()} == {"0.2.0"}
    assert {row["intent"] for row in lab.seen().values()} == {"in-service"}


def test_a_build_that_was_changed_after_it_was_made_is_not_brought_anywhere(
    lab: SshLab, builds: Builds, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(builds.new, tmp_path / "build"))
    wheel = next(copy.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b" ")
    ended = lab.deploy("apply", "--build", str(copy))
    assert ended.status == 2
    assert f"{wheel.name} is missing or is not what the manifest says" in ended.err


SUBMISSION = {
    "title": "a phone",
    "vendor": "Test vendor",
    "product": {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"},
    "hardware_revision": "A",
    "mode": "wideband",
    "profile": "digital",
    "ics": {
        **{"codec.pcmu": True, "codec.pcma": True, "codec.g722": True, "dtmf.events": True, "hold": True},
        "audio": "wideband",
    },
}


def test_a_run_that_does_not_end_in_time_keeps_its_host_as_it_is_and_one_that_may_go_on_outlives_the_switch(
    lab: SshLab, builds: Builds
) -> None:
    """A real run on a real phone: its process is the same before and after, and the next agent delivers for it."""
    until("the phones are there", lambda: all(row["devices_present"] for row in lab.seen().values()), 90)
    batch = {"title": "a test", "programme": "ip-phone-basic", "submissions": [SUBMISSION]}
    queued = lab.call("POST", "/v1/batches", batch, {"Idempotency-Key": "one"})["batch"]

    def the_run() -> dict[str, Any]:
        found: dict[str, Any] = lab.call("GET", f"/v1/batches/{queued}")["entries"][0]["runs"][-1]
        return found

    until("it runs and has ended a case", lambda: the_run()["cases_ended"] >= 1, 90)
    name = the_run()["host"]
    host = next(host for host in lab.hosts if host.name == name)
    processes = host.inside("pgrep", "-f", "agents.run").split()
    assert len(processes) == 1
    pid = host.agent_pid()

    lab.write_rollout(build=builds.new, drain_wait_s=1)
    waited = lab.deploy("apply")
    assert waited.results()[name] == "failed, unchanged", waited.err
    assert "1 run(s) were still going on after 1 s" in waited.out
    assert (lab.seen()[name]["intent"], host.agent_pid()) == ("in-service", pid)

    lab.write_rollout(build=builds.new, runs="keep")
    kept = lab.deploy("apply")
    assert kept.results()[name] == "done", kept.err
    assert host.agent_pid() != pid
    assert host.inside("pgrep", "-f", "agents.run").split() == processes
    ended = the_run()["cases_ended"]
    until("the new agent delivers what the run measured", lambda: the_run()["cases_ended"] > ended, 90)
    lab.call("POST", f"/v1/batches/{queued}/cancel", {"reason": "seen enough"})
    until("the run was stopped through the new agent", lambda: lab.seen()[name]["runs"] == 0, 90)
