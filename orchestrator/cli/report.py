"""``assay report``: what was judged of a submission, in the form that is asked for."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.client import DEFAULT_SERVER, Client, Server, in_words


class Form(StrEnum):
    """The forms there are."""

    JUNIT = "junit"
    JSON = "json"


PATHS = {Form.JUNIT: "/junit", Form.JSON: ""}


def report(
    submission: Annotated[str, typer.Argument(help="A submission that is judged.")],
    form: Annotated[Form, typer.Option(help="junit (XML for build servers) or json (everything).")] = Form.JSON,
    out: Annotated[Path | None, typer.Option(help="Into this file.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print every verdict of a submission with its grounds."""
    document = Client(server).document(f"/v1/submissions/{submission}{PATHS[form]}")
    if out is None:
        sys.stdout.buffer.write(document)
        return
    with in_words():
        out.write_bytes(document)
