"""The pages for people: lab, batch, submission, device, certificate. They read and change nothing."""

import json
from datetime import datetime
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lab_inventory.errors import NotFound
from orchestrator.api.health import readiness
from orchestrator.api.operators import batch_with_reasons, device_of
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.pipeline.outcome import limit_in_words, value_in_words
from orchestrator.store import listings, views
from orchestrator.store.store import Reading

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_pages = Environment(
    loader=PackageLoader("orchestrator.web", "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["time"] = lambda text: datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC") if text else "–"
_pages.filters["value"] = lambda ground: "–" if ground.value is None else value_in_words(ground.value, ground.unit)
_pages.filters["limit"] = lambda ground: limit_in_words(ground.limit, ground.unit)

Page = Annotated[int, Query(ge=1, le=100_000)]


def add_static(app: FastAPI) -> None:
    """Serve the style sheet and the module."""
    folder = resources.files("orchestrator.web") / "static"
    app.mount("/static", StaticFiles(directory=str(folder)), name="static")


def _page(template: str, **content: Any) -> HTMLResponse:
    return HTMLResponse(_pages.get_template(template).render(**content), headers=HEADERS)


def _demonstration(connection: Reading, digest: str) -> bool:
    programme = views.programme(connection, digest)
    return programme is not None and programme.demonstration


def _document(parts: Parts, certificate: str) -> str:
    with parts.store.reading() as connection:
        document = listings.certificate_document(connection, certificate)
    if document is None:
        raise NotFound(f"there is no certificate {certificate[:80]}")
    return document


@router.get("/")
def lab(parts: PartsOf, page: Page = 1, units: Page = 1, state: str = "") -> HTMLResponse:
    """The lab: units, batches, and what is degraded."""
    with parts.store.reading() as connection:
        devices = listings.devices(connection)
        batches = listings.batches(connection, limit=ROWS_PER_PAGE + 1, offset=(page - 1) * ROWS_PER_PAGE)
        counts = listings.counts(connection)
        verdicts = listings.verdicts(connection)
        quarantine = listings.quarantine(connection)
        demonstration = any(
            _demonstration(connection, digest) for digest in {row["programme_digest"] for row in verdicts}
        )
    chosen = [device for device in devices if not state or device["state"] == state]
    start = (units - 1) * ROWS_PER_PAGE
    return _page(
        "lab.html",
        devices=chosen[start : start + ROWS_PER_PAGE],
        units=units,
        more_units=len(chosen) > start + ROWS_PER_PAGE,
        state=state if state in listings.DEVICE_STATES else "",
        counts=counts,
        batches=batches[:ROWS_PER_PAGE],
        page=page,
        more=len(batches) > ROWS_PER_PAGE,
        degraded=readiness(parts)["degraded"],
        quarantine=quarantine[:ROWS_PER_PAGE],
        verdicts=verdicts,
        demonstration=demonstration,
    )


@router.get("/batches/{batch}")
def batch(batch: str, parts: PartsOf, page: Page = 1) -> HTMLResponse:
    """A batch: for each submission what it earned and why not more, and its runs."""
    found = batch_with_reasons(parts, batch)
    start = (page - 1) * ROWS_PER_PAGE
    entries = found["entries"][start : start + ROWS_PER_PAGE]
    with parts.store.reading() as connection:
        judgements = {entry["submission"]: views.judgement(connection, entry["submission"]) for entry in entries}
        demonstration = _demonstration(connection, found["programme_digest"])
    return _page(
        "batch.html",
        batch=found,
        entries=entries,
        judgements=judgements,
        demonstration=demonstration,
        page=page,
        more=len(found["entries"]) > start + ROWS_PER_PAGE,
    )


@router.get("/submissions/{submission}")
def submission(submission: str, parts: PartsOf) -> HTMLResponse:
    """A submission: every requirement at every level with its grounds."""
    with parts.store.reading() as connection:
        view = views.submission(connection, submission)
        judgement = views.judgement(connection, submission)
        programme = views.programme(connection, view.programme_digest) if view else None
    if view is None or programme is None:
        raise NotFound(f"there is no submission {submission[:80]}")
    return _page("submission.html", view=view, judgement=judgement, programme=programme)


@router.get("/devices/{device}")
def device(device: str, parts: PartsOf) -> HTMLResponse:
    """A unit: what it says it is, where it stands, and what was run on it."""
    found = device_of(parts, device)
    with parts.store.reading() as connection:
        runs = listings.runs_of_device(connection, device, limit=ROWS_PER_PAGE)
    return _page("device.html", device=found, runs=runs)


@router.get("/certificates/{certificate}/file")
def certificate_file(certificate: str, parts: PartsOf) -> Response:
    """The signed file, byte for byte, as a download."""
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{certificate}.json"'}
    return Response(_document(parts, certificate), media_type="application/json", headers=headers)


@router.get("/certificates/{certificate}")
def certificate(certificate: str, parts: PartsOf) -> HTMLResponse:
    """A certificate: what it covers, and how to verify it."""
    document = _document(parts, certificate)
    return _page("certificate.html", certificate=json.loads(document)["certificate"], document=document)
