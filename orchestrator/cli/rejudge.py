"""``assay rejudge``: past evidence judged again. Reads the database, also of a running server, and writes nothing."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.programme import Programme, read_programme
from orchestrator.cli.client import Output, in_words, show
from orchestrator.cli.database import Data, Database
from orchestrator.pipeline.attempts import Distrust
from orchestrator.pipeline.rejudge import Impact, Rejudged, rejudge, stands
from orchestrator.settings import read_settings

COLUMNS = ("submission", "product", "impact", "certificates", "why")
Day = Annotated[str | None, typer.Option(help="A day of measuring, in UTC: YYYY-MM-DD; included.")]


def rejudge_command(
    programme: Annotated[
        str | None, typer.Option(help="Judge by this: a programme file, or ID, or ID@VERSION of one that is kept.")
    ] = None,
    submission: Annotated[list[str] | None, typer.Option(help="This submission; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was judged of its category.")] = False,
    without_instrument: Annotated[
        str | None, typer.Option(help="Judge as if what this instrument measured proved nothing.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The instrument of that name on this lab host alone.")] = None,
    since: Day = None,
    until: Day = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page to this new file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    data: Data = None,
    database: Database = None,
    output: Output = "table",
) -> None:
    """Judge past evidence again, by another programme version or without an instrument; nothing is changed."""
    output = "json" if as_json else output
    distrust = _distrust(without_instrument, host, since, until)
    if (programme is None) is (distrust is None):
        raise BadInput("expected either --programme or --without-instrument")
    if distrust is None and not submission and not everything:
        raise BadInput("expected --submission, or --all")
    if submission and everything:
        raise BadInput("expected either --submission or --all")
    if html is not None and html.exists():
        raise BadInput(f"{html} is there already; expected a new file")
    asked, rows = _judge_again(programme, distrust, submission or None, data, database)
    counts = Counter(row["impact"] for row in rows)
    report = {"asked": asked, "summary": {impact.value: counts[impact.value] for impact in Impact}, "submissions": rows}
    if html is not None:
        from orchestrator.web.rejudged import page  # noqa: PLC0415  (only this needs the templates)

        with in_words():
            html.write_text(page(report), encoding="utf-8")
    if output == "json":
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
        return
    touched = [_line(row) for row in rows if row["impact"] != Impact.UNCHANGED.value or _ended_waivers(row)]
    if touched or output != "table":
        show(touched, COLUMNS, output, title=asked)
    typer.echo(f"{asked}: {len(rows)} submission(s); " + ", ".join(f"{counts[one.value]} {one}" for one in Impact))
    typer.echo("Nothing was changed: no judgement, and no certificate.")


def _distrust(instrument: str | None, host: str | None, since: str | None, until: str | None) -> Distrust | None:
    if instrument is None:
        if host or since or until:
            raise BadInput("--host, --since and --until go with --without-instrument")
        return None
    first, last = _day("--since", since), _day("--until", until)
    if first and last and first > last:
        raise BadInput(f"--since {first} is after --until {last}")
    return Distrust(instrument=instrument, since=first, until=last, host=host)


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput(f"{option} {text}: expected a day as YYYY-MM-DD") from error


def _judge_again(
    named: str | None, distrust: Distrust | None, submissions: Sequence[str] | None, data: Path | None, url: str | None
) -> tuple[str, list[dict[str, Any]]]:
    """What was asked in words, and a row for each submission that it concerns."""
    from orchestrator.store.past import judged, past  # noqa: PLC0415  (only this command needs the database)
    from orchestrator.store.store import Store  # noqa: PLC0415

    settings = read_settings(data=data, database_url=url)
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        raise BadInput(f"{settings.data}: there is no database of Assay")
    store = Store(settings.database_url, SystemClock(), upgrade=False)
    try:
        with store.reading() as connection:
            by = distrust or _programme(connection, named or "")
            chosen = judged(
                connection,
                named=submissions,
                category=by.category if isinstance(by, Programme) and not submissions else None,
                instrument=distrust.instrument if distrust else None,
            )
        rows = []
        for one in chosen:
            with store.reading() as connection:
                found = past(connection, one)
            after = by if isinstance(by, Programme) else found.programme
            again = rejudge(found.view, found.programme, found.judgement, after, distrust)
            if distrust is None or again.measurements:
                rows.append(_row(found, again, after))
    finally:
        store.close()
    return _asked(by), rows


def _programme(connection: Any, named: str) -> Programme:
    from orchestrator.store.past import programme_named  # noqa: PLC0415  (only this command needs the database)

    if Path(named).is_file() or named.endswith((".yaml", ".yml")):
        return read_programme(Path(named))
    name, _, version = named.partition("@")
    return programme_named(connection, name, version or None)


def _asked(by: Programme | Distrust) -> str:
    if isinstance(by, Programme):
        return f"Judged again by {by.id} {by.version}"
    words = [f"Judged again without {by.instrument}"]
    words += [f"on {by.host}"] if by.host else []
    words += [f"from {by.since}"] if by.since else []
    words += [f"up to {by.until}"] if by.until else []
    return " ".join(words)


def _row(found: Any, again: Rejudged, programme: Programme) -> dict[str, Any]:
    """A submission for the report, as plain data."""
    content = found.view.content
    return {
        "submission": again.submission,
        "title": content.title,
        "vendor": content.vendor,
        "product": f"{content.product.maker} {content.product.model} {content.product.firmware}",
        "hardware_revision": content.hardware_revision,
        "mode": content.mode,
        "judged_at": found.judged_at,
        "judged_by": f"{found.judgement.programme} {found.judgement.programme_version}",
        "certificates": [
            asdict(one) | {"stands": stands(again, one.level, found.programme, programme)} for one in found.certificates
        ],
        "waivers": [
            {"waiver": one.waiver, "state": one.state.value, "ends_on": one.proposed.ends_on.isoformat()}
            for one in found.waivers.values()
        ],
        **{name: value for name, value in asdict(again).items() if name != "submission"},
    }


def _line(row: dict[str, Any]) -> dict[str, str]:
    """A submission as a line of the table."""
    return {
        "submission": row["submission"],
        "product": row["product"],
        "impact": row["impact"],
        "certificates": ", ".join(_certificate(one, row["impact"]) for one in row["certificates"]),
        "why": "; ".join(_why(row)),
    }


def _certificate(one: dict[str, Any], impact: str) -> str:
    lost = ", not known to stand" if impact == Impact.NOT_JUDGEABLE.value else ", would not stand"
    stands = {True: ", would stand", False: lost, None: ""}[one["stands"]]
    return f"{one['certificate']} ({one['level']}, {one['state']}{stands})"


def _ended_waivers(row: dict[str, Any]) -> list[str]:
    """The waivers that it was judged with and that count no more, each with what became of it."""
    return [f"{one['waiver']} ({one['state']})" for one in row["waivers"] if one["state"] != "approved"]


def _why(row: dict[str, Any]) -> Iterator[str]:
    yield row["words"]
    ended = _ended_waivers(row)
    if ended:
        yield f"it was judged with waivers that are not in force any more: {', '.join(ended)}"
    if row["measurements"]:
        yield f"{row['measurements']} measurement(s) by it"
    if row["again"]:
        yield f"{len(row['again'])} test case(s) to be measured"
