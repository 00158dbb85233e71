"""``assay batch``."""

import json
import threading
from typing import Annotated, Any

import typer
from rich.console import Console

from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show

app = typer.Typer(help="Batches of submissions.", no_args_is_help=True)
Batch = Annotated[str, typer.Argument(help="A batch, as 'assay batch list' names it.")]
Reason = Annotated[str, typer.Option(help="Why.")]
COLUMNS = ("batch", "title", "state", "programme", "judged", "submissions", "priority", "at")
ENTRY_COLUMNS = ("title", "mode", "state", "earned", "runs", "certificate")
WATCH_S = 1.0


@app.command("list")
def list_batches(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """Batches, newest first."""
    show(Client(server).get("/v1/batches"), COLUMNS, output)


@app.command("show")
def show_batch(
    batch: Batch,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
) -> None:
    """A batch with its submissions; waiting runs say why."""
    client = Client(server)
    if watch:
        follow(client, batch)
    print_batch(client.get(f"/v1/batches/{batch}"), output)


@app.command("submission")
def show_submission(
    submission: Annotated[str, typer.Argument(help="A submission, as 'assay batch show -o json' names it.")],
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """A submission: what each level came to, and what was declared otherwise than it was seen."""
    found = Client(server).get(f"/v1/submissions/{submission}")
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    product = found["content"]["product"]
    typer.echo(f"{found['content']['title']}: {product['maker']} {product['model']} {product['firmware']}")
    typer.echo(f"{found['state']}, {found['batch']}")
    for level in (found["judgement"] or {}).get("levels", []):
        typer.echo(level["words"])
    if found["findings"]:
        show(found["findings"], ("feature", "kind", "words"), output, title="What was declared and what was seen")


@app.command()
def hold(batch: Batch, reason: Reason = "", server: Server = DEFAULT_SERVER) -> None:
    """Nothing more of it is placed; what runs goes on."""
    Client(server).send("POST", f"/v1/batches/{batch}/hold", {"reason": reason})
    typer.echo(f"{batch} is held")


@app.command()
def release(batch: Batch, server: Server = DEFAULT_SERVER) -> None:
    """It goes on."""
    Client(server).send("POST", f"/v1/batches/{batch}/release")
    typer.echo(f"{batch} goes on")


@app.command()
def cancel(batch: Batch, reason: Reason = "", server: Server = DEFAULT_SERVER) -> None:
    """What waits is cancelled at once, what runs is stopped."""
    Client(server).send("POST", f"/v1/batches/{batch}/cancel", {"reason": reason})
    typer.echo(f"{batch} is cancelled")


def print_batch(found: dict[str, Any], output: str) -> None:
    """One batch as a table of its submissions, or as JSON."""
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [{**entry, "runs": ", ".join(_run(run) for run in entry["runs"])} for entry in found["entries"]]
    title = f"{found['title']} ({found['state']}), {found['programme']} {found['programme_version']}"
    show(rows, ENTRY_COLUMNS, output, title=title)


def _run(run: dict[str, Any]) -> str:
    why = run.get("waits_because") or run["reason"]
    return f"#{run['attempt']} {run['state']}" + (f" ({why})" if why else "")


def follow(client: Client, batch: str) -> None:
    """Print what changes until the batch has ended."""
    console = Console(stderr=True)
    said: dict[str, str] = {}
    pause = threading.Event()
    while True:
        found = client.get(f"/v1/batches/{batch}")
        for entry in found["entries"]:
            for run in entry["runs"]:
                line = f"{_run(run)}, {run['cases_ended']} of {run['cases_planned']} cases ended"
                if "left_s" in run:
                    line += f", about {run['left_s']:.0f} s left"
                if said.get(run["run"]) != line:
                    said[run["run"]] = line
                    console.print(f"{entry['title']}: {line}", highlight=False)
        if found["state"] in ("completed", "cancelled"):
            return
        pause.wait(WATCH_S)
