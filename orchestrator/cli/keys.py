"""``assay keys``: the keys that sign. Works on the server's host, on its database and its data directory."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.noun import says_nothing
from orchestrator.cli.client import Output, in_words, show
from orchestrator.cli.database import Data, Database
from orchestrator.settings import Settings, read_settings

if TYPE_CHECKING:
    from orchestrator.store.store import Store

app = typer.Typer(help="The keys with which this lab signs; on the server's host.", no_args_is_help=True)
COLUMNS = ("number", "thumbprint", "state", "valid_from", "retired_at", "compromised_since")


@app.command("list")
def list_keys(data: Data = None, database: Database = None, output: Output = "table") -> None:
    """Every key that signed here, the oldest first."""
    from orchestrator import signing_keys  # noqa: PLC0415  (only these commands need the database)
    from orchestrator.store.directory import opened  # noqa: PLC0415

    settings = _there(data, database)
    with opened(settings.data, settings.database_url, SystemClock()) as store:
        signer = signing_keys.signer_at(settings.data, store, name=settings.issuer)
        show(signing_keys.published(store, signer)["keys"], COLUMNS, output)


@app.command()
def rotate(
    data: Data = None,
    database: Database = None,
    alone: Annotated[
        bool,
        typer.Option("--alone", help="The old key is lost or stolen: the new one is introduced by nobody."),
    ] = False,
) -> None:
    """Sign with a new key from now on, introduced by the old one, which is deleted. No server may run meanwhile."""
    from orchestrator import signing_keys  # noqa: PLC0415

    settings = _there(data, database)
    with _without_servers(settings) as store:
        made = signing_keys.rotate(settings.data, store, SystemClock(), name=settings.issuer, introduced=not alone)
    by = f"introduced by {made.previous}" if made.previous else "introduced by nobody: tell everybody who verifies"
    typer.echo(f"{made.thumbprint} signs since {made.valid_from:%Y-%m-%d %H:%M:%S} UTC, {by}")
    typer.echo(f"{settings.data / 'issuer.json'} is for those who verify; back up {settings.data / 'signing-key.json'}")


@app.command()
def compromised(
    thumbprint: Annotated[str, typer.Argument(help="A key that signs no more ('assay keys list').")],
    since: Annotated[str, typer.Option(help="From when on somebody else may have had it: 2031-08-15T10:00:00Z.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence: everybody sees it.")],
    data: Data = None,
    database: Database = None,
) -> None:
    """Let nothing count that a former key signed since a moment; what stands of it is revoked. No server may run."""
    from orchestrator import signing_keys  # noqa: PLC0415

    if says_nothing(reason):
        raise BadInput(f"--reason says {reason!r}; expected why, in a sentence")
    at = _moment(since)
    settings = _there(data, database)
    with _without_servers(settings) as store:
        revoked = signing_keys.compromised(
            settings.data,
            store,
            SystemClock(),
            name=settings.issuer,
            thumbprint=thumbprint,
            since=at,
            reason=reason,
            by=getpass.getuser(),
        )
    typer.echo(f"{thumbprint} counts for nothing that it signed since {at:%Y-%m-%d %H:%M:%S} UTC")
    for name in revoked:
        typer.echo(f"revoked: {name}")


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Into this file.")], data: Data = None, database: Database = None
) -> None:
    """Save every public key with its times and links: what 'assay verify --keys' takes, as at /v1/keys."""
    from orchestrator import signing_keys  # noqa: PLC0415
    from orchestrator.store.directory import opened  # noqa: PLC0415

    settings = _there(data, database)
    with opened(settings.data, settings.database_url, SystemClock()) as store:
        signer = signing_keys.signer_at(settings.data, store, name=settings.issuer)
        found = signing_keys.published(store, signer)
    with in_words():
        out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _without_servers(settings: Settings) -> "Iterator[Store]":
    """The database, while no server runs; raises Conflict where one does."""
    from orchestrator.store.directory import take  # noqa: PLC0415
    from orchestrator.store.leadership import require_nobody_leads  # noqa: PLC0415
    from orchestrator.store.store import Store  # noqa: PLC0415

    with take(settings.data):
        store = Store(settings.database_url, SystemClock())
        try:
            if settings.sqlite_path is None:
                require_nobody_leads(store)
            yield store
        finally:
            store.close()


def _there(data: Path | None, database: str | None) -> Settings:
    settings = read_settings(data=data, database_url=database)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise BadInput(f"{settings.data}: there is no database of Assay")
    return settings


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--since is {text!r}; expected a time like 2031-08-15T10:00:00Z") from error
    if at.tzinfo is None:
        raise BadInput(f"--since is {text!r}; expected its time zone too, like 2031-08-15T10:00:00Z")
    return at.astimezone(UTC)
