"""What is to be done on a host, from what is true there and at the orchestrator; or why nothing is. Pure.

The same facts always give the same steps, and a host on which all is done gives none: that is what makes an apply
repeatable, and one that was cut resumable.
"""

from dataclasses import dataclass
from enum import StrEnum

from deploy.build import Manifest
from deploy.facts import HostFacts
from deploy.release import Release
from deploy.rollout_file import Limits, RunsGoingOn, SupervisorName

MARK = "assay-deploy: "
"""What the reason of a drain begins with that is a rollout's and not a person's."""


class Step(StrEnum):
    """What is done on a host, in this order; each can be repeated."""

    PREPARE = "prepare"
    UPLOAD = "upload"
    INSTALL = "install"
    RELEASE = "release"
    JOIN = "join"
    CHECK = "check"
    DRAIN = "drain"
    WAIT = "wait"
    SWITCH = "switch"
    START = "start"
    VERIFY = "verify"
    UNDRAIN = "undrain"


WORDS = {
    Step.PREPARE: "make the agent's user and directories",
    Step.UPLOAD: "upload the build and check its digests",
    Step.INSTALL: "install the build beside those that are there",
    Step.RELEASE: "write settings, unit and udev rules of the release",
    Step.JOIN: "join: a single-use token, told over the connection",
    Step.CHECK: "have the new build look at the host (assay-agent doctor)",
    Step.DRAIN: "note its boot and units; drain: nothing new is placed at the host",
    Step.WAIT: "wait for the runs that are going on",
    Step.SWITCH: "stop the agent and switch to the release",
    Step.START: "start the agent",
    Step.VERIFY: "verify: it is heard with its version and units",
    Step.UNDRAIN: "undrain",
}
PREPARING = (Step.PREPARE, Step.UPLOAD, Step.INSTALL, Step.RELEASE, Step.JOIN, Step.CHECK)
"""The steps after which a host still serves as it did."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A host as the orchestrator sees it. ``heard_s_ago`` None: not since the orchestrator started."""

    host: str
    drained: bool
    reason: str
    agent_version: str | None
    boot: str | None
    heard_s_ago: float | None
    runs: int
    units: frozenset[str]

    @property
    def drained_by_a_rollout(self) -> bool:
        """Whether it is out of service because of a rollout; what a person took out stays out."""
        return self.drained and self.reason.startswith(MARK)


def refusals(
    facts: HostFacts, manifest: Manifest, limits: Limits, supervisor: SupervisorName, now_s: float
) -> list[str]:
    """Everything that keeps a rollout from this host, in words."""
    found = []
    if facts.uid != "0":
        found.append(
            "the user is not root there and sudo did not make it so; expected root, or sudo without a password"
        )
    if facts.missing:
        found.append(f"missing programs: {', '.join(facts.missing)}; expected Debian's base system with util-linux")
    if facts.python.count(".") != 2 or not facts.python.replace(".", "").isdigit():
        found.append(f"no usable Python ({facts.python or 'it said nothing'}); expected Python with venv and ensurepip")
    elif facts.python.rpartition(".")[0] != manifest.python:
        found.append(f"Python is {facts.python}; this build is for {manifest.python}")
    if facts.machine != manifest.machine:
        found.append(f"the machine is {facts.machine}; this build is for {manifest.machine}")
    if facts.free_bytes < limits.free_bytes_min:
        free, least = facts.free_bytes // 1_000_000, limits.free_bytes_min // 1_000_000
        found.append(f"{free} MB are free; expected at least {least} MB")
    offset_s = facts.clock_s - now_s
    if abs(offset_s) > limits.clock_offset_s:
        found.append(f"its clock is {offset_s:+.0f} s from here; expected at most {limits.clock_offset_s:g} s")
    if supervisor is SupervisorName.SYSTEMD and not facts.systemd:
        found.append("no systemd runs there; where that is meant to be so, set agent.supervisor to process")
    return found


def steps(facts: HostFacts, release: Release, seen: Seen, runs: RunsGoingOn) -> tuple[Step, ...]:
    """What is still to be done, in order; nothing where all is done."""
    switch = facts.current != release.name
    # An agent that lost its credential is stopped to join again.
    restart = switch or facts.running != release.name or not facts.credential
    noted = facts.before is not None and facts.before.release == release.name
    disturbed = restart or facts.proven != release.name or seen.drained_by_a_rollout
    wanted = {
        Step.PREPARE: not (facts.user and facts.directories),
        Step.UPLOAD: release.build not in facts.builds,
        Step.INSTALL: release.build not in facts.builds,
        Step.RELEASE: release.name not in facts.releases,
        Step.JOIN: not facts.credential,
        Step.CHECK: restart,
        Step.DRAIN: disturbed and (not seen.drained or not noted),
        Step.WAIT: restart and facts.running is not None and runs is RunsGoingOn.WAIT,
        Step.SWITCH: switch,
        Step.START: restart,
        Step.VERIFY: disturbed,
        Step.UNDRAIN: disturbed and (not seen.drained or seen.drained_by_a_rollout),
    }
    return tuple(step for step in Step if wanted[step])


def not_yet(seen: Seen, *, version: str, boot_before: str | None, units_before: frozenset[str]) -> str:
    """Why a host does not serve yet as it should, or nothing."""
    if seen.heard_s_ago is None or seen.boot is None or seen.boot == boot_before:
        return "the agent has not been heard of since it was started"
    if seen.heard_s_ago > HEARD_S_MAX:
        return f"the agent was last heard of {seen.heard_s_ago:g} s ago"
    if seen.agent_version != version:
        return f"the agent that is heard is of version {seen.agent_version}; expected {version}"
    gone = sorted(units_before - seen.units)
    if gone:
        return f"{len(gone)} unit(s) that were there before are not back: {', '.join(gone[:5])}"
    return ""


HEARD_S_MAX = 15.0
