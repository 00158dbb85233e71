"""``assay submit``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from lab_inventory.canonical import digest
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.reading import problems_of, read_yaml
from orchestrator.cli.batch import follow, print_batch
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server
from orchestrator.lifecycle.batch import Submission
from orchestrator.pipeline.submit import BatchRequest


def submit(
    file: Annotated[Path, typer.Argument(help="A batch, or a filled-in questionnaire (YAML or JSON).")],
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("--watch", help="Follow the batch to its end.")] = False,
    key: Annotated[str, typer.Option(help="Idempotency key: the same key submits once.")] = "",
    programme: Annotated[str, typer.Option(help="The file is one submission, to this: ID or ID@VERSION.")] = "",
) -> None:
    """Queue a batch of submissions."""
    request = _alone(file, programme) if programme else read_yaml(file, BatchRequest)
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


def _alone(file: Path, programme: str) -> BatchRequest:
    """A batch of the one submission in a file; raises BadInput."""
    name, _, version = programme.partition("@")
    submission = read_yaml(file, Submission)
    content = {"title": submission.title, "programme": name, "submissions": [submission]}
    try:
        return BatchRequest.model_validate(content | ({"programme_version": version} if version else {}))
    except ValidationError as error:
        raise BadInput("--programme", problems=problems_of(error.errors(include_url=False))) from error
