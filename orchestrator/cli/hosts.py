"""``assay hosts``."""

from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="The lab's hosts.", no_args_is_help=True)
Host = Annotated[str, typer.Argument(help="A host of the lab file.")]
COLUMNS = ("host", "intent", "reason", "by", "agent_version", "heard_s_ago", "devices_present", "devices", "runs")


@app.command("list")
def list_hosts(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Every host, whether it is in service, and its agent."""
    show(Client(server).get("/v1/hosts"), COLUMNS, output)


@app.command()
def drain(host: Host, reason: Annotated[str, typer.Option(help="Why.")] = "", server: Server = DEFAULT_SERVER) -> None:
    """Place nothing more at a host; what runs there goes on to its end."""
    Client(server).send("POST", f"/v1/hosts/{host}/drain", {"reason": reason})
    typer.echo(f"{host} is drained")


@app.command()
def revoke(host: Host, reason: Annotated[str, typer.Option(help="Why.")] = "", server: Server = DEFAULT_SERVER) -> None:
    """End the key of a host's agent at once; runs go on until their lease, and the host serves after joining again."""
    Client(server).send("POST", f"/v1/hosts/{host}/revoke", {"reason": reason})
    typer.echo(f"the key of {host} is revoked; 'assay lab join {host}' lets an agent join again")


@app.command()
def undrain(host: Host, server: Server = DEFAULT_SERVER) -> None:
    """Put a host back in service."""
    Client(server).send("POST", f"/v1/hosts/{host}/undrain")
    typer.echo(f"{host} is in service")
