"""The command ``assay``. Status 0: done, or the answer is yes; 1: the answer is no; 2: it could not be done."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.errors import AssayError
from orchestrator.cli import (
    audit,
    backup,
    batch,
    certificates,
    control,
    database,
    devices,
    doctor,
    evidence,
    hosts,
    keys,
    lab,
    people,
    programme,
    prompts,
    quarantine,
    ray_head,
    rejudge,
    reports,
    reviews,
    samples,
    serve,
    submit,
    subscriptions,
    tls,
    tokens,
    verify,
    waivers,
)

app = typer.Typer(
    help="Runs device certification programmes in a lab.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    ca: Annotated[
        Path | None, typer.Option(envvar="ASSAY_CA", help="Trust the CA in this file, not those of the system.")
    ] = None,
) -> None:
    """What every command takes."""
    if ca is not None:
        os.environ["ASSAY_CA"] = str(ca)


app.command()(serve.serve)
app.command("ray-head")(ray_head.ray_head)
app.command()(doctor.doctor)
app.add_typer(people.app, name="people")
app.add_typer(tokens.app, name="tokens")
app.command("sign-in")(tokens.sign_in)
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(lab.app, name="lab")
app.add_typer(hosts.app, name="hosts")
app.add_typer(devices.app, name="devices")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(samples.app, name="samples")
app.add_typer(programme.app, name="programme")
app.command()(submit.submit)
app.add_typer(batch.app, name="batch")
app.add_typer(reports.app, name="reports")
app.add_typer(certificates.app, name="certificates")
app.add_typer(control.app, name="control")
app.add_typer(prompts.app, name="prompts")
app.add_typer(reviews.app, name="reviews")
app.add_typer(waivers.app, name="waivers")
app.command()(reviews.decide)
app.command()(verify.verify)
app.command("rejudge")(rejudge.rejudge_command)
app.add_typer(audit.app, name="audit")
app.add_typer(database.app, name="database")
app.add_typer(keys.app, name="keys")
app.add_typer(evidence.app, name="evidence")
app.add_typer(tls.app, name="tls")
app.command("backup")(backup.backup_command)
app.command("restore")(backup.restore_command)


def main() -> None:
    """Run the command; errors are told in words."""
    try:
        app()
    except AssayError as error:
        print(f"assay: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
