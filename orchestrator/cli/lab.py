"""``assay lab``: the lab file, and letting agents join."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.lab import read_lab
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="The lab file, and letting agents join.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A lab file (YAML).")]


@app.command()
def check(file: File, output: Output = "table") -> None:
    """Read a lab file and say everything that is wrong with it; needs no server."""
    lab = read_lab(file)
    rows = [
        {
            "host": host.name,
            "bench": bench.name,
            "slot": slot.name,
            "category": slot.category,
            "attached at": slot.registrar or slot.usb,
            "control": slot.control,
            "mode": slot.unit.mode,
        }
        for host in lab.hosts
        for bench, slot in host.slots()
    ]
    show(rows, list(rows[0]), output, title=f"{lab.lab} at {lab.site}")


@app.command()
def apply(file: File, server: Server = DEFAULT_SERVER) -> None:
    """Make this the server's lab file."""
    lab = read_lab(file)
    Client(server).send("PUT", "/v1/lab", json.loads(lab.model_dump_json()))
    typer.echo(f"applied: lab {lab.lab} with {len(lab.hosts)} host(s)")


@app.command("show")
def show_lab(server: Server = DEFAULT_SERVER) -> None:
    """The server's lab file as JSON, with its passwords masked."""
    typer.echo(json.dumps(Client(server).get("/v1/lab"), indent=2))


@app.command()
def join(host: Annotated[str, typer.Argument(help="A host of the lab file.")], server: Server = DEFAULT_SERVER) -> None:
    """A token with which the agent of a host may join once, within 15 minutes."""
    typer.echo(Client(server).send("POST", f"/v1/hosts/{host}/join-token")["token"])
