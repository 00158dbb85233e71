"""``assay submit``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.canonical import digest
from lab_inventory.clock import SystemClock
from lab_inventory.reading import read_yaml
from orchestrator.cli.batch import follow, print_batch
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server
from orchestrator.pipeline.submit import BatchRequest


def submit(
    file: Annotated[Path, typer.Argument(help="A batch (YAML or JSON).")],
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("--watch", help="Follow the batch to its end.")] = False,
    key: Annotated[str, typer.Option(help="Idempotency key: the same key submits once.")] = "",
) -> None:
    """Queue a batch of submissions."""
    request = read_yaml(file, BatchRequest)
    client = Client(server)
    key = key or f"{SystemClock().new_id('key')}-{digest(request)[-8:]}"
    reply = client.send("POST", "/v1/batches", json.loads(request.model_dump_json()), key=key)
    for warning in reply["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    if watch:
        follow(client, reply["batch"])
        print_batch(client.get(f"/v1/batches/{reply['batch']}"), output)
    else:
        typer.echo(json.dumps(reply, indent=2) if output == "json" else f"queued: {reply['batch']}")
