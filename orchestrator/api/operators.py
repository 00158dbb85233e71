"""What people ask: batches, devices, runs, verdicts, certificates, the lab file."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response
from fastapi import Path as PathParameter
from pydantic import Field

from lab_inventory.errors import BadInput, Conflict, NotFound
from lab_inventory.lab import Lab
from lab_inventory.noun import Noun, Text
from orchestrator import logs
from orchestrator.api.parts import (
    BatchesRead,
    BatchesSubmit,
    BatchesWrite,
    LabRead,
    LabWrite,
    Parts,
    PartsOf,
    Public,
)
from orchestrator.desk import BatchReply
from orchestrator.lifecycle.rights import Principal
from orchestrator.pipeline.declared import findings
from orchestrator.pipeline.judge import criteria
from orchestrator.pipeline.plan import left_s
from orchestrator.pipeline.submit import BatchRequest, VendorBound
from orchestrator.reports.junit import junit
from orchestrator.store import listings, views
from orchestrator.store.store import head

router = APIRouter(prefix="/v1")
Limit = Annotated[int, Query(ge=1, le=listings.PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Key = Annotated[str, Header(min_length=1, max_length=120, pattern=r"^[\x21-\x7e]+$")]
Resource = Annotated[
    str, PathParameter(pattern=r"^(device|bench):[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", examples=["device:dev-1"])
]
Row = dict[str, Any]

MASK = "********"
"""What stands for a password where the lab file is shown."""

BATCH_EXAMPLE = {
    "title": "Spring firmware",
    "programme": "ip-phone-basic",
    "submissions": [
        {
            "title": "Desk phone, wideband",
            "vendor": "Example Phones",
            "product": {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"},
            "hardware_revision": "A",
            "mode": "wideband",
            "profile": "digital",
            "ics": {
                "audio": "wideband",
                "codec.pcmu": True,
                "codec.pcma": True,
                "codec.g722": True,
                "dtmf.events": True,
                "hold": True,
            },
        }
    ],
}


class Order(Noun):
    """Why an operator orders something."""

    reason: Text = Field(default="", examples=["wrong firmware on the unit"])


OrderBody = Annotated[Order, Body()]


@router.post("/batches", status_code=201, tags=["batches"])
def submit(
    request: Annotated[BatchRequest, Body(examples=[BATCH_EXAMPLE])],
    parts: PartsOf,
    asking: BatchesSubmit,
    idempotency_key: Key,
) -> BatchReply:
    """Queue a batch. The same key and body always get the same reply."""
    reply = parts.desk.submit(asking.subject, request, idempotency_key, bound_of(parts, asking))
    logs.note(batch=reply.batch)
    return reply


def bound_of(parts: Parts, asking: Principal) -> VendorBound | None:
    """What a vendor may submit; None for who submits for anybody."""
    if asking.vendor is None:
        return None
    return VendorBound(vendor=asking.vendor, open_max=parts.settings.open_submissions_per_vendor)


@router.get("/batches", tags=["batches"])
def list_batches(parts: PartsOf, asking: BatchesRead, limit: Limit = 50, offset: Offset = 0) -> list[Row]:
    """Batches, newest first."""
    with parts.store.reading() as connection:
        return listings.batches(connection, vendor=asking.vendor, limit=limit, offset=offset)


@router.get("/batches/{batch}", tags=["batches"])
def show_batch(batch: str, parts: PartsOf, asking: BatchesRead) -> Row:
    """A batch with its submissions and runs; waiting runs say why."""
    return batch_with_reasons(parts, batch, asking.vendor)


def batch_with_reasons(parts: Parts, batch: str, vendor: str | None) -> Row:
    """A batch in which each waiting run says why it waits; raises NotFound, also where none of it is the vendor's."""
    with parts.store.reading() as connection:
        found = listings.batch(connection, batch, vendor)
        if found is None:
            raise NotFound(f"there is no batch {batch[:80]}")
        programmes = {
            entry["submission"]: views.programme(connection, content[1])
            for entry in found["entries"]
            if (content := views.content(connection, entry["submission"])) is not None
        }
    for entry in found["entries"]:
        programme = programmes.get(entry["submission"])
        known = {case.id: case for suite in programme.suites for case in suite.cases} if programme else {}
        for run in entry["runs"]:
            cases = [known[case] for case in run["cases"] if case in known]
            run["cases_planned"] = sum(case.repeats for case in cases) + len(run["cases"]) - len(cases)
            if run["state"] == "running":
                run["left_s"] = round(left_s(cases, run["cases_ended"]), 1)
            deferral = parts.loop.waiting.get(run["run"]) if run["state"] == "waiting" else None
            if deferral:
                run["waits_because"] = deferral.words
            elif run["state"] == "waiting" and parts.leadership.epoch is None:
                run["waits_because"] = f"the server that leads knows why: this one {parts.leadership.words}"
    return found


