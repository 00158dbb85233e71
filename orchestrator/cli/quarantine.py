"""``assay quarantine``."""

from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="Units and benches that the lab took out by itself.", no_args_is_help=True)
Resource = Annotated[str, typer.Argument(help="device:ID or bench:NAME, as 'assay quarantine list' names it.")]
COLUMNS = ("resource", "state", "since", "probations", "batch", "reason")


@app.command("list")
def list_quarantine(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Everything that is out, with the reason and how it is being brought back."""
    show(Client(server).get("/v1/quarantine"), COLUMNS, output)


@app.command()
def recover(resource: Resource, server: Server = DEFAULT_SERVER) -> None:
    """Put it on probation now, without waiting."""
    Client(server).send("POST", f"/v1/quarantine/{resource}/recover")
    typer.echo(f"{resource} is on probation")


@app.command("put-back")
def put_back(
    resource: Resource, reason: Annotated[str, typer.Option(help="Why.")] = "", server: Server = DEFAULT_SERVER
) -> None:
    """Put it back in service without a probation."""
    Client(server).send("POST", f"/v1/quarantine/{resource}/put-back", {"reason": reason})
    typer.echo(f"{resource} is in service")
