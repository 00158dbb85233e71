"""``assay doctor``."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.client import Output, ca_file
from orchestrator.cli.database import Data, Database
from orchestrator.settings import read_settings


def doctor(
    data: Data = None,
    database: Database = None,
    host: Annotated[str | None, typer.Option(help="Address that the server listens on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port that the server listens on.")] = None,
    server: Annotated[
        str | None, typer.Option(envvar="ASSAY_SERVER", help="Ask the server at this address how its parts are.")
    ] = None,
    output: Output = "table",
) -> None:
    """Look at everything the server needs, and change nothing. Status 1: something is wrong."""
    from orchestrator.doctor import all_well, examine  # noqa: PLC0415  (only this command looks)

    if output not in ("table", "json"):
        raise BadInput(f"output {output!r}; expected table or json")
    findings = examine(
        read_settings(data=data, database_url=database, host=host, port=port), SystemClock(), server, ca_file()
    )
    if output == "json":
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table("check", "is", "detail", header_style="bold")
        for finding in findings:
            table.add_row(Text(finding.check), "well" if finding.ok else "WRONG", Text(finding.detail))
        Console().print(table)
    sys.exit(0 if all_well(findings) else 1)
