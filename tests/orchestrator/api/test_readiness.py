"""Readiness as a decision: what each part comes to, without a server."""

import pytest

from orchestrator.api.readiness import (
    Part,
    State,
    disk_part,
    fault_parts,
    host_parts,
    loop_part,
    readiness_of,
    worker_troubles,
)


@pytest.mark.parametrize(
    ("trouble", "age_s", "state", "reason"),
    [
        ("", 0.5, State.OK, "its last pass ended 0.5 s ago"),
        ("", 11, State.DEGRADED, "no pass has ended for 11 s"),
        ("", 61, State.FAILED, "no pass has ended for 61 s"),
        ("no room", 0.5, State.FAILED, "its last pass failed: no room"),
    ],
)
def test_the_loop_is_judged_by_its_last_pass(trouble: str, age_s: float, state: State, reason: str) -> None:
    assert loop_part(trouble, age_s) == Part(part="loop", state=state, reason=reason)


def test_only_what_failed_takes_readiness_away() -> None:
    degraded = [disk_part(1, 2), *host_parts({"h"}, {"h": "no worker"}, {"h": 40.0})]
    assert readiness_of(degraded).ready
    assert set(readiness_of(degraded).degraded) == {"disk", "Ray worker of h", "agent of h"}
    assert not readiness_of([*degraded, loop_part("x", 0)]).ready


def test_what_is_well_is_a_part_and_not_degraded() -> None:
    found = readiness_of([disk_part(2, 1), *host_parts({"h"}, {}, {})])
    assert found.degraded == {}
    assert [part.part for part in found.parts] == ["disk", "Ray worker of h", "agent of h"]


def test_two_hosts_may_call_their_slots_the_same() -> None:
    faults = [{"host": host, "slot": "slot-1", "slug": "s", "detail": host} for host in ("a", "b")]
    found = [(part.part, part.reason) for part in fault_parts(faults)]
    assert found == [("slot slot-1", "a"), ("slot slot-1 of b", "b")]


def test_why_a_host_is_not_in_the_cluster_is_told_in_its_own_words() -> None:
    not_ready = {"host-1": "no Ray node answers", "host-2": "no Ray node answers"}
    told = {"host-1": "wrong token", "host-2": "", "host-3": "wrong token"}
    assert worker_troubles(not_ready, told) == {"host-1": "wrong token", "host-2": "no Ray node answers"}
