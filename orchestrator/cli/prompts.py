"""``assay prompts``: what people are asked to measure, answered, confirmed by a second person, or aborted."""

import hashlib
import json
import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field

from lab_inventory.errors import BadInput, TooLarge
from lab_inventory.measurement import Evidence, Unit
from lab_inventory.noun import Noun
from lab_inventory.reading import read_yaml
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, in_words, show
from orchestrator.lifecycle.prompt import MeasuredByHand, PromptState
from orchestrator.pipeline.prompt_form import read_value
from orchestrator.prompts import EVIDENCE_BYTES_MAX

app = typer.Typer(help="What people are asked to measure.", no_args_is_help=True)
Prompt = Annotated[str, typer.Argument(help="A prompt, as 'assay prompts list' names it.")]
Words = Annotated[str, typer.Option("--words", help="What you say of it.")]
COLUMNS = ("prompt", "state", "requirement", "title", "product", "submission", "due_at")


class Measured(Noun):
    """The file of ``assay prompts answer --file``."""

    measured: tuple[MeasuredByHand, ...] = Field(min_length=1)


@app.command("list")
def list_prompts(
    state: Annotated[PromptState | None, typer.Option(help="Those in this state; else those that wait.")] = None,
    submission: Annotated[str | None, typer.Option(help="Those of this submission.")] = None,
    server: Server = DEFAULT_SERVER,
    output: Output = "table",
) -> None:
    """Prompts, the one first that is due first."""
    query = {"state": state.value if state else None, "submission": submission}
    chosen = {name: value for name, value in query.items() if value is not None}
    show(Client(server).get("/v1/prompts", **chosen), COLUMNS, output)


@app.command("show")
def show_prompt(prompt: Prompt, server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """A prompt: what is asked, how it is measured, and what became of it."""
    found = Client(server).get(f"/v1/prompts/{prompt}")
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    if output != "table":
        raise BadInput(f"output {output!r}; expected table or json")
    for line in _lines(found, server):
        typer.echo(line)


def _lines(found: dict[str, Any], server: str) -> list[str]:
    content, two = found["content"], ", by two persons" if found["second_person"] else ""
    lines = [
        f"{found['prompt']} {found['requirement']} {found['title']}: {found['state']}, due {found['due_at']}{two}",
        f"{found['submission']} {content['title']} of {content['vendor']}",
    ]
    if "instructions" not in found:
        return lines
    lines += [found["instructions"]]
    if found["picture"]:
        lines.append(f"picture: {server}/prompts/{found['prompt']}/picture")
    lines += [f"asks for {one['quantity']} in {one['unit']}" for one in found["asks"]]
    for entry in found["entries"]:
        lines.append(f"{entry['kind']} by {entry['by']} at {entry['at']}" + _said(entry["words"]))
        lines += [f"  unit {entry['serial']}"] if "serial" in entry else []
        for one in entry.get("measured", ()):
            uncertainty = "" if one["uncertainty"] is None else f" ± {one['uncertainty']}"
            how = f"with {one['instrument']}" if one["instrument"] else "by observation"
            lines.append(f"  {one['quantity']}: {one['in_words']}{uncertainty} {how}")
        lines += [f"  file {file['name']} {file['digest']}" for file in entry.get("evidence", ())]
    return lines


def _said(words: str) -> str:
    return f": {words}" if words else ""


@app.command()
def answer(
    prompt: Prompt,
    serial: Annotated[str, typer.Option(help="The serial number of the unit that you measured.")],
    value: Annotated[
        list[str] | None,
        typer.Option(help="QUANTITY=VALUE, by observation: yes or no, or how many. Repeat it for each quantity."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A YAML file with 'measured': values with unit, instrument and calibration.")
    ] = None,
    evidence: Annotated[list[Path] | None, typer.Option(help="A file that shows it, such as a photo.")] = None,
    words: Words = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Say what you measured: --value for what is seen or counted, --file for the rest."""
    client = Client(server)
    asks = {one["quantity"]: Unit(one["unit"]) for one in client.get(f"/v1/prompts/{prompt}").get("asks", ())}
    measured = [_observed(text, asks) for text in value or ()]
    measured += read_yaml(file, Measured).measured if file else ()
    if not measured:
        raise BadInput("nothing was measured; expected --value QUANTITY=VALUE or --file FILE")
    files = [_send(client, prompt, path) for path in evidence or ()]
    body = {
        "serial": serial,
        "measured": [one.model_dump(mode="json") for one in measured],
        "evidence": [one.model_dump(mode="json") for one in files],
        "words": words,
    }
    made = client.send("POST", f"/v1/prompts/{prompt}/answer", body)
    typer.echo(f"{made['answer']}: {prompt} is {client.get(f'/v1/prompts/{prompt}')['state']}")


def _observed(text: str, asks: dict[str, Unit]) -> MeasuredByHand:
    quantity, _, said = text.partition("=")
    unit = asks.get(quantity)
    if unit is None:
        raise BadInput(f"--value {text[:80]}: expected QUANTITY=VALUE with one of: {', '.join(asks)}")
    try:
        return MeasuredByHand(quantity=quantity, unit=unit, value=read_value(said, unit))
    except ValueError as error:
        raise BadInput(f"--value {quantity} {error}") from error


def _send(client: Client, prompt: str, path: Path) -> Evidence:
    with in_words():
        data = path.read_bytes()
    if len(data) > EVIDENCE_BYTES_MAX:
        raise TooLarge(f"{path}: {len(data)} bytes; at most {EVIDENCE_BYTES_MAX} are taken")
    evidence = Evidence(
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        name=path.name[:120],
        media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        size_bytes=len(data),
    )
    client.upload(f"/v1/prompts/{prompt}/evidence/{evidence.digest}", data)
    return evidence


def _answer_of(client: Client, prompt: str) -> str:
    found = client.get(f"/v1/prompts/{prompt}").get("answer")
    if not found:
        raise BadInput(f"{prompt} has no answer")
    return str(found)


@app.command()
def confirm(
    prompt: Prompt,
    words: Words = "",
    answer: Annotated[str | None, typer.Option(help="The answer; else the one that waits now.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Confirm what another person measured."""
    client = Client(server)
    body = {"answer": answer or _answer_of(client, prompt), "words": words}
    client.send("POST", f"/v1/prompts/{prompt}/confirm", body)
    typer.echo(f"{prompt} is confirmed")


@app.command()
def differ(
    prompt: Prompt,
    words: Words,
    answer: Annotated[str | None, typer.Option(help="The answer; else the one that waits now.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Say that what another person measured is not right; it is asked for again."""
    client = Client(server)
    body = {"answer": answer or _answer_of(client, prompt), "words": words}
    client.send("POST", f"/v1/prompts/{prompt}/differ", body)
    typer.echo(f"{prompt} is open again")


@app.command()
def abort(
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    prompt: Annotated[str | None, typer.Argument(help="A prompt.")] = None,
    submission: Annotated[str | None, typer.Option(help="All that still wait of this submission.")] = None,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Give up a prompt, or all of a submission: what was asked counts as not run."""
    if (prompt is None) == (submission is None):
        raise BadInput("give either PROMPT or --submission SUBMISSION")
    client = Client(server)
    if prompt is not None:
        client.send("POST", f"/v1/prompts/{prompt}/abort", {"words": reason})
        typer.echo(f"{prompt} is aborted")
        return
    found = client.send("POST", f"/v1/submissions/{submission}/prompts/abort", {"words": reason})["prompts"]
    typer.echo(f"{len(found)} aborted" + (f": {', '.join(found)}" if found else ""))
