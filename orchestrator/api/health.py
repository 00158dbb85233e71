"""Liveness, readiness, metrics and the event stream."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from lab_inventory.errors import Unavailable
from orchestrator.api.parts import LabRead, MetricsRead, Parts, PartsOf, Public
from orchestrator.api.readiness import Readiness

router = APIRouter(tags=["health"])


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get("/healthz", dependencies=[Public])
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "No work can be taken now"}},
    dependencies=[Public],
)
async def ready(parts: PartsOf, response: Response) -> Readiness:
    """Whether work can be taken (200) or not (503), and of each part whether it is ok, degraded or failed, and why."""
    found = await parts.health.answer()
    response.status_code = 200 if found.ready else 503
    return found


def readiness(parts: Parts) -> dict[str, Any]:
    """The answer of ``/readyz``, for pages."""
    return parts.health.look().model_dump(mode="json")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(parts: PartsOf, asking: MetricsRead) -> Response:
    """For Prometheus."""
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/events", response_class=EventStream)
def events(parts: PartsOf, asking: LabRead) -> StreamingResponse:
    """Server-sent events: which thing changed, never its content."""
    if parts.watchers.closed:
        raise Unavailable("the server is being stopped")
    if parts.watchers.full:
        raise Unavailable("too many are watching already")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventStream(parts.watchers.stream(), headers=headers)
