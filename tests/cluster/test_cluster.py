"""A lab of several machines under what breaks in one. One lab for all scenarios; each leaves it as it found it."""

import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.lab import HOST_SILENT_S, LEASE_TTL_S, RAY_PORT, SMALL, Lab, now_s
from tests.cluster.machine import why_not
from tests.faults.lab import until

PLACED_WITHIN_S = 10.0
"""From the silence of a host until the first key elsewhere: the loop, the door, a new process, the phone's reset."""

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def started() -> Iterator[Lab]:
    # Ray's sockets need short paths, and pytest's directories are long.
    work = Path(tempfile.mkdtemp(prefix="ac", dir="/tmp"))
    lab = Lab(work)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
        shutil.rmtree(work, ignore_errors=True)


@pytest.fixture
def lab(started: Lab) -> Iterator[Lab]:
    """The lab, all well; whatever a scenario does, no device is driven by two."""
    started.until_well()
    yield started
    assert started.driven_twice() == []


def test_suites_run_on_both_hosts_and_on_the_small_one_behind_them(lab: Lab) -> None:
    batch = lab.submit("everywhere", ["One", "One", "Small"])
    entries = lab.until_judged(batch)
    assert sorted(run["host"] for run in lab.runs(batch)) == ["host-1", "host-2", SMALL]
    assert len({run["ray_node"] for run in lab.runs(batch) if run["host"] != SMALL}) == 2
    assert [entry["earned"] for entry in entries] == ["certified"] * 3


def test_the_real_suite_runs_on_a_real_phone_at_each_host(lab: Lab) -> None:
    batch = lab.submit_phones("phones", 2)
    entries = lab.until_judged(batch, 180)
    assert sorted(run["host"] for run in lab.runs(batch)) == ["host-1", "host-2"]
    assert all(entry["earned"] for entry in entries)


def test_the_run_of_a_lost_host_is_repeated_on_the_other_at_once_and_the_door_that_stood_there_is_made_there(
    lab: Lab,
) -> None:
    host = lab.where_the_door_of_small_stands()
    other = {"host-1": "host-2", "host-2": "host-1"}[host]
    lab.call("POST", f"/v1/hosts/{other}/drain", {"reason": "the run is to be at the host that will be lost"})
    batch = lab.submit("lost", ["One"])
    lost = lab.run_at(batch, host)
    lab.call("POST", f"/v1/hosts/{other}/undrain")
    lab.machines[host].lose()
    lost_s = now_s()

    def again() -> float:
        return next((press.at_s for press in lab.presses(other) if press.run in lab.again(batch, lost["run"])), 0.0)

    began_s = until("the lost run is repeated on the other host", again, 60)
    behind = lab.submit("small without its door", ["Small"])
    print(f"the first key {began_s - lost_s:.1f} s after the host was lost")
    assert began_s - lost_s < HOST_SILENT_S + PLACED_WITHIN_S
    assert [entry["earned"] for entry in lab.until_judged(batch) + lab.until_judged(behind)] == ["certified"] * 2
    lab.restart_host(host)
    lab.until_well(90)


def test_what_a_host_that_was_cut_off_tells_late_is_shown_and_does_not_count(lab: Lab) -> None:
    batch = lab.submit("cut off", ["One", "One"])
    cut = lab.run_at(batch, "host-1")["run"]
    lab.machines["host-1"].unplug()
    unplugged_s = now_s()
    assert [entry["earned"] for entry in lab.until_judged(batch, 90)] == ["certified"] * 2
    last_s = lab.last_press_s("host-1", cut)
    # It stopped by its own clock, before the orchestrator gave its unit up.
    assert last_s - unplugged_s < LEASE_TTL_S < now_s() - unplugged_s
    before = lab.call("GET", f"/v1/runs/{cut}")
    lab.machines["host-1"].plug_in()
    late = until("the late reports are shown", lambda: lab.call("GET", f"/v1/runs/{cut}")["quarantined"], 60)
    print(f"the last key {last_s - unplugged_s:.1f} s after the cut, {len(late)} late reports: {late[0]['reason']}")
    lab.until_well(90)
    after = lab.call("GET", f"/v1/runs/{cut}")
    assert (after["state"], after["reports"]) == ("lapsed", before["reports"])
    assert lab.last_press_s("host-1", cut) == last_s
    assert [run["host"] for run in lab.runs(batch) if run["state"] == "completed"] == ["host-2", "host-2"]
    assert [entry["earned"] for entry in lab.entries(batch)] == ["certified"] * 2


def test_a_restart_of_the_head_ends_no_run_and_loses_no_door(lab: Lab) -> None:
    batch = lab.submit("head", ["One", "One", "Small"])
    for host in ("host-1", "host-2", SMALL):
        lab.run_at(batch, host)
    lab.server.kill("head")
    killed_s = now_s()
    lab.start_head()
    lab.until_judged(batch)
    assert [run["attempt"] for run in lab.runs(batch)] == [1, 1, 1]
    assert {run["state"] for run in lab.runs(batch)} == {"completed"}
    after = lab.submit("after the head", ["One", "Small"])
    lab.until_judged(after, 90)
    print(f"judged after the restart within {now_s() - killed_s:.1f} s")
    assert {run["state"] for run in lab.runs(after)} == {"completed"}


def test_a_wrong_token_is_told_by_doctor_and_by_health(lab: Lab) -> None:
    wrong = lab.work / "wrong-token"
    wrong.write_text("a wrong token, a wrong token")
    wrong.chmod(0o600)
    why = f"the Ray cluster at {lab.head} does not take the token in {wrong}"
    assert lab.doctor("host-2") == {}
    assert lab.doctor("host-2", ASSAY_AGENT_RAY_TOKEN_FILE=str(wrong)) == {"ray cluster": why}
    lab.machines["host-2"].kill("agent")
    lab.start_agent("host-2", ASSAY_AGENT_RAY_TOKEN_FILE=str(wrong))
    until("health tells of it", lambda: lab.degraded().get("Ray worker of host-2") == why, 60)
    lab.machines["host-2"].kill("agent")
    lab.start_agent("host-2")
    lab.until_well(90)


def test_nobody_speaks_with_the_head_without_a_certificate_of_the_labs_ca(lab: Lab) -> None:
    trusting = ssl.create_default_context(cafile=lab.work / "ca.crt")
    assert not _answers(lab, trusting)
    trusting.load_cert_chain(lab.work / "host-1.crt", lab.work / "host-1.key")
    assert _answers(lab, trusting)


def _answers(lab: Lab, context: ssl.SSLContext) -> bool:
    """Whether the head, whose certificate is verified, says anything: a gRPC server begins with its settings."""
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((lab.server.address, RAY_PORT), timeout=10) as wire,
        context.wrap_socket(wire, server_hostname=lab.server.address) as secured,
    ):
        try:
            secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            return bool(secured.recv(9))
        except OSError:
            return False


def test_a_head_that_is_away_is_told_and_what_waits_is_run_when_it_is_back(lab: Lab) -> None:
    lab.server.kill("head")
    told = until("health tells of the head", lambda: lab.degraded().get("ray"), 30)
    until("it is told by its address", lambda: f"no Ray cluster answers at {lab.head}" in lab.degraded()["ray"], 30)
    assert told
    assert f"no Ray cluster answers at {lab.head}" in lab.doctor("host-1")["ray cluster"]
    batch = lab.submit("waits", ["One"])
    lab.start_head()
    lab.until_judged(batch, 90)
