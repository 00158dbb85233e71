"""``assay devices``."""

from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="The registered units.", no_args_is_help=True)
Device = Annotated[str, typer.Argument(help="A device, as 'assay devices list' names it.")]
COLUMNS = ("device", "state", "reason", "maker", "model", "firmware", "hardware_revision", "mode", "host", "slot")


@app.command("list")
def list_devices(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Every unit and its state."""
    show(Client(server).get("/v1/devices"), COLUMNS, output)


@app.command()
def hold(
    device: Device, reason: Annotated[str, typer.Option(help="Why.")] = "", server: Server = DEFAULT_SERVER
) -> None:
    """Take a unit out; what runs on it goes on to its end."""
    Client(server).send("POST", f"/v1/devices/{device}/hold", {"reason": reason})
    typer.echo(f"{device} is held")


@app.command()
def release(device: Device, server: Server = DEFAULT_SERVER) -> None:
    """Put a unit back in service."""
    Client(server).send("POST", f"/v1/devices/{device}/release")
    typer.echo(f"{device} is in service")
