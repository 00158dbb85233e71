"""``assay waivers``: asking that a requirement does not keep a product from a level, and answering that."""

import json
from typing import Annotated, Any

import typer

from lab_inventory.errors import BadInput
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.lifecycle.waiver import WaiverState

app = typer.Typer(help="Waivers: authorised deviations from one requirement, for a time.", no_args_is_help=True)
Waiver = Annotated[str, typer.Argument(help="A waiver, as 'assay waivers list' names it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
COLUMNS = ("waiver", "state", "words", "ends_on", "author", "approver")


@app.command()
def propose(
    programme: Annotated[str, typer.Option(help="The programme and its version, as ip-phone-basic@1.0.")],
    requirement: Annotated[str, typer.Option(help="The one requirement.")],
    level: Annotated[list[str], typer.Option(help="A level at which it does not count; may be repeated.")],
    until: Annotated[str, typer.Option(help="The last day, as 2027-03-31; at most a year ahead.")],
    reason: Reason,
    maker: Annotated[str, typer.Option(help="Of a product: as it says it on the wire.")] = "",
    model: Annotated[str, typer.Option(help="Of a product: as it says it on the wire.")] = "",
    hardware: Annotated[str, typer.Option(help="Of a product: the hardware revision.")] = "",
    submission: Annotated[str, typer.Option(help="One submission, in the place of a product.")] = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Ask for a waiver; prints its id. It counts for nothing until a decider approves it."""
    name, _, version = programme.partition("@")
    if not version:
        raise BadInput(f"--programme {programme}: expected the version too, as ip-phone-basic@1.0")
    body: dict[str, Any] = {"programme": name, "programme_version": version, "requirement": requirement}
    body |= {"levels": level, "reason": reason, "ends_on": until}
    product = {"maker": maker, "model": model, "hardware_revision": hardware}
    if submission and not any(product.values()):
        body["submission"] = submission
    elif all(product.values()) and not submission:
        body["product"] = product
    else:
        raise BadInput("expected either --submission, or all of --maker, --model and --hardware")
    typer.echo(Client(server).send("POST", "/v1/waivers", body)["waiver"])


@app.command()
def approve(waiver: Waiver, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """Put it in force until its last day; another person than who asked for it."""
    Client(server).send("POST", f"/v1/waivers/{waiver}/approve", {"reason": reason})
    typer.echo(f"{waiver} is approved")


@app.command()
def refuse(waiver: Waiver, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """Do not approve it."""
    Client(server).send("POST", f"/v1/waivers/{waiver}/refuse", {"reason": reason})
    typer.echo(f"{waiver} is refused")


@app.command()
def revoke(waiver: Waiver, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """Take it out of force; what was judged with it stays as it was judged."""
    Client(server).send("POST", f"/v1/waivers/{waiver}/revoke", {"reason": reason})
    typer.echo(f"{waiver} is revoked")


@app.command("list")
def list_waivers(
    state: Annotated[WaiverState | None, typer.Option(help="Only those.")] = None,
    programme: Annotated[str, typer.Option(help="Of this programme alone, in any version.")] = "",
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Waivers, those first that end first."""
    asked = {"programme": programme} | ({"state": state.value} if state else {})
    show(Client(server).get("/v1/waivers", **asked), COLUMNS, output)


@app.command("show")
def show_waiver(waiver: Waiver, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """A waiver, and what was judged with it."""
    found = Client(server).get(f"/v1/waivers/{waiver}")
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    if output != "table":
        raise BadInput(f"output {output!r}; expected table or json")
    for line in _lines(found):
        typer.echo(line)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['waiver']}: {found['state']}, last day {found['ends_on']}",
        f"  {found['words']}",
        f"asked for by {found['author']}: {found['reason']}",
    ]
    if found["approver"]:
        lines.append(f"approved by {found['approver']}: {found['approved_because']}")
    if found["ended_by"]:
        lines.append(f"{found['state']} by {found['ended_by']}: {found['ended_because']}")
    lines.append(f"judged with it: {', '.join(found['judged_with_it']) or 'nothing'}")
    if found.get("prevents"):
        lines.append("you cannot approve it:")
        lines += [f"  {one['rule']}: {one['words']}; expected {one['expected']}" for one in found["prevents"]]
    return lines
