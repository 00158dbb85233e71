"""``assay backup`` and ``assay restore``: read and write the database and the data directory; need no server."""

from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.database import Data, Database
from orchestrator.settings import read_settings


def backup_command(
    file: Annotated[Path, typer.Argument(help="The new file; nothing is overwritten.")],
    data: Data = None,
    database: Database = None,
    artifacts: Annotated[bool, typer.Option(help="With the evidence, and not only its addresses.")] = True,
    with_signing_key: Annotated[
        bool, typer.Option("--with-signing-key", help="With the private key: whoever has the file can sign.")
    ] = False,
) -> None:
    """Back everything up into one file, while servers run or not."""
    from orchestrator.store.backup import backup  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.store import Store  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise BadInput(f"{settings.data}: there is no database of Assay")
    store = Store(settings.database_url, SystemClock(), upgrade=False)
    try:
        kept = backup(store, settings.data, file, SystemClock(), artifacts=artifacts, signing_key=with_signing_key)
    finally:
        store.close()
    typer.echo(
        f"{file}: {kept.rows} rows, {kept.journal_length} of them the journal, head {kept.journal_head}; "
        f"{kept.artifacts} artifacts{'' if artifacts else ', by their addresses only'}"
    )
    if not kept.signing_key:
        typer.echo(f"the signing key is not in it: keep {settings.data / 'signing-key.json'} apart")


def restore_command(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    data: Data = None,
    database: Database = None,
) -> None:
    """Restore a backup into an empty database and data directory, of either kind; a damaged one is refused."""
    from orchestrator.store.backup import restore  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.directory import take  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    with take(settings.data):
        kept = restore(file, settings.data, settings.database_url)
    typer.echo(
        f"restored {kept.rows} rows under schema {kept.schema}; the chain of {kept.journal_length} journal rows holds, "
        f"head {kept.journal_head}; {kept.artifacts} artifacts"
    )
    if kept.missing:
        typer.echo(f"{kept.missing} artifacts are listed and not here: copy them to {settings.data / 'artifacts'}")
    if not (settings.data / "signing-key.json").exists():
        typer.echo(
            f"the signing key is not in it: put it back as {settings.data / 'signing-key.json'} before the next "
            "'assay serve', which else makes a new one that nobody trusts yet"
        )
