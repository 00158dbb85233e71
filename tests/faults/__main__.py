"""``make faults N=200``, the same faults again (``SEED=7``), or an outage: ``make faults OUTAGE_S=600``.

Status 0: nothing lost, nothing driven twice, all books agree; 1: something is wrong; 2: it could not be carried out.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab_inventory.clock import SystemClock
from tests.faults.choice import CLOCKS, OTHERS, choose
from tests.faults.lab import Limits
from tests.faults.outage import Outage
from tests.faults.planted_trial import sought
from tests.faults.trial import BRISK, Pace, Trial, summary

LEASE_TTL_S = 12.0
INSIDE = "ASSAY_FAULTS_INSIDE"
_APART = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_clock = SystemClock()


def apart() -> tuple[str, ...]:
    """What sets mounts and processes apart from the machine's, as this user may: or nothing where no user may."""
    for command in (("unshare", *_APART), ("unshare", "--user", "--map-root-user", *_APART)):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return ()


def build_shim(folder: Path) -> Path | None:
    """The library that moves wall clocks; None where there is no C compiler."""
    source, made = Path(__file__).with_name("wall_clock.c"), folder / "wall_clock.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source)], check=True)
    return made


def commit() -> str:
    """The commit that is tried."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one trial."""
    parser = argparse.ArgumentParser(description="Real processes under real faults.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, help="the choice of faults; by default a new one")
    parser.add_argument("--lease-ttl-s", type=float, help="by default 12, and for an outage the product's own")
    parser.add_argument("--outage-s", type=float, help="instead: the server is away once, for so long")
    parser.add_argument("--fault", action="append", choices=OTHERS, help="beside kills only these; by default all")
    parser.add_argument(
        "--planted", action="store_true", help="instead: an agent with a bug, that the witness must see"
    )
    parser.add_argument("--brisk", action="store_true", help="waits and faults cut short, for tests")
    parser.add_argument("--keep", type=Path, help="leave everything in this directory, for whoever looks afterwards")
    options = parser.parse_args(arguments)
    if INSIDE not in os.environ:
        # A shell in between takes in the processes whose parents were killed.
        own = [sys.executable, "-m", "tests.faults", *(sys.argv[1:] if arguments is None else arguments)]
        inside = {**os.environ, INSIDE: "1"}
        return subprocess.run([*apart(), "sh", "-c", '"$@"; exit $?', "sh", *own], env=inside, check=False).returncode
    seed = options.seed if options.seed is not None else int(_clock.uniform(1, 1_000_000))
    work = options.keep or Path(tempfile.mkdtemp(prefix="assay-faults-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        if options.planted:
            return _planted(work)
        if options.outage_s is not None:
            return _outage(work, options.outage_s, options.lease_ttl_s)
        limits = Limits(lease_ttl_s=options.lease_ttl_s or LEASE_TTL_S)
        pace = BRISK if options.brisk else Pace()
        return _faults(work, seed, options.kills, limits, pace, options.fault or OTHERS)
    except AssertionError as error:
        print(f"seed {seed}: {error}", file=sys.stderr)
        return 2
    finally:
        if options.keep is None:
            shutil.rmtree(work, ignore_errors=True)


def _faults(work: Path, seed: int, kills: int, limits: Limits, pace: Pace, wanted: Sequence[str]) -> int:
    shim = build_shim(work)
    trial = Trial(work, seed, limits, pace, shim=shim, say=_say)
    others = [
        fault for fault in wanted if (shim or fault not in CLOCKS) and (trial.mounted or not fault.endswith("full"))
    ]
    for fault in wanted:
        if fault not in others:
            why = (
                "there is no C compiler (apt-get install gcc libc6-dev)"
                if fault in CLOCKS
                else "nothing may be mounted"
            )
            print(f"LEFT OUT: {fault}: {why}")
    outcome = trial.run(choose(seed, kills, others), kills)
    print(summary(outcome, seed, commit()))
    return 1 if outcome.wrong else 0


def _planted(work: Path) -> int:
    seen = sought(work, say=_say)
    print("\n".join(seen))
    print(f"driven twice: {len(seen)}")
    return 1 if seen else 0


def _say(words: str) -> None:
    print(words, flush=True)


def _outage(work: Path, seconds: float, lease_ttl_s: float | None) -> int:
    outage = Outage(work, seconds, lease_ttl_s=lease_ttl_s, say=_say)
    wrong = outage.run()
    print("\n".join(wrong) if wrong else "no run ended by it, no result lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
