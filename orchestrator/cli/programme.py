"""``assay programme``: programme files checked, compared, and described for editors. Needs no server."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.errors import AssayError, BadInput, NotFound
from lab_inventory.programme import Programme, read_programme, shipped_programmes
from lab_inventory.programme_changes import Asks, again, changes
from orchestrator.cli.client import Output, show
from orchestrator.pipeline.questionnaire import as_data, as_yaml
from orchestrator.pipeline.submit import programme_named

app = typer.Typer(help="Programme files: what is tested and what each level asks.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A programme file.")]
CHANGE_COLUMNS = ("what", "level", "before", "after", "asks", "case")


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Programme files.")], output: Output = "table") -> None:
    """Find every mistake of programme files, with its place. Status 1 where there is one."""
    rows = []
    for file in files:
        try:
            rows.append(_summary(file, read_programme(file)))
        except BadInput as error:
            typer.echo(f"{error}", err=True)
    if rows or output == "json":
        show(rows, ("file", "programme", "category", "levels", "profiles", "requirements", "limits", "sources"), output)
    if len(rows) < len(files):
        raise typer.Exit(1)


def _summary(file: Path, programme: Programme) -> dict[str, str]:
    limits = [limit for one in programme.requirements for check in one.checks for limit in check.limits.values()]
    marks = Counter(limit.source.mark.value for limit in limits)
    return {
        "file": str(file),
        "programme": f"{programme.id} {programme.version}" + (" (demonstration)" if programme.demonstration else ""),
        "category": programme.category,
        "levels": ", ".join(level.id for level in programme.levels),
        "profiles": ", ".join(profile.id for profile in programme.profiles),
        "requirements": str(len(programme.requirements)),
        "limits": str(len(limits)),
        "sources": ", ".join(f"{mark} {number}" for mark, number in sorted(marks.items())),
        "digest": programme.digest,
    }


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The version that products passed.")],
    after: Annotated[Path, typer.Argument(help="The version that follows it.")],
    output: Output = "table",
) -> None:
    """What another version changes, and for whoever holds a level what must be measured or judged again for it."""
    old, new = read_programme(before), read_programme(after)
    if old.id != new.id:
        raise AssayError(f"{before} is {old.id} and {after} is {new.id}: these are not versions of one programme")
    if old.version == new.version and old.digest != new.digest:
        typer.echo(f"both say that they are {new.id} {new.version} and they differ: give one another version", err=True)
    found = changes(old, new)
    holders = {level.id: again(found, level.id) for level in new.levels}
    if output == "json":
        rows = [asdict(one) for one in found]
        typer.echo(json.dumps({"changes": rows, "measure_again": holders}, indent=2, ensure_ascii=False))
        return
    if not found:
        typer.echo("nothing that is asked of a product differs")
        return
    show([asdict(one) for one in found], CHANGE_COLUMNS, output, title=f"{new.id} {old.version} → {new.version}")
    for level, cases in holders.items():
        judged = sum(one.asks is Asks.JUDGE and one.level in ("", level) for one in found)
        words = f"measured again in {', '.join(cases)}" if cases else "measured again in nothing"
        typer.echo(f"holders of {level}: {words}; {judged} change(s) are judged from the evidence that is kept")


@app.command()
def questionnaire(
    programme: Annotated[str, typer.Argument(help="ID or ID@VERSION of one that comes with the product, or a file.")],
    file: Annotated[Path | None, typer.Option("-o", "--file", help="Write it there; must not be there yet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The questions for programs, not to be filled in.")] = False,
) -> None:
    """What a submitter is asked: a file to fill in and to send with 'assay submit'."""
    found = _found(programme)
    text = json.dumps(as_data(found), indent=2, ensure_ascii=False) + "\n" if as_json else as_yaml(found)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    typer.echo(f"written: {file}", err=True)


def _found(programme: str) -> Programme:
    """The programme of a file or of a name; raises BadInput, NotFound."""
    if programme.endswith((".yaml", ".yml", ".json")):
        return read_programme(Path(programme))
    name, _, version = programme.partition("@")
    shipped = shipped_programmes()
    found = programme_named(name, version or None, shipped)
    if found is None:
        known = ", ".join(f"{one.id}@{one.version}" for one in shipped)
        raise NotFound(f"no programme {programme} comes with the product; there are {known}, or name a file")
    return found


@app.command()
def schema() -> None:
    """The JSON Schema of a programme file, for editors."""
    typer.echo(json.dumps(Programme.model_json_schema(), indent=2))
