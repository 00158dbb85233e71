"""``assay control``."""

from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="Control devices of benches, and the drifts that they show.", no_args_is_help=True)
Device = Annotated[str, typer.Argument(help="A device, as 'assay devices list' names it.")]
COLUMNS = ("drift", "state", "bench", "words", "explained_by", "explanation")


@app.command()
def mark(
    device: Device, reason: Annotated[str, typer.Option(help="Why this one.")] = "", server: Server = DEFAULT_SERVER
) -> None:
    """Make a unit the control device of its bench: it is measured four times a day where nothing else is."""
    Client(server).send("POST", f"/v1/devices/{device}/control", {"reason": reason})
    typer.echo(f"{device} is a control device")


@app.command()
def end(device: Device, server: Server = DEFAULT_SERVER) -> None:
    """Make a unit a control device no more."""
    Client(server).send("POST", f"/v1/devices/{device}/end-control")
    typer.echo(f"{device} is no control device any more")


@app.command()
def drifts(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Every drift that was found, newest first."""
    show(Client(server).get("/v1/drifts"), COLUMNS, output)


@app.command()
def explain(
    drift: Annotated[str, typer.Argument(help="A drift, as 'assay control drifts' names it.")],
    words: Annotated[str, typer.Option(help="What it was, and what was done.")],
    *,
    anew: Annotated[bool, typer.Option(help="The bench is another from now on: begin its chart anew.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Say what a drift was: what was measured on its bench is judged and decided again."""
    Client(server).send("POST", f"/v1/drifts/{drift}/explain", {"words": words, "anew": anew})
    typer.echo(f"{drift} is explained")
