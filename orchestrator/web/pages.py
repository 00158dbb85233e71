"""The pages for people: lab, batch, submission, device, certificate. They read and change nothing.

Certificates are for everybody; the others need somebody who is signed in and may see what they show.
"""

import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from lab_inventory.errors import NotFound
from lab_inventory.outcome import RULES
from orchestrator.api.health import readiness
from orchestrator.api.operators import batch_with_reasons, device_of
from orchestrator.api.parts import Parts, PartsOf, Public, by_cookie
from orchestrator.lifecycle.rights import Scope
from orchestrator.pipeline.declared import findings
from orchestrator.pipeline.judge import criteria
from orchestrator.store import bench_views, certificate_views, listings, report_views, sample_views, views
from orchestrator.store.store import Reading
from orchestrator.web.benches import why_invalid
from orchestrator.web.layout import HEADERS, SeesBatches, SeesLab, show

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50

Page = Annotated[int, Query(ge=1, le=100_000)]


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
def lab(
    request: Request, parts: PartsOf, asking: SeesBatches, page: Page = 1, units: Page = 1, state: str = ""
) -> HTMLResponse:
    """The lab: units, batches, and what is degraded; for who does not see the lab, batches and verdicts alone."""
    sees_lab = Scope.LAB_READ in asking.scopes
    with parts.store.reading() as connection:
        devices = listings.devices(connection) if sees_lab else []
        counts = listings.counts(connection) if sees_lab else None
        quarantine = listings.quarantine(connection) if sees_lab else []
        benches = bench_views.benches(connection) if sees_lab else ()
        start = (page - 1) * ROWS_PER_PAGE
        batches = listings.batches(connection, vendor=asking.vendor, limit=ROWS_PER_PAGE + 1, offset=start)
        verdicts = listings.verdicts(connection, vendor=asking.vendor)
        demonstration = any(
            _demonstration(connection, digest) for digest in {row["programme_digest"] for row in verdicts}
        )
    chosen = [device for device in devices if not state or device["state"] == state]
    start = (units - 1) * ROWS_PER_PAGE
    return show(
        "lab.html",
        request,
        asking,
        sees_lab=sees_lab,
        devices=chosen[start : start + ROWS_PER_PAGE],
        units=units,
        more_units=len(chosen) > start + ROWS_PER_PAGE,
        state=state if state in listings.DEVICE_STATES else "",
        counts=counts,
        batches=batches[:ROWS_PER_PAGE],
        page=page,
        more=len(batches) > ROWS_PER_PAGE,
        degraded=readiness(parts)["degraded"] if sees_lab else {},
        quarantine=quarantine[:ROWS_PER_PAGE],
        benches=[(view, why_invalid(view, parts)) for view in benches[:ROWS_PER_PAGE]],
        verdicts=verdicts,
        demonstration=demonstration,
    )


@router.get("/batches/{batch}")
def batch(batch: str, request: Request, parts: PartsOf, asking: SeesBatches, page: Page = 1) -> HTMLResponse:
    """A batch: for each submission what it earned and why not more, and its runs."""
    found = batch_with_reasons(parts, batch, asking.vendor)
    start = (page - 1) * ROWS_PER_PAGE
    entries = found["entries"][start : start + ROWS_PER_PAGE]
    with parts.store.reading() as connection:
        judgements = {entry["submission"]: views.judgement(connection, entry["submission"]) for entry in entries}
        digests = {entry["programme_digest"] for entry in found["entries"]}
        demonstration = any(_demonstration(connection, digest) for digest in digests)
    return show(
        "batch.html",
        request,
        asking,
        batch=found,
        entries=entries,
        judgements=judgements,
        demonstration=demonstration,
        page=page,
        more=len(found["entries"]) > start + ROWS_PER_PAGE,
    )


@router.get("/submissions/{submission}")
def submission(submission: str, request: Request, parts: PartsOf, asking: SeesBatches) -> HTMLResponse:
    """A submission: every requirement at every level with its grounds."""
    with parts.store.reading() as connection:
        view = views.submission(connection, submission, asking.vendor)
        judgement = views.judgement(connection, submission)
        reports = report_views.issued(connection, submission)
        programme = views.programme(connection, view.programme_digest) if view else None
        samples = sample_views.samples(connection, vendor=asking.vendor, submission=submission)
        drivers = report_views.drivers(connection, submission) if view else ()
    if view is None or programme is None:
        raise NotFound(f"there is no submission {submission[:80]}")
    found = findings(view, programme) if judgement else ()
    return show(
        "submission.html",
        request,
        asking,
        view=view,
        judgement=judgement,
        programme=programme,
        cases={requirement.id: requirement.case for requirement in programme.requirements},
        findings=found,
        samples=samples,
        drivers=drivers,
        reports=reports,
        criteria={level.level: criteria(level, programme) for level in judgement.levels} if judgement else {},
        rules={level.id: RULES[level.rule] for level in programme.levels},
    )


@router.get("/devices/{device}")
def device(device: str, request: Request, parts: PartsOf, asking: SeesLab) -> HTMLResponse:
    """A unit: what it says it is, where it stands, and what was run on it."""
    found = device_of(parts, device)
    with parts.store.reading() as connection:
        runs = listings.runs_of_device(connection, device, limit=ROWS_PER_PAGE)
    return show("device.html", request, asking, device=found, runs=runs)


@router.get("/certificates/{certificate}/file", dependencies=[Public])
def certificate_file(certificate: str, parts: PartsOf) -> Response:
    """The signed file, byte for byte, as a download."""
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{certificate}.json"'}
    return Response(_document(parts, certificate), media_type="application/json", headers=headers)


@router.get("/certificates/{certificate}", dependencies=[Public])
def certificate(certificate: str, request: Request, parts: PartsOf) -> HTMLResponse:
    """A certificate: what it covers, and how to verify it."""
    document = _document(parts, certificate)
    with parts.store.reading() as connection:
        view = certificate_views.certificate(connection, certificate)
        links = certificate_views.links(connection, certificate)
    return show(
        "certificate.html",
        request,
        by_cookie(request),
        certificate=json.loads(document)["certificate"],
        standing=view.status.model_dump(mode="json") if view else {},
        history=[json.loads(link)["link"] for link in links],
        document=document,
    )