def _require_batch(parts: Parts, batch: str) -> None:
    """Raise NotFound, where the desk would only find that the order does not follow from the batch's state."""
    batch_with_reasons(parts, batch, None)


@router.post("/batches/{batch}/hold", status_code=204, tags=["batches"])
def hold_batch(batch: str, order: OrderBody, parts: PartsOf, asking: BatchesWrite) -> Response:
    """Nothing more of it is placed."""
    _require_batch(parts, batch)
    parts.desk.hold_batch(batch, asking.subject, order.reason)
    return Response(status_code=204)


@router.post("/batches/{batch}/release", status_code=204, tags=["batches"])
def release_batch(batch: str, parts: PartsOf, asking: BatchesWrite) -> Response:
    """It goes on."""
    _require_batch(parts, batch)
    parts.desk.release_batch(batch, asking.subject)
    return Response(status_code=204)


@router.post("/batches/{batch}/cancel", status_code=204, tags=["batches"])
def cancel_batch(batch: str, order: OrderBody, parts: PartsOf, asking: BatchesWrite) -> Response:
    """What waits is cancelled, what runs is stopped."""
    _require_batch(parts, batch)
    parts.desk.cancel_batch(batch, asking.subject, order.reason)
    return Response(status_code=204)


@router.get("/submissions/{submission}", tags=["verdicts"])
def show_submission(submission: str, parts: PartsOf, asking: BatchesRead) -> Row:
    """What was submitted and, once it is judged, every verdict with its grounds and every false declaration."""
    with parts.store.reading() as connection:
        view = views.submission(connection, submission, asking.vendor)
        judgement = views.judgement(connection, submission)
        programme = views.programme(connection, view.programme_digest) if view else None
    if view is None:
        raise NotFound(f"there is no submission {submission[:80]}")
    levels = judgement.levels if judgement and programme else ()
    return {
        "submission": view.submission,
        "batch": view.batch,
        "state": view.state.value,
        "content": view.content.model_dump(mode="json"),
        "programme_digest": view.programme_digest,
        "runs": [run.run for run in view.runs],
        "prompts": [
            {
                "prompt": one.prompt,
                "requirement": one.requirement,
                "state": one.state.value,
                "due_at": one.due_at.isoformat(),
            }
            for one in view.prompts
        ],
        "judgement": judgement.model_dump(mode="json") if judgement else None,
        "findings": [found.model_dump(mode="json") for found in findings(view, programme)]
        if judgement and programme
        else [],
        "criteria": {
            level.level: [one.model_dump(mode="json") for one in criteria(level, programme)]
            for level in levels
            if programme
        },
    }


@router.get(
    "/submissions/{submission}/junit",
    tags=["verdicts"],
    response_class=Response,
    responses={200: {"content": {"application/xml": {"schema": {"type": "string"}}}}},
)
def show_junit(submission: str, parts: PartsOf, asking: BatchesRead) -> Response:
    """Every verdict of a judged submission as JUnit XML, for build servers."""
    with parts.store.reading() as connection:
        view = views.submission(connection, submission, asking.vendor)
        judgement = views.judgement(connection, submission)
        programme = views.programme(connection, view.programme_digest) if view else None
    if view is None or programme is None:
        raise NotFound(f"there is no submission {submission[:80]}")
    if judgement is None:
        raise Conflict(f"{submission} is {view.state.value}; expected one that is judged")
    return Response(junit(judgement, view.content, programme), media_type="application/xml")


@router.get("/devices", tags=["devices"])
def list_devices(parts: PartsOf, asking: LabRead) -> list[Row]:
    """Every registered unit and its state."""
    with parts.store.reading() as connection:
        return listings.devices(connection)


@router.get("/devices/{device}", tags=["devices"])
def show_device(device: str, parts: PartsOf, asking: LabRead) -> Row:
    """One unit."""
    return device_of(parts, device)


def device_of(parts: Parts, device: str) -> Row:
    """One unit and its state; raises NotFound."""
    with parts.store.reading() as connection:
        found = next((row for row in listings.devices(connection) if row["device"] == device), None)
    if found is None:
        raise NotFound(f"there is no device {device[:80]}")
    return found


@router.post("/devices/{device}/hold", status_code=204, tags=["devices"])
def hold_device(device: str, order: OrderBody, parts: PartsOf, asking: LabWrite) -> Response:
    """Take a unit out, whatever its agent says of it."""
    device_of(parts, device)
    parts.desk.hold_device(device, asking.subject, order.reason)
    return Response(status_code=204)


@router.post("/devices/{device}/release", status_code=204, tags=["devices"])
def release_device(device: str, parts: PartsOf, asking: LabWrite) -> Response:
    """Put a unit back in service."""
    device_of(parts, device)
    parts.desk.release_device(device, asking.subject)
    return Response(status_code=204)


@router.get("/quarantine", tags=["quarantine"])
def list_quarantine(parts: PartsOf, asking: LabRead) -> list[Row]:
    """The units and benches that the lab took out by itself, each with the reason and how it is being brought back."""
    with parts.store.reading() as connection:
        return listings.quarantine(connection)


