"""``make bench-faults N=3``: each fault injected into N real runs, quiet runs, and two devices that do fail."""

import argparse
import asyncio
import random  # noqa: TID251 - when a fault strikes is drawn from a seed
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.lifecycle.verdict import Verdict
from tests.bench_faults.bed import SHORT, Ended, all_cases, bed
from tests.bench_faults.faults import FAULTS

DEFECTS = {"hold-as-sendrecv": "BP-SIP-03", "dtmf-end-missing": "BP-MED-02"}
SPOILT = (Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.NOT_RUN)
SHARE_MAX = 0.02


@dataclass
class Row:
    """What came of all runs with one fault."""

    fault: str
    runs: int = 0
    struck: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    fails: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, ended: Ended, struck: int) -> None:
        self.runs += 1
        self.struck += struck
        self.verdicts.update(verdict.value for verdict in ended.verdicts().values())
        self.fails += [f"{requirement} ({level}): {words}" for (level, requirement), words in ended.failed().items()]
        if ended.reason:
            self.reasons.append(ended.reason)

    @property
    def spoilt(self) -> int:
        """Verdicts that are the lab's."""
        return sum(self.verdicts[verdict.value] for verdict in SPOILT)

    @property
    def share(self) -> float:
        """Of all verdicts, those that are the lab's."""
        return self.spoilt / max(1, self.verdicts.total())


async def run_with(fault: str, seed: int, cases: Sequence[str] = SHORT) -> tuple[Ended, int]:
    """One run with a fault; how often it struck."""
    chance = random.Random(f"{fault} {seed}")
    with tempfile.TemporaryDirectory() as folder:
        async with bed(Path(folder) / "bed", cases=cases) as on, FAULTS[fault](on, chance) as struck:
            directory = on.prepare()
            on.start(directory)
            return await on.end(directory), struck.times


async def run_quiet(defects: Sequence[str] = (), cases: Sequence[str] = SHORT) -> Ended:
    """One run in which nothing is injected."""
    with tempfile.TemporaryDirectory() as folder:
        async with bed(Path(folder) / "bed", defects=defects, cases=cases) as on:
            directory = on.prepare()
            on.start(directory)
            return await on.end(directory)


def upper_bound(count: int, of: int) -> float:
    """The one-sided 95 % bound of a share (Clopper and Pearson, 1934), found by halving; 1 for none."""
    if of == 0 or count >= of:
        return 1.0
    low, high = count / of, 1.0
    for _ in range(60):
        share = (low + high) / 2
        term = at_most = (1 - share) ** of
        for k in range(1, count + 1):
            term *= (of - k + 1) / k * share / (1 - share)
            at_most += term
        low, high = (share, high) if at_most > 0.05 else (low, share)
    return high


def line(row: Row) -> str:
    named = {v: row.verdicts[v] for v in ("pass", "fail", "error", "inconclusive", "not-run")}
    counts = "  ".join(f"{number:>4}" for number in named.values())
    return f"{row.fault:<22} {row.runs:>4} {row.struck:>8}   {counts}   {len(row.fails):>12}"


async def carry_out(options: argparse.Namespace) -> int:
    cases = SHORT if options.short else all_cases()
    print(f"{'fault':<22} {'runs':>4} {'injected':>8}   pass  fail  err.  inc.  n.run   device fails")
    rows = []
    for fault in options.fault or FAULTS:
        row = Row(fault)
        for number in range(options.runs):
            row.add(*await run_with(fault, options.seed + number, cases))
        rows.append(row)
        print(line(row), flush=True)
        for words in dict.fromkeys(row.fails if row.fails else row.reasons[:1]):
            print(f"    {words[:300]}")
    quiet = Row("none")
    for _ in range(options.quiet):
        quiet.add(await run_quiet(cases=cases), 0)
    print(line(quiet))
    total = quiet.verdicts.total()
    bound = upper_bound(quiet.spoilt, total)
    print(f"quiet bench: {quiet.spoilt} of {total} verdicts are the lab's, {quiet.share:.2%} (95 % bound {bound:.2%})")
    missed = []
    for defect, requirement in DEFECTS.items() if options.defects else ():
        failed = {name for _, name in (await run_quiet([defect], cases)).failed()}
        print(
            f"defect {defect}: {'found' if requirement in failed else 'MISSED'} by {', '.join(sorted(failed)) or '-'}"
        )
        missed += [defect] if requirement not in failed else []
    fails = sum(len(row.fails) for row in (*rows, quiet))
    idle = [row.fault for row in rows if row.runs and not row.struck]
    print(f"device fails: {fails}" + (f"; never struck: {', '.join(idle)}" if idle else ""))
    return 1 if fails or missed or idle or quiet.share >= SHARE_MAX else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """0: no device failed by a fault, the faults struck, the quiet share is below its bound, real defects are found."""
    parser = argparse.ArgumentParser(description="Faults of the bench in real runs, on a real phone.")
    parser.add_argument("--runs", type=int, default=3, help="for each fault")
    parser.add_argument("--quiet", type=int, default=5, help="runs without a fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="this one alone; may be repeated")
    parser.add_argument("--short", action="store_true", help="without the cases that only wait")
    parser.add_argument("--no-defects", dest="defects", action="store_false")
    return asyncio.run(carry_out(parser.parse_args(arguments)))
