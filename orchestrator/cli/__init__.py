"""The command ``assay``. Status 0: done, or the answer is yes; 1: the answer is no; 2: it could not be done."""

import sys

import typer

from lab_inventory.errors import AssayError
from orchestrator.cli import (
    audit,
    backup,
    batch,
    database,
    devices,
    doctor,
    hosts,
    lab,
    quarantine,
    ray_head,
    serve,
    submit,
    verify,
)

app = typer.Typer(
    help="Runs device certification programmes in a lab.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command("ray-head")(ray_head.ray_head)
app.command()(doctor.doctor)
app.add_typer(lab.app, name="lab")
app.add_typer(hosts.app, name="hosts")
app.add_typer(devices.app, name="devices")
app.add_typer(quarantine.app, name="quarantine")
app.command()(submit.submit)
app.add_typer(batch.app, name="batch")
app.command()(verify.verify)
app.add_typer(audit.app, name="audit")
app.add_typer(database.app, name="database")
app.command("backup")(backup.backup_command)
app.command("restore")(backup.restore_command)


def main() -> None:
    """Run the command; errors are told in words."""
    try:
        app()
    except AssayError as error:
        print(f"assay: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
