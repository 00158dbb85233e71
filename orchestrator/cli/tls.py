"""``assay tls``: a certificate for a lab that has no CA of its own."""

from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.clock import SystemClock
from orchestrator.cli.client import in_words
from orchestrator.settings import read_settings

app = typer.Typer(help="A CA and a certificate for the server, where the lab has none.", no_args_is_help=True)
Out = Annotated[Path | None, typer.Option(help="Where the files are; without it, tls in the data directory.")]


@app.command()
def make(
    names: Annotated[list[str], typer.Argument(help="DNS names and addresses under which the server is reached.")],
    out: Out = None,
) -> None:
    """Make a certificate for the server, and a CA where there is none yet. Overwrites nothing."""
    from orchestrator.lab_ca import make as make_files  # noqa: PLC0415  (only these commands need it)

    with in_words():
        files = make_files(_folder(out), names, SystemClock().now())
    typer.echo(f"the server:  ASSAY_TLS_CERTIFICATE={files.certificate} ASSAY_TLS_KEY={files.key}")
    typer.echo(f"its clients: ASSAY_CA={files.ca}, or --ca; for the hosts, 'ca' in the rollout file")
    typer.echo(f"keep {files.ca_key} where only you get at it: who has it can be this server")


@app.command()
def renew(out: Out = None) -> None:
    """Put a new certificate for the same names in the place of the old one; a server that runs takes it up."""
    from orchestrator.lab_ca import SERVER_LIVES  # noqa: PLC0415
    from orchestrator.lab_ca import renew as renew_files  # noqa: PLC0415

    with in_words():
        files = renew_files(_folder(out), SystemClock().now())
    typer.echo(f"{files.certificate}: good for {SERVER_LIVES.days} days from now, or as long as the CA is")


def _folder(out: Path | None) -> Path:
    return (out or read_settings().data / "tls").absolute()
