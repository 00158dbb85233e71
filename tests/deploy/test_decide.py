"""What is to be done on a host, from what is true there: a table, and that what is done is not done again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.build import BuildFile, Dependencies, Manifest
from deploy.decide import MARK, PREPARING, Seen, Step, not_yet, refusals, steps
from deploy.facts import Before, HostFacts, facts_of
from deploy.release import Release, version_of
from deploy.rollout_file import Limits, RunsGoingOn, SupervisorName

FILE = BuildFile(name="assay_lab-1.0-py3-none-any.whl", digest="sha256:" + "0" * 64, size_bytes=1)
MANIFEST = Manifest(version="1.0", python="3.11", machine="x86_64", dependencies=Dependencies.CARRIED, files=(FILE,))
NEW = Release(name="1.0-new-a", build="1.0-new", version="1.0", files={})
OLD = "0.9-old-a"
FRESH = HostFacts(
    uid="0",
    machine="x86_64",
    python="3.11.2",
    clock_s=1000,
    free_bytes=10**10,
    missing=(),
    systemd=True,
    user=False,
    directories=False,
    builds=frozenset(),
    releases=frozenset(),
    current=None,
    proven=None,
    credential=False,
    running=None,
    before=None,
)
SERVING = replace(
    FRESH,
    user=True,
    directories=True,
    builds=frozenset({"0.9-old"}),
    releases=frozenset({OLD}),
    current=OLD,
    proven=OLD,
    credential=True,
    running=OLD,
)
DONE = replace(
    SERVING,
    builds=frozenset({"0.9-old", "1.0-new"}),
    releases=frozenset({OLD, NEW.name}),
    current=NEW.name,
    proven=NEW.name,
    running=NEW.name,
)
SEEN = Seen(
    host="host-1",
    drained=False,
    reason="",
    agent_version="0.9",
    boot="b1",
    heard_s_ago=1.0,
    runs=0,
    units=frozenset("u"),
)
OURS = replace(SEEN, drained=True, reason=f"{MARK}bringing {NEW.name}")
THEIRS = replace(SEEN, drained=True, reason="new cabling")
NOTED = Before(release=NEW.name, boot="b1", units=frozenset("u"))


def todo(facts: HostFacts, seen: Seen = SEEN, runs: RunsGoingOn = RunsGoingOn.WAIT) -> list[str]:
    return list(steps(facts, NEW, seen, runs))


def test_on_a_fresh_host_everything_is_done_but_waiting_for_runs() -> None:
    assert todo(FRESH) == [step for step in Step if step is not Step.WAIT]


def test_on_a_serving_host_only_what_is_new_is_done() -> None:
    assert todo(SERVING) == [
        *("upload", "install", "release", "check", "drain", "wait", "switch", "start", "verify", "undrain")
    ]


def test_where_all_is_done_nothing_is() -> None:
    assert todo(DONE) == []
    assert todo(DONE, THEIRS) == []


@pytest.mark.parametrize(
    ("facts", "seen", "expected"),
    [
        # Cut after the drain, after the switch, after the start, after the proof, after the undrain.
        (replace(DONE, current=OLD, proven=OLD, running=OLD, before=NOTED), OURS,
         ["check", "wait", "switch", "start", "verify", "undrain"]),
        (replace(DONE, proven=OLD, running=None, before=NOTED), OURS, ["check", "start", "verify", "undrain"]),
        (replace(DONE, proven=OLD, before=NOTED), OURS, ["verify", "undrain"]),
        (replace(DONE, before=NOTED), OURS, ["verify", "undrain"]),
        (replace(DONE, before=NOTED), SEEN, []),
        # Its note is of another release: what is there now is noted anew, and it is not drained twice.
        (replace(DONE, proven=OLD, running=OLD, before=replace(NOTED, release="other")), OURS,
         ["check", "drain", "wait", "start", "verify", "undrain"]),
        # A person drained it: it is switched, and stays drained.
        (replace(DONE, proven=OLD, running=OLD), THEIRS, ["check", "drain", "wait", "start", "verify"]),
        # Its agent died.
        (replace(DONE, running=None), SEEN, ["check", "drain", "start", "verify", "undrain"]),
    ],
)  # fmt: skip
def test_what_is_left_after_a_cut(facts: HostFacts, seen: Seen, expected: list[str]) -> None:
    assert todo(facts, seen) == expected


def test_runs_that_may_go_on_are_not_waited_for() -> None:
    assert "wait" not in todo(SERVING, runs=RunsGoingOn.KEEP)


FACTS = st.builds(
    lambda **change: replace(DONE, **change),
    builds=st.sampled_from([frozenset(), frozenset({"0.9-old"}), DONE.builds]),
    releases=st.sampled_from([frozenset(), frozenset({OLD}), DONE.releases]),
    current=st.sampled_from([None, OLD, NEW.name]),
    proven=st.sampled_from([None, OLD, NEW.name]),
    running=st.sampled_from([None, OLD, NEW.name, "unknown"]),
    credential=st.booleans(),
    before=st.sampled_from([None, NOTED, replace(NOTED, release="other")]),
)


@given(FACTS, st.sampled_from([SEEN, OURS, THEIRS]))
def test_no_agent_is_touched_unless_its_host_is_out_of_service_and_none_is_left_there(
    facts: HostFacts, seen: Seen
) -> None:
    found = todo(facts, seen)
    if {"switch", "start"} & set(found):
        assert seen.drained or found.index("drain") < min(found.index(s) for s in ("switch", "start") if s in found)
        assert found.index("check") < found.index("start") < found.index("verify")
    if "verify" in found and not (seen.drained and not seen.drained_by_a_rollout):
        assert found[-1] == "undrain"
    if seen.drained and not seen.drained_by_a_rollout:
        assert "undrain" not in found


def done(step: Step, facts: HostFacts, seen: Seen) -> tuple[HostFacts, Seen]:
    """What is true after a step was carried out."""
    after: dict[Step, dict[str, Any]] = {
        Step.PREPARE: {"user": True, "directories": True},
        Step.INSTALL: {"builds": facts.builds | {NEW.build}},
        Step.RELEASE: {"releases": facts.releases | {NEW.name}},
        Step.JOIN: {"credential": True, "running": None},
        Step.DRAIN: {"before": NOTED},
        Step.SWITCH: {"current": NEW.name, "running": None},
        Step.START: {"running": NEW.name},
        Step.VERIFY: {"proven": NEW.name},
        Step.UNDRAIN: {"before": None},
    }
    if step is Step.DRAIN and not seen.drained:
        seen = OURS
    if step is Step.UNDRAIN and seen.drained_by_a_rollout:
        seen = SEEN
    return replace(facts, **after.get(step, {})), seen


@given(FACTS, st.sampled_from([SEEN, OURS, THEIRS]), st.integers(min_value=0, max_value=len(Step)))
def test_from_anywhere_and_cut_after_any_step_the_next_apply_leaves_nothing_to_be_done(
    facts: HostFacts, seen: Seen, cut: int
) -> None:
    intent = seen.drained and not seen.drained_by_a_rollout
    for step in steps(facts, NEW, seen, RunsGoingOn.WAIT)[:cut]:
        facts, seen = done(step, facts, seen)
    for step in steps(facts, NEW, seen, RunsGoingOn.WAIT):
        facts, seen = done(step, facts, seen)
    assert todo(facts, seen) == []
    assert (facts.current, facts.proven, facts.running) == (NEW.name, NEW.name, NEW.name)
    assert seen.drained is intent


def test_what_is_done_before_the_drain_leaves_the_host_serving() -> None:
    assert set(PREPARING) == {Step.PREPARE, Step.UPLOAD, Step.INSTALL, Step.RELEASE, Step.JOIN, Step.CHECK}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uid": "1000"}, "the user is not root there"),
        ({"missing": ("flock", "setpriv")}, "missing programs: flock, setpriv"),
        ({"python": "3.9.2"}, "Python is 3.9.2; this build is for 3.11"),
        ({"python": "sh: 1: python3: not found"}, "no usable Python (sh: 1: python3: not found)"),
        ({"python": "No module named 'ensurepip'"}, "no usable Python (No module named 'ensurepip')"),
        ({"python": ""}, "no usable Python (it said nothing)"),
        ({"machine": "aarch64"}, "the machine is aarch64; this build is for x86_64"),
        ({"free_bytes": 10**9}, "1000 MB are free; expected at least 2000 MB"),
        ({"clock_s": 1100}, "its clock is +100 s from here; expected at most 30 s"),
        ({"systemd": False}, "no systemd runs there; where that is meant to be so, set agent.supervisor to process"),
    ],
)
def test_a_host_that_cannot_take_a_build_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    facts = replace(FRESH, **change)
    (said,) = refusals(facts, MANIFEST, Limits(), SupervisorName.SYSTEMD, 1000.0)
    assert said.startswith(words)


def test_a_good_host_is_not_refused_nor_one_without_systemd_that_is_not_to_have_it() -> None:
    assert refusals(FRESH, MANIFEST, Limits(), SupervisorName.SYSTEMD, 1000.0) == []
    assert refusals(replace(FRESH, systemd=False), MANIFEST, Limits(), SupervisorName.PROCESS, 1000.0) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"boot": "b0"}, "the agent has not been heard of since it was started"),
        ({"heard_s_ago": None}, "the agent has not been heard of since it was started"),
        ({"heard_s_ago": 16.0}, "the agent was last heard of 16 s ago"),
        ({"agent_version": "0.9"}, "the agent that is heard is of version 0.9; expected 1.0"),
        ({"units": frozenset()}, "1 unit(s) that were there before are not back: u"),
    ],
)
def test_a_new_agent_is_proven_only_by_what_the_orchestrator_hears(change: dict[str, Any], why: str) -> None:
    seen = replace(SEEN, **({"agent_version": "1.0"} | change))
    assert not_yet(seen, version="1.0", boot_before="b0", units_before=frozenset("u")) == why


def test_what_a_host_says_is_cleaned_cut_and_never_trusted_to_be_whole() -> None:
    assert facts_of("uid\t0\n") is None
    said = facts_of(
        "uid\t0\nclock\tx\nfree\t-5\npython\t\x1b[2J" + "x" * 1000 + "\nbefore\tgarbage\nrunning\t\nend\tyes\n"
    )
    assert said is not None
    assert (said.clock_s, said.free_bytes, said.before, said.running) == (0, 0, None, "unknown")
    assert said.python.startswith("?[2Jx")
    assert len(said.python) == 400


def test_the_note_and_the_version_are_read_back_as_they_were_written() -> None:
    assert Before.of(NOTED.line()) == NOTED
    none = Before(release="r", boot=None, units=frozenset())
    assert Before.of(none.line()) == none
    assert version_of("1.0_local-0123456789ab-01234567") == "1.0+local"
