"""``assay audit``: reads the database directly; needs no running server."""

import json

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.client import Output
from orchestrator.cli.database import Data, Database
from orchestrator.settings import read_settings

app = typer.Typer(help="The journal and the tables.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The journal and the tables."""


@app.command()
def verify(
    data: Data = None,
    database: Database = None,
    output: Output = "table",
) -> None:
    """Check the journal's chain, and that the tables say what it says. Status 1: something is wrong."""
    from orchestrator.store.audit import audit  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.store import Store  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise BadInput(f"{settings.data}: there is no database of Assay")
    store = Store(settings.database_url, SystemClock(), upgrade=False)
    with store.reading() as connection:
        found = audit(connection)
    if output == "json":
        typer.echo(json.dumps({"rows": found.rows, "head": found.head, "findings": found.findings}, indent=2))
    else:
        for finding in found.findings:
            typer.echo(f"WRONG: {finding}")
        state = (
            f"{len(found.findings)} finding(s)" if found.findings else "the chain holds and the tables agree with it"
        )
        typer.echo(f"{found.rows} journal rows, head {found.head}: {state}")
    raise typer.Exit(1 if found.findings else 0)
