"""``assay tokens`` and ``assay sign-in``: API tokens for oneself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.errors import BadInput
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.lifecycle.rights import Scope
from orchestrator.new_file import write_new

app = typer.Typer(help="Your API tokens.", no_args_is_help=True)
Scopes = Annotated[list[Scope] | None, typer.Option("--scope", help="Only this; may be given several times.")]
Days = Annotated[int, typer.Option(help="How long it is good for.")]
COLUMNS = ("token", "person", "kind", "title", "scopes", "at", "expires_at")


@app.command("list")
def list_tokens(
    everybody: Annotated[bool, typer.Option("--everybody", help="Not only yours; for admins.")] = False,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Live tokens and browsers that are signed in."""
    rows = Client(server).get("/v1/tokens", everybody=everybody)
    if output != "json":
        rows = [row | {"scopes": ", ".join(row["scopes"]) or "all of the roles"} for row in rows]
    show(rows, COLUMNS, output)


@app.command()
def add(
    title: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Scopes = None,
    days: Days = 90,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Make a token and print it, once."""
    body = {"title": title, "scopes": [one.value for one in scope or ()], "days": days}
    typer.echo(Client(server).send("POST", "/v1/tokens", body)["secret"])


@app.command()
def revoke(token: Annotated[str, typer.Argument(help="Its id, tok-...")], server: Server = DEFAULT_SERVER) -> None:
    """End a token at once."""
    Client(server).send("POST", f"/v1/tokens/{token}/revoke")
    typer.echo(f"{token} is ended")


def sign_in(
    person: Annotated[str | None, typer.Argument(help="Your name, to use your password; without it a code.")] = None,
    title: Annotated[str, typer.Option(help="What the token is for.")] = "the command line",
    scope: Scopes = None,
    days: Days = 90,
    token_file: Annotated[Path | None, typer.Option(help="Write the token to this new file, mode 0600.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show a code or a password (asked for, never an argument) and get an API token for ASSAY_TOKEN."""
    what = "Password" if person else "Code"
    secret = typer.prompt(what, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    body = {"title": title, "scopes": [one.value for one in scope or ()], "days": days}
    body |= {"person": person, "password": secret} if person else {"code": secret.strip()}
    made = Client(server, token="").send("POST", "/v1/sign-in", body)["secret"]
    if token_file is None:
        typer.echo(made)
        return
    try:
        write_new(token_file, f"{made}\n".encode())
    except OSError as error:
        typer.echo(made)
        raise BadInput(f"{token_file}: cannot be written: {error.strerror}; the token is above") from error
