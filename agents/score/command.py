"""The command ``assay-agent suite score``: runs a scoring, prints its table, and keeps it."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from agents.durable import write_whole
from agents.score import ip_phone, usb_headset
from agents.score.scoring import Phone, score
from agents.score.seeded import Subject
from agents.score.table import Scope, ScoreTable
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput

suite = typer.Typer(help="What the suites of this agent are worth.", no_args_is_help=True)
AT_ONCE_MAX = 32
MACHINE = Path("var/lab-vm")


@suite.callback()
def _of_suites() -> None:
    """Keeps ``score`` a command of its own."""


@suite.command("score")
def score_suite(
    category: Annotated[str, typer.Argument(help="ip-phone, usb-headset")],
    third_party: Annotated[
        Path | None, typer.Option(help="Also score with a third party's phone program: its directory of configuration.")
    ] = None,
    healthy: Annotated[int, typer.Option(min=0, max=1000, help="How often each phone is run without a defect.")] = 5,
    healthy_in: Annotated[
        list[str] | None, typer.Option(help="ip-phone: run healthy phones in this profile alone; may be given again.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this defect; may be given several times.")] = None,
    without_reference: Annotated[bool, typer.Option(help="Leave the reference phone out.")] = False,
    scope: Annotated[Scope, typer.Option(help="Which cases a phone with a defect gets.")] = Scope.ALL,
    at_once: Annotated[int | None, typer.Option(min=1, max=AT_ONCE_MAX, help="How many runs at once.")] = None,
    seed: Annotated[int | None, typer.Option(help="The order of an earlier scoring again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the table is kept, as JSON.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep runs and evidence in this new directory.")] = None,
    tier: Annotated[
        list[str] | None, typer.Option(help="usb-headset: usbip (without it) or virtual-machine; may be given again.")
    ] = None,
    machine: Annotated[Path, typer.Option(help="usb-headset: where the virtual machine is built.")] = MACHINE,
) -> None:
    """Run the suite on devices with seeded defects. Status 0: all came out as they must; 1: some did not."""
    if category == usb_headset.CATEGORY:
        _score_headset(tier or ["usbip"], healthy, only, scope, at_once, seed, out, keep, machine)
    elif category == "ip-phone":
        _score_phones(third_party, healthy, healthy_in, only, without_reference, scope, at_once, seed, out, keep)
    else:
        raise BadInput(f"there is no score for {category}; expected ip-phone or usb-headset")


def _score_phones(
    third_party: Path | None,
    healthy: int,
    healthy_in: Sequence[str] | None,
    only: Sequence[str] | None,
    without_reference: bool,
    scope: Scope,
    at_once: int | None,
    seed: int | None,
    out: Path | None,
    keep: Path | None,
) -> None:
    programme = ip_phone.programme()
    phones: dict[str, Phone] = {}
    if not without_reference:
        phones[ip_phone.REFERENCE] = ip_phone.reference(programme)
    if third_party is not None:
        phones[ip_phone.THIRD_PARTY] = ip_phone.third_party(third_party, programme)
    known = sorted({profile for phone in phones.values() for profile in phone.goldens})
    for profile in healthy_in or ():
        if profile not in known:
            raise BadInput(f"no phone is run healthy in profile {profile}; known are {', '.join(known)}")
    every = ip_phone.all_subjects(phones, programme, healthy=healthy)
    drawn = [one for one in _chosen(every, only) if one.defect or not healthy_in or one.profile in healthy_in]
    clock = SystemClock()
    order = seed if seed is not None else int(clock.uniform(0, 1_000_000))
    asked = ip_phone.asked(programme)
    typer.echo(f"{len(drawn)} runs, seed {order}; order and names are told at the end")

    def run(work: Path) -> ScoreTable:
        return asyncio.run(
            score(
                phones,
                drawn,
                asked,
                scope=scope,
                seed=order,
                at_once=at_once or 2 * (os.cpu_count() or 1),
                work=work,
                clock=clock,
                tell=typer.echo,
            )
        )

    _kept(run, out, keep, clock)


def _score_headset(
    named: Sequence[str],
    healthy: int,
    only: Sequence[str] | None,
    scope: Scope,
    at_once: int | None,
    seed: int | None,
    out: Path | None,
    keep: Path | None,
    machine: Path,
) -> None:
    from agents.score.headset_scoring import score_headset  # noqa: PLC0415  (loads what only headsets need)
    from agents.score.headset_tiers import Tier  # noqa: PLC0415

    unknown = sorted(set(named) - set(Tier))
    if unknown:
        raise BadInput(f"unknown tier {', '.join(unknown)}; expected {' or '.join(Tier)}")
    tiers = [tier for tier in Tier if tier in named]
    programme = usb_headset.programme()
    every = [one for tier in tiers for one in usb_headset.subjects(tier, programme, healthy=healthy)]
    drawn = _chosen(every, only)
    clock = SystemClock()
    order = seed if seed is not None else int(clock.uniform(0, 1_000_000))
    typer.echo(f"{len(drawn)} runs, seed {order}; order and names are told at the end")

    def run(work: Path) -> ScoreTable:
        return asyncio.run(
            score_headset(
                tiers,
                drawn,
                programme,
                image=machine,
                scope=scope,
                seed=order,
                at_once=at_once or (os.cpu_count() or 1),
                work=work,
                clock=clock,
                tell=typer.echo,
            )
        )

    _kept(run, out, keep, clock)


def _kept(run: Callable[[Path], ScoreTable], out: Path | None, keep: Path | None, clock: SystemClock) -> None:
    """Run the scoring, keep and print its table, and end with what it came to."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="assay-score-") as folder:
            table = run(Path(folder))
    else:
        keep.mkdir(parents=True)
        table = run(keep.absolute())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, table.model_dump_json(indent=1).encode(), clock)
    print_table(table)
    if out is not None:
        typer.echo(f"kept in {out}")
    wrong = any(not row.right for row in table.rows) or any(run.departures for run in table.healthy)
    raise typer.Exit(1 if wrong else 0)


def _chosen(drawn: Sequence[Subject], only: Sequence[str] | None) -> tuple[Subject, ...]:
    if not only:
        return tuple(drawn)
    known = {subject.defect for subject in drawn if subject.defect}
    unknown = sorted(set(only) - known)
    if unknown:
        raise BadInput(f"unknown defect {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return tuple(subject for subject in drawn if subject.defect is None or subject.defect in only)


def print_table(table: ScoreTable) -> None:
    """The table for people: what is not as it must be stands in capitals."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table("device", "defect", "size", "must", "requirement", "is", "failed as well", "undecided")
    for row in table.rows:
        share = "" if row.share is None else f" (x {row.share:g})"
        sized = "" if row.size is None else f"{row.size:.4g}{share}"
        verdict = str(row.verdict) if row.right else f"WRONG: {row.verdict}"
        shown.add_row(
            f"{row.phone} {row.tier}".strip(), Text(row.defect), sized, str(row.must), row.requirement, verdict,
            ", ".join(row.also), ", ".join(row.undecided),
        )  # fmt: skip
    Console(width=max(Console().width, 140)).print(shown)
    for run in table.healthy:
        for departure in run.departures:
            typer.echo(f"DEPARTED: healthy {run.phone} {run.profile}: {departure}")
        for words in run.undecided:
            typer.echo(f"undecided: healthy {run.phone} {run.profile}: {words}")
    smallest = {row.defect: row.size for row in reversed(table.rows) if row.share and row.share > 1 and row.right}
    for defect, size in sorted(smallest.items()):
        typer.echo(f"smallest size found of {defect}: {size:.4g}")
    typer.echo(table.summary().words)
