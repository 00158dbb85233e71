"""The page of a bench: its instruments, the record of its uncertainty, its control charts, and the form with which a
drift is explained. It needs no script.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from lab_inventory.characterisation import NO_RECORD
from lab_inventory.errors import AssayError, BadInput, NotFound
from lab_inventory.noun import Words
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.lifecycle.rights import Principal
from orchestrator.pipeline import control
from orchestrator.pipeline.control_chart import BASELINE_POINTS
from orchestrator.store import bench_views, control_views, views
from orchestrator.store.bench_views import BenchView
from orchestrator.web.chart_svg import chart_svg
from orchestrator.web.layout import HEADERS, SeesLab, WritesLab, require_our_form, show

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Form(max_length=300)]
Long = Annotated[str, Form(max_length=4000)]
_words: TypeAdapter[str] = TypeAdapter(Words)


@router.get("/benches/{bench}")
def bench(bench: str, request: Request, parts: PartsOf, asking: SeesLab) -> HTMLResponse:
    """A bench: what it measures with, how well it does so by its own record, and whether it drifts."""
    return _page(bench, request, parts, asking)


@router.post("/benches/{bench}/drifts/{drift}/explain")
def explain(
    bench: str,
    drift: str,
    request: Request,
    parts: PartsOf,
    asking: WritesLab,
    words: Long = "",
    anew: Annotated[bool, Form()] = False,
    form: Short = "",
) -> Response:
    """Say what a drift was; where that is refused, the page says why."""
    require_our_form(request, form)
    try:
        try:
            # Browsers send the lines of a form with CR LF.
            said = _words.validate_python(words.replace("\r\n", "\n"))
        except ValidationError as error:
            raise BadInput("say what it was in 1 to 2000 characters, without control characters") from error
        parts.loop.control.explain(drift, asking.subject, said, anew=anew)
    except AssayError as error:
        return _page(bench, request, parts, asking, wrong=error)
    return RedirectResponse(f"/benches/{bench}", status_code=303, headers=HEADERS)


def _page(
    bench: str, request: Request, parts: Parts, asking: Principal, wrong: AssayError | None = None
) -> HTMLResponse:
    with parts.store.reading() as connection:
        found = next((one for one in bench_views.benches(connection) if one.bench.name == bench), None)
        if found is None:
            raise NotFound(f"there is no bench {bench[:80]}")
        slots = [slot.name for slot in found.bench.slots]
        drifts = control_views.drifts(connection, bench)
        charts = control.charts(control_views.control_runs(connection, found.host, slots), drifts)
        marked = control_views.marked(connection)
        devices = [
            one
            for one in views.devices(connection)
            if one.device in marked and one.host == found.host and one.registration.slot in slots
        ]
    return show(
        "bench.html",
        request,
        asking,
        wrong.status if wrong else 200,
        wrong=wrong,
        view=found,
        why_invalid=why_invalid(found, parts),
        charts=[(chart, Markup(chart_svg(chart))) for chart in charts],  # noqa: S704 - numbers and our own words
        drifts=drifts,
        controls=[(device, marked[device.device]) for device in devices],
        baseline_points=BASELINE_POINTS,
    )


def why_invalid(view: BenchView, parts: Parts) -> str:
    """Why the bench has no record that holds now; empty where it has one."""
    if view.characterised is None:
        return NO_RECORD
    return view.characterised.why_invalid(parts.desk.clock.now(), view.bench.name, view.host)
