"""``assay database``: the schema."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.settings import read_settings

app = typer.Typer(help="The database's schema.", no_args_is_help=True)
Data = Annotated[Path | None, typer.Option(help="The server's data directory.", envvar="ASSAY_DATA")]
Database = Annotated[
    str | None,
    typer.Option(help="The database: postgresql://USER@HOST/NAME, or SQLite in DATA.", envvar="ASSAY_DATABASE_URL"),
]


@app.callback()
def _group() -> None:
    """The database's schema."""


@app.command()
def upgrade(data: Data = None, database: Database = None) -> None:
    """Bring the database to the schema of this version; no server may run on it. 'assay serve' does the same."""
    from orchestrator.store.directory import take  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.engine import engine_at, opening  # noqa: PLC0415
    from orchestrator.store.migrating import bring_up  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    with take(settings.data, shared=settings.sqlite_path is None):
        engine = engine_at(settings.database_url)
        with opening(engine):
            before, after = bring_up(engine)
        engine.dispose()
    was = f"was brought from schema {before} to" if before else "was empty and has"
    typer.echo(f"the database {was} schema {after}" if before != after else f"the database has schema {after} already")
