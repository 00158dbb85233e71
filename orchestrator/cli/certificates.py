"""``assay certificates``: what was granted, and what becomes of it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lab_inventory.errors import BadInput
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, in_words, show
from orchestrator.pipeline.certificate_life import Event

app = typer.Typer(help="Certificates, and what becomes of them.", no_args_is_help=True)
Certificate = Annotated[str, typer.Argument(help="A certificate.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence: everybody sees it.")]
Out = Annotated[Path, typer.Option(help="Into this file.")]
COLUMNS = ("certificate", "level", "state", "ends_on", "limits", "conditions", "submission", "at")


@app.command("list")
def list_certificates(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Certificates, the newest first, with what holds of them now."""
    show(Client(server).get("/v1/certificates", limit=200), COLUMNS, output)


@app.command()
def history(certificate: Certificate, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """What became of a certificate, step by step."""
    links = [signed["link"] for signed in Client(server).get(f"/v1/certificates/{certificate}/links")]
    show(links, ("number", "at", "event", "state", "ends_on", "limits", "reason", "by"), output)


@app.command()
def confirm(
    certificate: Certificate,
    reason: Reason,
    ends_on: Annotated[str, typer.Option(help="The last day from now on, YYYY-MM-DD; none for no end.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Grant a provisional one in full: what was open is settled."""
    _order(server, certificate, Event.CONFIRMED, reason, ends_on=_day(ends_on))


@app.command()
def suspend(certificate: Certificate, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """Let it not hold for now."""
    _order(server, certificate, Event.SUSPENDED, reason)


@app.command()
def reinstate(certificate: Certificate, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """Let it hold again."""
    _order(server, certificate, Event.REINSTATED, reason)


@app.command()
def reduce(
    certificate: Certificate,
    reason: Reason,
    limits: Annotated[str, typer.Option(help="The limits of use from now on, in a sentence.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Let it hold with limits of use."""
    _order(server, certificate, Event.REDUCED, reason, limits=limits)


@app.command()
def extend(
    certificate: Certificate,
    reason: Reason,
    ends_on: Annotated[str, typer.Option(help="The new last day, YYYY-MM-DD; none for no end.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Give it another last day, or none; also after it expired."""
    _order(server, certificate, Event.EXTENDED, reason, ends_on=_day(ends_on))


@app.command()
def withdraw(certificate: Certificate, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """End it for ever at its holder's wish."""
    _order(server, certificate, Event.WITHDRAWN, reason)


@app.command()
def revoke(certificate: Certificate, reason: Reason, server: Server = DEFAULT_SERVER) -> None:
    """End it for ever against its holder."""
    _order(server, certificate, Event.REVOKED, reason)


@app.command("status-list")
def status_list(out: Out, server: Server = DEFAULT_SERVER) -> None:
    """Save the signed list of what holds of every certificate; good for a day."""
    _save(Client(server).document("/v1/status-list"), out)


@app.command()
def bundle(certificate: Certificate, out: Out, server: Server = DEFAULT_SERVER) -> None:
    """Save everything by which a third party verifies a certificate without this software, and how."""
    _save(Client(server).document(f"/v1/certificates/{certificate}/bundle"), out)


def _day(text: str) -> str | None:
    if text == "none":
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError as error:
        raise BadInput(f"--ends-on is {text!r}; expected YYYY-MM-DD or none") from error


def _order(server: str, certificate: str, event: Event, reason: str, **more: Any) -> None:
    body = {"event": event.value, "reason": reason, **more}
    moved = Client(server).send("POST", f"/v1/certificates/{certificate}/orders", body)
    until = f", last day {moved['ends_on']}" if moved["ends_on"] else ""
    limits = f", limits of use: {moved['limits']}" if moved["limits"] else ""
    typer.echo(f"{certificate} is {moved['state']}{until}{limits}")


def _save(document: bytes, out: Path) -> None:
    with in_words():
        out.write_bytes(document)
