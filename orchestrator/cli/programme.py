"""``assay programme``: programme files and packages checked, compared, and described for editors. Needs no server."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.errors import AssayError, BadInput, NotFound
from lab_inventory.noun import Noun
from lab_inventory.package import Category, Frame, Module
from lab_inventory.package_reading import programmes_at
from lab_inventory.programme import Programme, read_programme
from lab_inventory.programme_changes import Asks, Change, again, by_hand, changes
from lab_inventory.shipped import shipped_programmes
from orchestrator.cli.client import DEFAULT_SERVER, Client, Output, Server, show
from orchestrator.pipeline.questionnaire import as_data, as_yaml
from orchestrator.pipeline.submit import programme_named

app = typer.Typer(help="Programmes: what is tested and what each level asks.", no_args_is_help=True)
CHANGE_COLUMNS = ("what", "level", "before", "after", "asks", "case")
COLUMNS = ("programme", "levels", "profiles", "requirements", "limits", "sources")


class Kind(StrEnum):
    """What a schema describes."""

    PROGRAMME = "programme"
    FRAME = "frame"
    CATEGORY = "category"
    MODULE = "module"


SCHEMAS: Mapping[Kind, type[Noun]] = {
    Kind.PROGRAMME: Programme,
    Kind.FRAME: Frame,
    Kind.CATEGORY: Category,
    Kind.MODULE: Module,
}


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Programme files, or directories of packages.")],
    output: Output = "table",
) -> None:
    """Find every mistake of programmes, with its file and place. Status 1 where there is one.

    Beside each profile stands how many of its requirements are manual: no procedure measures them.
    """
    rows, wrong = [], False
    for file in files:
        try:
            rows += [_summary(file, programme) for programme in programmes_at(file)]
        except BadInput as error:
            wrong = True
            typer.echo(f"{error}", err=True)
    if rows or output == "json":
        show(rows, COLUMNS, output)
    if output != "json":
        for row in rows:
            if row["manual"]:
                typer.echo(f"{row['programme']}: manual: {row['manual']}")
    if wrong:
        raise typer.Exit(1)


def _summary(file: Path, programme: Programme) -> dict[str, str]:
    limits = [limit for one in programme.requirements for check in one.checks for limit in check.limits.values()]
    marks = Counter(limit.source.mark.value for limit in limits)
    return {
        "file": str(file),
        "programme": f"{programme.id} {programme.version}" + (" (demonstration)" if programme.demonstration else ""),
        "category": programme.category,
        "levels": ", ".join(level.id for level in programme.levels),
        "profiles": ", ".join(_profile(programme, profile.id) for profile in programme.profiles),
        "requirements": str(len(programme.requirements)),
        "limits": str(len(limits)),
        "sources": ", ".join(f"{mark} {number}" for mark, number in sorted(marks.items())),
        "manual": ", ".join(one.id for one in programme.requirements if one.manual),
        "digest": programme.digest,
    }


def _profile(programme: Programme, profile: str) -> str:
    manual = len(programme.manual(profile))
    return f"{profile} ({manual} of {len(programme.of_profile(profile))} manual)" if manual else profile


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The version that products passed: a file, or a package's directory.")],
    after: Annotated[Path, typer.Argument(help="The version that follows it.")],
    output: Output = "table",
) -> None:
    """What another version changes, and for whoever holds a level what must be measured or judged again for it."""
    old, new = _by_id(before), _by_id(after)
    gone, added = [name for name in old if name not in new], [name for name in new if name not in old]
    both = [name for name in new if name in old]
    if not both:
        names = f"{before} is {', '.join(old)} and {after} is {', '.join(new)}"
        raise AssayError(f"{names}: these are not versions of one programme")
    for name in both:
        if old[name].version == new[name].version and old[name].digest != new[name].digest:
            said = f"both say that they are {name} {new[name].version} and they differ: give one another version"
            typer.echo(said, err=True)
    found = {name: changes(old[name], new[name]) for name in both}
    if output == "json":
        each = {name: _as_json(found[name], new[name]) for name in both}
        whole = (
            each[both[0]]
            if not before.is_dir() and not after.is_dir()
            else {
                "categories": each,
                "added": added,
                "removed": gone,
            }
        )
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    for name in added:
        typer.echo(f"{name}: a new category; nobody holds a level of it")
    for name in gone:
        typer.echo(f"{name}: the category is gone; its holders have nothing to be tested in")
    if not any(found.values()):
        typer.echo("nothing that is asked of a product differs")
    for name in both:
        if found[name]:
            _tell(found[name], old[name], new[name], output)


def _by_id(path: Path) -> dict[str, Programme]:
    return {programme.id: programme for programme in programmes_at(path)}


def _as_json(found: Sequence[Change], new: Programme) -> dict[str, object]:
    return {
        "changes": [asdict(one) for one in found],
        "measure_again": {level.id: again(found, level.id) for level in new.levels},
        "by_hand": {level.id: by_hand(found, level.id) for level in new.levels},
    }


def _tell(found: Sequence[Change], old: Programme, new: Programme, output: str) -> None:
    show([asdict(one) for one in found], CHANGE_COLUMNS, output, title=f"{new.id} {old.version} → {new.version}")
    for level in new.levels:
        cases, manual = again(found, level.id), by_hand(found, level.id)
        judged = sum(one.asks is Asks.JUDGE and one.level in ("", level.id) for one in found)
        words = f"measured again in {', '.join(cases)}" if cases else "measured again in nothing"
        words += f"; by hand in {', '.join(manual)}" if manual else ""
        typer.echo(f"holders of {level.id}: {words}; {judged} change(s) are judged from the evidence that is kept")


@app.command()
def offer(
    path: Annotated[Path, typer.Argument(help="A programme file, or the directory of a package.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Open a programme of the lab's own to submissions, or every category of a package."""
    found = programmes_at(path)
    client = Client(server)
    for programme in found:
        answer = client.send("POST", "/v1/programmes", programme.model_dump(mode="json"))
        typer.echo(f"{answer['programme']} is {'' if answer['new'] else 'already '}open to submissions")


@app.command()
def withdraw(
    programme: Annotated[str, typer.Argument(help="ID@VERSION", metavar="PROGRAMME")],
    reason: Annotated[str, typer.Option(help="Why.")],
    server: Server = DEFAULT_SERVER,
) -> None:
    """Close a version to new submissions; those that are in go on."""
    name, at, version = programme.partition("@")
    if not at or not version:
        raise BadInput(f"{programme} names no version: expected ID@VERSION")
    Client(server).send("POST", f"/v1/programmes/{name}/withdraw", {"version": version, "reason": reason})
    typer.echo(f"{programme} is withdrawn")


@app.command("list")
def list_(server: Server = DEFAULT_SERVER, output: Output = "table") -> None:
    """The programmes that can be submitted to."""
    rows = Client(server).get("/v1/programmes")
    if output != "json":
        rows = [
            row | {"levels": ", ".join(row["levels"]), "from": "this lab" if row["own"] else "the product"}
            for row in rows
        ]
    show(rows, ("id", "version", "category", "levels", "requirements", "demonstration", "from"), output)


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
def schema(
    of: Annotated[Kind, typer.Argument(help="A programme in one file, or a file of a package.")] = Kind.PROGRAMME,
) -> None:
    """The JSON Schema of a file, for editors: programme, or frame, category or module of a package."""
    typer.echo(json.dumps(SCHEMAS[of].model_json_schema(), indent=2))
