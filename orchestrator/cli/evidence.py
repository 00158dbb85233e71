"""``assay evidence``: what certificates rest on, read beside a server; and one case of it, asked of a server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.client import DEFAULT_SERVER, Client, Server, in_words
from orchestrator.cli.database import Data, Database
from orchestrator.settings import read_settings


class LadderForm(StrEnum):
    """The forms of a ladder."""

    TEXT = "text"
    SVG = "svg"


app = typer.Typer(help="The evidence that certificates rest on.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The evidence that certificates rest on."""


@app.command()
def check(data: Data = None, database: Database = None) -> None:
    """Read every file of every certificate that can still hold. Status 1: one is missing or was changed."""
    from orchestrator.store.artifacts import Artifacts  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.evidence_check import checked  # noqa: PLC0415
    from orchestrator.store.store import Store  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise BadInput(f"{settings.data}: there is no database of Assay")
    store = Store(settings.database_url, SystemClock(), upgrade=False)
    try:
        with store.reading() as connection:
            found = list(checked(connection, Artifacts(settings.data / "artifacts")))
    finally:
        store.close()
    lacks = [lack for one in found for lack in one.lacks]
    for lack in lacks:
        names = f" ({', '.join(lack.names)})" if lack.names else ""
        typer.echo(f"{'MISSING' if lack.missing else 'CHANGED'}: {lack.address}{names} of {lack.certificate}")
    files = sum(one.files for one in found)
    typer.echo(f"{len(found)} certificates, {files} files named: {len(lacks)} missing or changed")
    raise typer.Exit(1 if lacks else 0)


@app.command()
def pack(
    run: Annotated[str, typer.Argument(help="The run that measured it.")],
    case: Annotated[str, typer.Argument(help="The test case.")],
    repeat: Annotated[int, typer.Option(help="Which repeat of the case.", min=1, max=100)] = 1,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Into this file; else RUN-CASE-REPEAT.zip.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Write the reproduction pack of one case, which 'assay-agent repro' carries out again. It grants nothing."""
    document = Client(server).document(f"{_path(run, case)}/pack?repeat={repeat}")
    path = out or Path(f"{run}-{case}-{repeat}.zip".replace("/", "-"))
    with in_words():
        path.write_bytes(document)
    typer.echo(f"{path}: {len(document)} bytes")
    typer.echo("REPRODUCTION, grants nothing", err=True)


@app.command()
def ladder(
    run: Annotated[str, typer.Argument(help="The run that measured it.")],
    case: Annotated[str, typer.Argument(help="The test case.")],
    repeat: Annotated[int, typer.Option(help="Which repeat of the case.", min=1, max=100)] = 1,
    form: Annotated[LadderForm, typer.Option(help="text (with every message) or svg.")] = LadderForm.TEXT,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print who said what to whom in one case, and then every message."""
    document = Client(server).document(f"{_path(run, case)}/ladder?repeat={repeat}&form={form.value}")
    typer.echo(document.decode(), nl=False)


def _path(run: str, case: str) -> str:
    return f"/v1/runs/{quote(run, safe='')}/cases/{quote(case, safe='')}"
