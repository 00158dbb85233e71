"""``assay people``: who may come in, and with which roles."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.cli.database import Data, Database
from orchestrator.lifecycle.rights import Role

app = typer.Typer(help="Who may come in, and with which roles.", no_args_is_help=True)
Person = Annotated[str, typer.Argument(help="A name: letters, digits and . _ : -")]
Roles = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]
Vendor = Annotated[str | None, typer.Option(help="With the role vendor: whose things alone are seen and submitted.")]
COLUMNS = ("person", "state", "roles", "vendor", "password", "tokens", "by", "at")


@app.command()
def first(
    person: Person,
    role: Annotated[list[Role] | None, typer.Option(help="Instead of admin and operator; admin is needed.")] = None,
    data: Data = None,
    database: Database = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Where to write an API token, instead of DATA/operator-token.")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Although there is an admin: nobody can sign in as one.")
    ] = False,
) -> None:
    """Let the first person in, on the machine of the server; there is no account before.

    Writes an API token for this machine and prints a code for signing in on the pages.
    """
    from lab_inventory.clock import SystemClock  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.people import People  # noqa: PLC0415
    from orchestrator.settings import read_settings  # noqa: PLC0415
    from orchestrator.store.directory import opened  # noqa: PLC0415

    settings = read_settings(data=data, database_url=database)
    path = token_file or settings.data / "operator-token"
    with opened(settings.data, settings.database_url, SystemClock()) as store:
        people = People(store, SystemClock())
        people.first(person, role or [Role.ADMIN, Role.OPERATOR], recover=recover)
        if recover:
            path.unlink(missing_ok=True)
        people.first_token(person, path)
        code = people.code(person, person)
    typer.echo(f"{person} is in; an API token is in {path}")
    typer.echo(f"to sign in on the pages within a day: {code.secret}")


@app.command()
def add(person: Person, role: Roles, vendor: Vendor = None, server: Server = DEFAULT_SERVER) -> None:
    """Let somebody in, and print the code with which they sign in for the first time."""
    body = {"person": person, "roles": [one.value for one in role], "vendor": vendor}
    _tell_code(person, Client(server).send("POST", "/v1/people", body)["secret"])


@app.command("list")
def list_people(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Everybody who was ever let in."""
    rows = Client(server).get("/v1/people")
    show(rows if output == "json" else [row | {"roles": ", ".join(row["roles"])} for row in rows], COLUMNS, output)


@app.command()
def roles(person: Person, role: Roles, vendor: Vendor = None, server: Server = DEFAULT_SERVER) -> None:
    """Give somebody these roles instead of those before."""
    body = {"roles": [one.value for one in role], "vendor": vendor}
    Client(server).send("PUT", f"/v1/people/{person}/roles", body)
    typer.echo(f"{person}: {', '.join(one.value for one in role)}")


@app.command()
def disable(
    person: Person, reason: Annotated[str, typer.Option(help="Why.")] = "", server: Server = DEFAULT_SERVER
) -> None:
    """Take every right from somebody at once, and end their tokens."""
    Client(server).send("POST", f"/v1/people/{person}/disable", {"reason": reason})
    typer.echo(f"{person} is disabled")


@app.command()
def enable(person: Person, server: Server = DEFAULT_SERVER) -> None:
    """Let somebody in again who was disabled."""
    Client(server).send("POST", f"/v1/people/{person}/enable")
    typer.echo(f"{person} is in again; tokens from before stay ended: assay people code {person}")


@app.command()
def code(person: Person, server: Server = DEFAULT_SERVER) -> None:
    """A code with which somebody signs in once, and may choose a new password."""
    _tell_code(person, Client(server).send("POST", f"/v1/people/{person}/code")["secret"])


def _tell_code(person: str, secret: str) -> None:
    typer.echo(f"{person} signs in once within a day, on /sign-in or with 'assay sign-in': {secret}")
