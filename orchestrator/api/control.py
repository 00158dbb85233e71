"""Control devices of benches, and the drifts that their charts show."""

from fastapi import APIRouter, Response

from lab_inventory.noun import Noun, Words
from orchestrator.api.operators import OrderBody, Row, device_of
from orchestrator.api.parts import LabRead, LabWrite, PartsOf
from orchestrator.store import control_views

router = APIRouter(prefix="/v1", tags=["control"])


class ExplainBody(Noun):
    """What a drift was. ``anew``: the bench is another from now on, so its chart begins anew."""

    words: Words
    anew: bool = False


@router.post("/devices/{device}/control", status_code=204)
def mark_control(device: str, order: OrderBody, parts: PartsOf, asking: LabWrite) -> Response:
    """Make a unit the control device of its bench: it is measured four times a day where nothing else is."""
    device_of(parts, device)
    parts.loop.control.mark(device, asking.subject, order.reason)
    return Response(status_code=204)


@router.post("/devices/{device}/end-control", status_code=204)
def end_control(device: str, parts: PartsOf, asking: LabWrite) -> Response:
    """Make a unit a control device no more."""
    device_of(parts, device)
    parts.loop.control.end(device, asking.subject)
    return Response(status_code=204)


@router.get("/drifts")
def list_drifts(parts: PartsOf, asking: LabRead) -> list[Row]:
    """Every drift that was found, newest first, with what was said of it."""
    with parts.store.reading() as connection:
        found = control_views.drifts(connection)
    return [
        {
            "drift": one.drift,
            "state": one.state.value,
            "bench": one.bench,
            "chart": one.chart,
            "run": one.run,
            "words": one.words,
            "found_at": one.found_at.isoformat(),
            "explanation": one.explanation,
            "explained_by": one.explained_by,
            "explained_at": one.explained_at.isoformat() if one.explained_at else None,
            "anew": one.anew,
        }
        for one in found
    ]


@router.post("/drifts/{drift}/explain", status_code=204)
def explain_drift(drift: str, body: ExplainBody, parts: PartsOf, asking: LabWrite) -> Response:
    """Say what a drift was: what was measured on its bench is judged and decided again."""
    parts.loop.control.explain(drift, asking.subject, body.words, anew=body.anew)
    return Response(status_code=204)
