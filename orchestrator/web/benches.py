"""The page of a bench: its instruments, its slots, and the record of its uncertainty. It reads and changes nothing."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from lab_inventory.characterisation import NO_RECORD
from lab_inventory.errors import NotFound
from orchestrator.api.parts import PartsOf
from orchestrator.store import bench_views
from orchestrator.store.bench_views import BenchView
from orchestrator.web.layout import SeesLab, show

router = APIRouter(include_in_schema=False)


@router.get("/benches/{bench}")
def bench(bench: str, request: Request, parts: PartsOf, asking: SeesLab) -> HTMLResponse:
    """A bench: what it measures with, and how well it does so by its own record."""
    with parts.store.reading() as connection:
        found = next((one for one in bench_views.benches(connection) if one.bench.name == bench), None)
    if found is None:
        raise NotFound(f"there is no bench {bench[:80]}")
    return show("bench.html", request, asking, view=found, why_invalid=why_invalid(found, parts))


def why_invalid(view: BenchView, parts: PartsOf) -> str:
    """Why the bench has no record that holds now; empty where it has one."""
    if view.characterised is None:
        return NO_RECORD
    return view.characterised.why_invalid(parts.desk.clock.now(), view.bench.name, view.host)
