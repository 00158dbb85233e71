"""``assay reports``: what was judged, for people and programs, and test reports."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lab_inventory.reading import read_yaml
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, in_words, show
from orchestrator.reports.sheet import ASKED, Sheet

app = typer.Typer(help="What was judged, for people and programs, and test reports.", no_args_is_help=True)
Submission = Annotated[str, typer.Argument(help="A submission that is judged.")]
Number = Annotated[str, typer.Argument(help="The number of a report.")]
Out = Annotated[Path | None, typer.Option(help="Into this file.")]
SheetFile = Annotated[Path, typer.Option("--sheet", help="The sheet (YAML), filled in; 'sheet' writes an empty one.")]
COLUMNS = ("number", "state", "amends", "amended_by", "by", "at")


class VerdictForm(StrEnum):
    """The forms of what was judged."""

    JUNIT = "junit"
    JSON = "json"


class ReportForm(StrEnum):
    """The forms of a report."""

    PDF = "pdf"
    HTML = "html"
    JSON = "json"


@app.command()
def verdicts(
    submission: Submission,
    form: Annotated[VerdictForm, typer.Option(help="junit (XML for build servers) or json.")] = VerdictForm.JSON,
    out: Out = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print every verdict of a submission with its grounds."""
    ending = "/junit" if form is VerdictForm.JUNIT else ""
    _give(Client(server).document(f"/v1/submissions/{submission}{ending}"), out)


@app.command()
def sheet(out: Out = None) -> None:
    """Write an empty sheet: what a test report needs that only people know."""
    _give(_empty_sheet().encode(), out)


@app.command()
def check(submission: Submission, sheet: SheetFile, server: Server = DEFAULT_SERVER) -> None:
    """Say everything that stands against issuing a report. Status 0: nothing does; 1: something."""
    body = read_yaml(sheet, Sheet).model_dump(mode="json")
    found = Client(server).send("POST", f"/v1/submissions/{submission}/reports/check", body)
    for one in found:
        typer.echo(f"{one['path']}: {one['wrong']}; expected {one['expected']}")
    if found:
        raise typer.Exit(1)
    typer.echo("nothing stands against it")


@app.command()
def issue(
    submission: Submission,
    sheet: SheetFile,
    amends: Annotated[str | None, typer.Option(help="The number of the report whose place it takes.")] = None,
    because: Annotated[str, typer.Option(help="Why that is amended.")] = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Issue a test report; prints its number."""
    body: dict[str, Any] = read_yaml(sheet, Sheet).model_dump(mode="json")
    path = f"/v1/submissions/{submission}/reports"
    if amends is not None:
        path, body = f"/v1/reports/{amends}/amend", {"because": because, "sheet": body}
    issued = Client(server).send("POST", path, body)
    if issued["notice"]:
        typer.echo(issued["notice"], err=True)
    typer.echo(issued["number"])


@app.command("list")
def list_reports(submission: Submission, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """The reports of a submission, the newest first."""
    show(Client(server).get(f"/v1/submissions/{submission}/reports"), COLUMNS, output)


@app.command()
def get(
    number: Number,
    form: Annotated[ReportForm, typer.Option(help="pdf, html, or json as it was issued.")] = ReportForm.PDF,
    out: Out = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Print a report, or write it into a file."""
    ending = "" if form is ReportForm.JSON else f"/{form.value}"
    _give(Client(server).document(f"/v1/reports/{number}{ending}"), out)


def _give(document: bytes, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(document)
        return
    with in_words():
        out.write_bytes(document)


def _empty_sheet() -> str:
    """Every field with what is expected in it as a comment, in YAML."""
    lines, parent = [], ""
    for path, expected in ASKED.items():
        group, _, name = path.rpartition(".")
        if group and group != parent:
            lines.append(f"{group}:")
        parent = group
        indent = "  " if group else ""
        lines += [f"{indent}# {expected}", f"{indent}{name}:"]
    return "\n".join(lines) + "\n"