@router.post("/quarantine/{resource}/recover", status_code=204, tags=["quarantine"])
def recover(resource: Resource, parts: PartsOf, asking: LabWrite) -> Response:
    """Put a unit or bench on probation now: its power is cut where that can be done, then it is measured."""
    parts.loop.care.recover(resource, asking.subject)
    return Response(status_code=204)


@router.post("/quarantine/{resource}/put-back", status_code=204, tags=["quarantine"])
def put_back(resource: Resource, order: OrderBody, parts: PartsOf, asking: LabWrite) -> Response:
    """Put a unit or bench back in service without a probation; it is taken out again if it goes on as before."""
    parts.loop.care.put_back(resource, asking.subject, order.reason)
    return Response(status_code=204)


@router.get("/hosts", tags=["hosts"])
def list_hosts(parts: PartsOf, asking: LabRead) -> list[Row]:
    """Every host of the lab file, its intent and its agent; ``heard_s_ago`` None: not since this server started."""
    with parts.store.reading() as connection:
        rows = listings.hosts(connection)
    now_s = parts.desk.clock.boottime_s()
    heard = parts.desk.watch.heard_at_s
    for row in rows:
        at_s = heard.get(row["host"])
        row["heard_s_ago"] = None if at_s is None else round(max(0.0, now_s - at_s), 1)
    return rows


def require_host(parts: Parts, host: str) -> None:
    """Raise NotFound for a host that the lab file does not have."""
    with parts.store.reading() as connection:
        if host not in views.hosts(connection):
            raise NotFound(f"host {host[:80]} is not in the lab file")


@router.post("/hosts/{host}/drain", status_code=204, tags=["hosts"])
def drain_host(host: str, order: OrderBody, parts: PartsOf, asking: LabWrite) -> Response:
    """Place nothing more at a host; what runs there goes on to its end."""
    require_host(parts, host)
    parts.desk.drain_host(host, asking.subject, order.reason)
    return Response(status_code=204)


@router.post("/hosts/{host}/undrain", status_code=204, tags=["hosts"])
def undrain_host(host: str, parts: PartsOf, asking: LabWrite) -> Response:
    """Put a host back in service."""
    require_host(parts, host)
    parts.desk.undrain_host(host, asking.subject)
    return Response(status_code=204)


@router.get("/runs/{run}", tags=["runs"])
def show_run(run: str, parts: PartsOf, asking: BatchesRead) -> Row:
    """One attempt: where it ran, its reports, and those that do not count."""
    with parts.store.reading() as connection:
        found = listings.run(connection, run, asking.vendor)
    if found is None:
        raise NotFound(f"there is no run {run[:80]}")
    return found


@router.get("/certificates", tags=["certificates"])
def list_certificates(parts: PartsOf, asking: BatchesRead, limit: Limit = 50, offset: Offset = 0) -> list[Row]:
    """Certificates, newest first."""
    with parts.store.reading() as connection:
        return listings.certificates(connection, vendor=asking.vendor, limit=limit, offset=offset)


@router.get("/certificates/{certificate}", tags=["certificates"], dependencies=[Public])
def show_certificate(certificate: str, parts: PartsOf) -> Response:
    """The signed file, byte for byte."""
    with parts.store.reading() as connection:
        document = listings.certificate_document(connection, certificate)
    if document is None:
        raise NotFound(f"there is no certificate {certificate[:80]}")
    return Response(document, media_type="application/json")


@router.get("/lab", tags=["lab"])
def show_lab(parts: PartsOf, asking: LabRead) -> Row:
    """The lab file, with its passwords masked."""
    with parts.store.reading() as connection:
        lab = views.lab(connection)
    if lab is None:
        raise NotFound("no lab file was applied yet: assay lab apply FILE")
    shown: Row = json.loads(lab.model_dump_json())
    for host in shown["hosts"]:
        for bench in host["benches"]:
            for slot in bench["slots"]:
                for account in (slot["account"], slot.get("control_account")):
                    if account is not None:
                        account["password"] = MASK
    return shown


@router.put("/lab", status_code=204, tags=["lab"])
def apply_lab(lab: Lab, parts: PartsOf, asking: LabWrite) -> Response:
    """Make this the lab file."""
    if any(account.password.get_secret_value() == MASK for host in lab.hosts for account in host.accounts()):
        raise BadInput("the lab file has masked passwords: it is one that was shown, not one that was written")
    parts.desk.apply_lab(lab, asking.subject)
    return Response(status_code=204)


@router.get("/journal/head", tags=["journal"])
def journal_head(parts: PartsOf, asking: LabRead) -> Row:
    """The end of the journal: note it down elsewhere, and a cut tail will show."""
    with parts.store.reading() as connection:
        found = head(connection)
    return {"length": found.length, "hash": found.hash}
