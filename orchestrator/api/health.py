"""Liveness, readiness, metrics and the event stream."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, StreamingResponse

from lab_inventory.errors import Unavailable
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.store import listings

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
def ready(parts: PartsOf) -> JSONResponse:
    """Whether work can be taken (200) or not (503), and what is degraded and why."""
    state = readiness(parts)
    return JSONResponse(state, status_code=200 if state["ready"] else 503)


def readiness(parts: Parts) -> dict[str, Any]:
    """``ready``: batches are taken; ``degraded``: what keeps them from being run, in words."""
    degraded: dict[str, str] = {}
    taken = True
    try:
        with parts.store.reading() as connection:
            for fault in listings.host_faults(connection):
                degraded[f"slot {fault['slot']}"] = fault["detail"]
    except Unavailable:
        taken, degraded["database"] = False, "the database does not answer"
    if parts.desk.watch.loop_trouble:
        taken, degraded["loop"] = False, f"its last pass failed: {parts.desk.watch.loop_trouble}"
    if parts.dispatcher.health:
        degraded["ray"] = parts.dispatcher.health
    degraded |= {f"Ray worker of {host}": reason for host, reason in parts.desk.watch.not_ready.items()}
    return {"ready": taken, "degraded": degraded}


@router.get("/metrics")
def metrics(parts: PartsOf) -> Response:
    """For Prometheus."""
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/events")
def events(parts: PartsOf) -> StreamingResponse:
    """Server-sent events: which thing changed, never its content."""
    if parts.watchers.full:
        raise Unavailable("too many are watching already")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(parts.watchers.stream(), media_type="text/event-stream", headers=headers)
