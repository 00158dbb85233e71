"""The command ``assay-deploy``. Status 0: done; 1: not at every host; 2: it could not be done."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.build import Dependencies, Manifest, make_build, read_build
from deploy.rollout_file import FILE, Rollout, read_rollout
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError, BadInput
from lab_inventory.lab import read_lab

if TYPE_CHECKING:
    from deploy.orchestrator import Orchestrator

app = typer.Typer(
    help="Brings agents to the hosts of a lab over SSH. An operator's token comes from ASSAY_TOKEN or ASSAY_DATA.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
LabFile = Annotated[Path, typer.Argument(help="The lab file (YAML).")]
RolloutFile = Annotated[
    Path | None, typer.Option("--rollout", help=f"The rollout file; without it, {FILE} beside the lab file.")
]
Build = Annotated[Path | None, typer.Option(help="Bring this build instead of the one that the rollout file names.")]
Server = Annotated[
    str | None, typer.Option(envvar="ASSAY_SERVER", help="The orchestrator as seen from here, where that is another.")
]
Ca = Annotated[
    Path | None,
    typer.Option(envvar="ASSAY_CA", help="Trust the CA in this file from here; without it, the rollout file's."),
]
Output = Annotated[str, typer.Option("-o", "--output", help="table or json", metavar="FORM")]


@app.command()
def build(
    source: Annotated[Path, typer.Argument(help="A source tree of Assay, or a wheel of it.")] = Path(),
    out: Annotated[Path, typer.Option(help="The directory in which the build is made.")] = Path("builds"),
    constraints: Annotated[
        Path | None, typer.Option(help="The pinned versions; without it, constraints.txt in the source tree.")
    ] = None,
    dependencies: Annotated[
        Dependencies, typer.Option(help="carried: with every wheel it needs; host: the hosts' Python has them.")
    ] = Dependencies.CARRIED,
    also: Annotated[
        list[Path] | None, typer.Option("--with", help="A wheel of another package, as of a driver; may come again.")
    ] = None,
    output: Output = "table",
) -> None:
    """Make a build: wheels, pinned versions and a manifest with every digest."""
    _check_form(output)
    pinned = constraints or source / "constraints.txt"
    directory, manifest = make_build(source, out, pinned, dependencies, also or ())
    size = sum(file.size_bytes for file in manifest.files)
    if output == "json":
        typer.echo(json.dumps({"build": manifest.build, "directory": str(directory), "size_bytes": size}))
    else:
        typer.echo(f"{directory}: {len(manifest.files)} files, {size // 1_000_000} MB, Python {manifest.python}")


@app.command()
def plan(
    lab: LabFile,
    rollout: RolloutFile = None,
    build: Build = None,
    server: Server = None,
    ca: Ca = None,
    output: Output = "table",
) -> None:
    """Look at every host and say what apply would do there; changes nothing. Status 1: a host would be refused."""
    from deploy.decide import WORDS  # noqa: PLC0415  (only these commands need SSH)

    _check_form(output)
    wanted, manifest = _read(lab, rollout, build)
    plans = asyncio.run(_plan(wanted, manifest, server, ca))
    rows: list[dict[str, Any]] = [
        {
            "host": one.host,
            "now": one.facts.running if one.facts else None,
            "release": one.release,
            "runs": one.seen.runs if one.seen else None,
            "steps": list(one.steps),
            "refused": list(one.refused),
        }
        for one in plans
    ]
    if output == "json":
        typer.echo(json.dumps(rows, indent=2))
    else:
        _table(
            ["host", "runs now", "is to run", "what apply would do"],
            [
                [
                    row["host"],
                    row["now"] or "nothing",
                    row["release"],
                    "REFUSED: " + "\n".join(row["refused"])
                    if row["refused"]
                    else "\n".join(WORDS[step] for step in row["steps"]) or "nothing: all is done",
                ]
                for row in rows
            ],
        )
        typer.echo(_promise(wanted))
        _tell_absent(lab, wanted)
    raise typer.Exit(1 if any(row["refused"] for row in rows) else 0)


@app.command()
def apply(
    lab: LabFile,
    rollout: RolloutFile = None,
    build: Build = None,
    server: Server = None,
    ca: Ca = None,
    output: Output = "table",
) -> None:
    """Bring every host to its release: prepare, drain, switch, verify, undrain, or back. Goes on where it was cut.

    Progress goes to standard error. Status 1: not every host is where it should be.
    """
    from deploy.rollout import BAD  # noqa: PLC0415

    _check_form(output)
    wanted, manifest = _read(lab, rollout, build)
    outcomes = asyncio.run(_apply(wanted, manifest, server, ca, as_json=output == "json"))
    if output == "json":
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        _table(
            ["host", "result", "release", "detail"],
            [[one.host, one.result, one.release or "", one.detail] for one in outcomes],
        )
        typer.echo(_promise(wanted))
    raise typer.Exit(1 if any(outcome.result in BAD for outcome in outcomes) else 0)


def _read(lab: Path, rollout: Path | None, build: Path | None) -> tuple[Rollout, Manifest]:
    """Everything that is read here before any host is spoken with."""
    from deploy.connection import check_key_file, check_known_hosts  # noqa: PLC0415

    wanted = read_rollout(rollout or lab.parent / FILE, read_lab(lab))
    if build is not None:
        wanted = wanted.model_copy(update={"build": build.absolute()})
    check_key_file(wanted.ssh.key_file)
    check_known_hosts(wanted.ssh.known_hosts)
    return wanted, read_build(wanted.build)


async def _plan(wanted: Rollout, manifest: Manifest, server: str | None, ca: Path | None) -> Sequence[Any]:
    from deploy.rollout import Applying  # noqa: PLC0415

    async with _orchestrator(wanted, server, ca) as orchestrator:
        return await Applying(
            rollout=wanted,
            manifest=manifest,
            orchestrator=orchestrator,
            clock=SystemClock(),
            tell=lambda host, slug, words: None,
        ).plan()


async def _apply(
    wanted: Rollout, manifest: Manifest, server: str | None, ca: Path | None, *, as_json: bool
) -> Sequence[Any]:
    from deploy.rollout import Applying  # noqa: PLC0415

    clock = SystemClock()

    def tell(host: str, slug: str, words: str) -> None:
        if as_json:
            line = json.dumps({"at": clock.now().isoformat(), "slug": slug, "host": host, "words": words})
        else:
            line = f"{host}: {slug.replace('-', ' ')}: {words}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    async with _orchestrator(wanted, server, ca) as orchestrator:
        return await Applying(
            rollout=wanted, manifest=manifest, orchestrator=orchestrator, clock=clock, tell=tell
        ).apply()


def _orchestrator(wanted: Rollout, server: str | None, ca: Path | None) -> "Orchestrator":
    from deploy.orchestrator import Orchestrator, operator_token  # noqa: PLC0415

    return Orchestrator(
        server or wanted.server,
        operator_token(),
        ca=ca or wanted.ca,
        trusted_network=wanted.agent.trusted_network,
    )


def _promise(wanted: Rollout) -> str:
    from deploy.supervisors import supervisor_of  # noqa: PLC0415

    return f"supervisor {wanted.agent.supervisor}: {supervisor_of(wanted.agent).promise}"


def _tell_absent(lab: Path, wanted: Rollout) -> None:
    names = {target.name for target in wanted.hosts}
    absent = [host.name for host in read_lab(lab).hosts if host.name not in names]
    if absent:
        typer.echo(f"of the lab file, but not in the rollout file and left alone: {', '.join(absent)}")


def _check_form(output: str) -> None:
    if output not in ("table", "json"):
        raise BadInput(f"-o {output} is no form; expected table or json")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, show_lines=True, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def main() -> None:
    """Run the command; errors are told in words."""
    try:
        app()
    except (AssayError, OSError) as error:
        print(f"assay-deploy: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
