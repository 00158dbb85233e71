"""``python -m tests.lanes [ARGUMENT...]``: the whole suite, in phases whose lanes run beside each other.

Many tests that need a machine's network or processes wait far more than they reckon. So where namespaces may be made
(as root), the lanes of a phase have a network, process table, /tmp and /run/netns of their own, and share the machine;
elsewhere they run one after another. ARGUMENT goes to every pytest, and may choose tests of one kind only.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMESPACES = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
SLOWEST = "--durations=12"
YIELDING = ("chrt", "--idle", "0")
"""The light tests reckon; those beside them wait for phones and hosts, and keep time with them."""
OF_ITS_OWN = """
mount --make-rprivate /
mount --bind "$1" /tmp
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip link set lo up
shift
"$@" || exit
"""
"""The shell stays as the first process there: it buries what loses its parent, as an init does."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One pytest: ``where`` are paths below tests/; none: all of them. ``yields``: it takes what the others leave of
    the processors.
    """

    name: str
    where: Sequence[str] = ()
    options: Sequence[str] = ("-m", "alone")
    yields: bool = False

    def arguments(self) -> list[str]:
        """For pytest."""
        return [*self.options, *(f"tests/{path}" for path in self.where)]


PHASES = (
    (
        Lane(name="light", options=("-m", "not alone", "-n", "2", "--dist", "worksteal"), yields=True),
        Lane(name="parts", where=("agents", "contracts", "deploy", "orchestrator")),
    ),
    (Lane(name="labs", where=("bench_faults", "cluster", "e2e", "faults")),),  # they judge, or starve the machine
    (Lane(name="headset", where=("headset",)),),  # an emulated machine takes a processor and its clock counts
)
"""Every test is in one lane, and in one only: ``tests/test_lanes.py`` counts."""


def main(given: Sequence[str]) -> int:
    """0 when every lane passed, else 1. A lane is told whole when it ends, so that no two are told into each other."""
    codes: list[int] = []
    apart = _may_be_apart()
    for lanes in PHASES:
        if apart and len(lanes) > 1:
            codes += _beside_each_other(lanes, given)
        else:
            codes += [subprocess.run(_command(lane, given), cwd=ROOT, check=False).returncode for lane in lanes]
        if not set(codes) <= {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return 1
    return 0 if pytest.ExitCode.OK in codes else 1


def _command(lane: Lane, given: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", SLOWEST, *lane.arguments(), *given]


def _beside_each_other(lanes: Sequence[Lane], given: Sequence[str]) -> list[int]:
    with ExitStack() as stack:
        started = []
        for lane in lanes:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"lane-{lane.name}-"))
            Path(place).chmod(0o1777)  # as /tmp is: the database runs as another user
            said = stack.enter_context(tempfile.TemporaryFile())
            behind = YIELDING if lane.yields else ()
            command = [*behind, *NAMESPACES, "sh", "-ec", OF_ITS_OWN, "sh", place, *_command(lane, given)]
            started.append((lane, said, subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)))
        print(f"beside each other: {', '.join(lane.name for lane in lanes)}", flush=True)
        # What failed comes last, where one looks first.
        for lane, said, process in sorted(started, key=lambda each: each[2].wait()):
            print(f"lane {lane.name} ended with {process.returncode}", flush=True)
            said.seek(0)
            shutil.copyfileobj(said, sys.stdout.buffer)
            sys.stdout.flush()
        return [process.returncode for _, _, process in started]


def _may_be_apart() -> bool:
    tried = subprocess.run([*NAMESPACES, "ip", "link", "set", "lo", "up"], check=False, capture_output=True)
    return tried.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
