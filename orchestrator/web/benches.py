"""The page of a bench: its instruments, its slots, and the record of its uncertainty. It reads and changes nothing."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from lab_inventory.characterisation import NO_RECORD
from lab_inventory.errors import NotFound
from orchestrator.api.parts import PartsOf
from orchestrator.pipeline import control
from orchestrator.pipeline.control_chart import BASELINE_POINTS
from orchestrator.store import bench_views, control_views, views
from orchestrator.store.bench_views import BenchView
from orchestrator.web.chart_svg import chart_svg
from orchestrator.web.layout import SeesLab, show

router = APIRouter(include_in_schema=False)


@router.get("/benches/{bench}")
def bench(bench: str, request: Request, parts: PartsOf, asking: SeesLab) -> HTMLResponse:
    """A bench: what it measures with, and how well it does so by its own record."""
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
        view=found,
        why_invalid=why_invalid(found, parts),
        charts=[(chart, Markup(chart_svg(chart))) for chart in charts],  # noqa: S704 - numbers and our own words
        drifts=drifts,
        controls=[(device, marked[device.device]) for device in devices],
        baseline_points=BASELINE_POINTS,
    )


def why_invalid(view: BenchView, parts: PartsOf) -> str:
    """Why the bench has no record that holds now; empty where it has one."""
    if view.characterised is None:
        return NO_RECORD
    return view.characterised.why_invalid(parts.desk.clock.now(), view.bench.name, view.host)
