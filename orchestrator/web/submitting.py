"""The pages on which a product is submitted: the programmes there are, and the form of each one's questionnaire."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from lab_inventory.device import CompanionKind
from lab_inventory.errors import AssayError, NotFound, Problem
from lab_inventory.programme import Programme, Purpose
from orchestrator import logs
from orchestrator.api.operators import bound_of
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.lifecycle.rights import Principal
from orchestrator.pipeline.form import COMPANION_FIELDS, PART_FIELDS, ROWS, read_form
from orchestrator.pipeline.questionnaire import as_yaml, questions
from orchestrator.pipeline.submit import BatchRequest, programme_named
from orchestrator.store import views
from orchestrator.web.layout import HEADERS, SeesBatches, Submits, require_our_form, show

router = APIRouter(include_in_schema=False)
FIELDS_MAX = 1000
KEY_LENGTH_MAX = 60

Version = Annotated[str, Query(max_length=40)]


async def _typed(request: Request) -> dict[str, str]:
    """The fields of the form that was sent."""
    async with request.form(max_files=0, max_fields=FIELDS_MAX) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


Typed = Annotated[dict[str, str], Depends(_typed)]


@router.get("/programmes")
def programmes(request: Request, parts: PartsOf, asking: SeesBatches) -> HTMLResponse:
    """The programmes that can be submitted to."""
    with parts.store.reading() as connection:
        found = [one for one in views.programmes(connection) if one.purpose is Purpose.CERTIFICATION]
    return show("programmes.html", request, asking, programmes=found)


def _programme(parts: Parts, name: str, version: str) -> Programme:
    with parts.store.reading() as connection:
        offered = [one for one in views.programmes(connection) if one.purpose is Purpose.CERTIFICATION]
    found = programme_named(name, version or None, offered)
    if found is None:
        raise NotFound(f"there is no programme {name[:80]} {version[:40]} to submit to")
    return found


@router.get("/programmes/{programme}/questionnaire")
def questionnaire(programme: str, parts: PartsOf, asking: SeesBatches, version: Version = "") -> Response:
    """The questionnaire as a file to fill in."""
    found = _programme(parts, programme, version)
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{found.id}-{found.version}.yaml"'}
    return Response(as_yaml(found), media_type="application/yaml", headers=headers)


@router.get("/programmes/{programme}/submit")
def show_form(programme: str, request: Request, parts: PartsOf, asking: Submits, version: Version = "") -> HTMLResponse:
    """The form, with nothing typed in but what has a default."""
    found = _programme(parts, programme, version)
    typed = {one.path: str(one.default) for one in questions(found) if one.default is not None}
    if asking.vendor is not None:
        typed["vendor"] = asking.vendor
    return _form(request, asking, found, typed | {"key": parts.desk.clock.new_id("form")}, {})


@router.post("/programmes/{programme}/submit")
def submit(
    programme: str, request: Request, parts: PartsOf, asking: Submits, typed: Typed, version: Version = ""
) -> Response:
    """Submit what was typed in; with mistakes the form comes back as it was sent, each told at its field."""
    require_our_form(request, typed.get("form", ""))
    found = _programme(parts, programme, version)
    read = read_form(typed, found)
    if read.submission is None:
        return _form(request, asking, found, typed, read.mistakes, status=422)
    batch = BatchRequest(
        title=read.submission.title,
        programme=found.id,
        programme_version=found.version,
        submissions=(read.submission,),
    )
    key = f"form-{typed.get('key', '')[:KEY_LENGTH_MAX] or parts.desk.clock.new_id('form')}"
    try:
        reply = parts.desk.submit(asking.subject, batch, key, bound_of(parts, asking))
    except AssayError as error:
        wrong = error.problems or (Problem(path="", wrong=error.detail, expected=""),)
        mistakes: dict[str, tuple[Problem, ...]] = {}
        for one in wrong:
            field = one.path.removeprefix("submissions[0].")
            mistakes[field] = (*mistakes.get(field, ()), one)
        return _form(request, asking, found, typed, mistakes, status=error.status)
    logs.note(batch=reply.batch)
    return RedirectResponse(f"/batches/{reply.batch}", status_code=303, headers=HEADERS)


def _form(
    request: Request,
    asking: Principal,
    programme: Programme,
    typed: Mapping[str, str],
    mistakes: Mapping[str, tuple[Problem, ...]],
    status: int = 200,
) -> HTMLResponse:
    asked = questions(programme)
    fields = {one.path for one in asked} | {
        f"{name}.{number}{field}"
        for name, names in (("components", PART_FIELDS), ("companions", COMPANION_FIELDS))
        for number in range(ROWS)
        for field in ("", *(f".{one}" for one in names))
    }
    return show(
        "submit.html",
        request,
        asking,
        status,
        programme=programme,
        groups=(
            ("Product", [one for one in asked if "." not in one.path or one.path.startswith("product.")]),
            ("Declarations", [one for one in asked if one.path.startswith("ics.")]),
            ("Values that the tests need", [one for one in asked if one.path.startswith("ixit.")]),
        ),
        typed=typed,
        mistakes=mistakes,
        elsewhere=[one for field, found in mistakes.items() if field not in fields for one in found],
        count=sum(len(found) for found in mistakes.values()),
        rows=range(ROWS),
        companion_kinds=[kind.value for kind in CompanionKind],
    )
