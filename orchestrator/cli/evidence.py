"""``assay evidence``: reads the database and the data directory; beside a server that runs or without one."""

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.database import Data, Database
from orchestrator.settings import read_settings

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
