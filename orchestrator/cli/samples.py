"""``assay samples``: what vendors send and the lab buys, and who has it."""

import json
from typing import Annotated, Any

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.lifecycle.sample import Origin, SampleState

app = typer.Typer(help="Samples: announced, received, handed on, given back.", no_args_is_help=True)
Sample = Annotated[str, typer.Argument(help="A sample, as 'assay samples list' names it.")]
HandedBy = Annotated[str, typer.Option("--from", help="Who gave it away.")]
HandedTo = Annotated[str, typer.Option("--to", help="Who took it.")]
Place = Annotated[str, typer.Option(help="Where it is then.")]
At = Annotated[str, typer.Option(help="When it happened, as 2026-03-01T09:30+01:00; now where it is left out.")]
Note = Annotated[str, typer.Option(help="Anything else.")]
COLUMNS = ("sample", "state", "vendor", "maker", "model", "hardware_revision", "serial", "origin", "place", "holder")
CUSTODY_COLUMNS = ("what", "when", "from", "to", "place", "details", "written_by")


@app.command()
def announce(
    vendor: Annotated[str, typer.Option(help="Whose product it is.")],
    maker: Annotated[str, typer.Option(help="As the product says it on the wire.")],
    model: Annotated[str, typer.Option(help="As the product says it on the wire.")],
    hardware: Annotated[str, typer.Option(help="The hardware revision.")],
    serial: Annotated[str, typer.Option(help="The serial number, where it is known.")] = "",
    note: Note = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Expect a sample; prints its id, which goes on the parcel."""
    body = {"vendor": vendor, "maker": maker, "model": model, "hardware_revision": hardware, "note": note}
    typer.echo(Client(server).send("POST", "/v1/samples", body | ({"serial": serial} if serial else {}))["sample"])


@app.command()
def receive(
    sample: Sample,
    serial: Annotated[str, typer.Option(help="The serial number that is on it.")],
    origin: Annotated[Origin, typer.Option(help="vendor: chosen by the vendor; retail: bought by the lab.")],
    condition: Annotated[str, typer.Option(help="Its condition on receipt.")],
    seal: Annotated[str, typer.Option(help="The number of its seal, or that there was none.")],
    handed_by: HandedBy,
    handed_to: HandedTo,
    place: Place,
    at: At = "",
    note: Note = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """It arrived, or was found again."""
    told = {"serial": serial, "origin": origin.value, "condition": condition, "seal": seal}
    _tell(server, sample, "receive", told | _handed(handed_by, handed_to, place, at, note))
    typer.echo(f"{sample} is received")


@app.command()
def move(
    sample: Sample,
    handed_by: HandedBy,
    handed_to: HandedTo,
    place: Annotated[str, typer.Option(help="Where it is then; with --bench the bench's name.")],
    bench: Annotated[bool, typer.Option("--bench", help="To a bench of the lab file; without, to the store.")] = False,
    at: At = "",
    note: Note = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """It went from one hand to another inside the lab."""
    told = {"to": "bench" if bench else "store"}
    _tell(server, sample, "move", told | _handed(handed_by, handed_to, place, at, note))
    typer.echo(f"{sample} is at {place}")


@app.command("return")
def give_back(
    sample: Sample,
    handed_by: HandedBy,
    handed_to: HandedTo,
    place: Place,
    at: At = "",
    note: Note = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """It went back to whom it came from."""
    _tell(server, sample, "return", _handed(handed_by, handed_to, place, at, note))
    typer.echo(f"{sample} is returned")


@app.command()
def dispose(
    sample: Sample,
    note: Annotated[str, typer.Option("--how", help="How it was destroyed or recycled.")],
    at: At = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """It was destroyed or recycled."""
    _tell(server, sample, "dispose", {"note": note} | ({"happened_at": at} if at else {}))
    typer.echo(f"{sample} is disposed of")


@app.command()
def lose(
    sample: Sample,
    note: Annotated[str, typer.Option("--known", help="What is known of it.")],
    at: At = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """It never arrived or cannot be found."""
    _tell(server, sample, "lose", {"note": note} | ({"happened_at": at} if at else {}))
    typer.echo(f"{sample} is lost")


@app.command()
def link(
    sample: Sample,
    submission: Annotated[str, typer.Option(help="A submission that it is for.")] = "",
    unit: Annotated[str, typer.Option(help="The registered unit that it is.")] = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Say what it is for, and which registered unit it is."""
    if not submission and not unit:
        raise typer.BadParameter("give --submission, --unit, or both")
    if submission:
        _tell(server, sample, "submission", {"submission": submission})
    if unit:
        _tell(server, sample, "unit", {"device": unit})
    typer.echo(f"{sample} is linked")


@app.command("list")
def list_samples(
    state: Annotated[SampleState | None, typer.Option(help="Only those.")] = None,
    words: Annotated[str, typer.Option(help="Part of id, vendor, product or serial.")] = "",
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Samples, announced last first."""
    asked = {"words": words} | ({"state": state.value} if state else {})
    show(Client(server).get("/v1/samples", **asked), COLUMNS, output)


@app.command("show")
def show_sample(sample: Sample, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """A sample and its chain of custody."""
    found = Client(server).get(f"/v1/samples/{sample}")
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    title = f"{sample}: {found['maker']} {found['model']}, serial {found['serial'] or 'not known'} ({found['state']})"
    show([_entry(entry) for entry in found["custody"]], CUSTODY_COLUMNS, output, title=title)
    typer.echo(f"unit: {found['unit'] or 'none'}; submissions: {', '.join(found['submissions']) or 'none'}")


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    said = ("origin", "condition", "seal", "submission", "unit", "note")
    return {
        "what": entry["fact"].removeprefix("Sample"),
        "when": entry.get("happened_at", entry["at"]),
        "from": entry.get("handed_by"),
        "to": entry.get("handed_to"),
        "place": entry.get("place"),
        "details": "; ".join(f"{name} {entry[name]}" for name in said if entry.get(name)),
        "written_by": entry["by"],
    }


def _handed(handed_by: str, handed_to: str, place: str, at: str, note: str) -> dict[str, str]:
    told = {"handed_by": handed_by, "handed_to": handed_to, "place": place, "note": note}
    return told | ({"happened_at": at} if at else {})


def _tell(server: str, sample: str, what: str, body: dict[str, str]) -> None:
    Client(server).send("POST", f"/v1/samples/{sample}/{what}", body)
