"""The pages of waivers: those there are, one of them, and the forms with which it is answered. They need no script."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from lab_inventory.errors import AssayError, BadInput
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.api.waivers import waiver_of
from orchestrator.lifecycle.rights import Principal
from orchestrator.lifecycle.waiver import Reason, WaiverState
from orchestrator.store import waiver_views
from orchestrator.web.layout import HEADERS, DecidesWaivers, SeesLab, require_our_form, show

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50

Page = Annotated[int, Query(ge=1, le=100_000)]
Short = Annotated[str, Form(max_length=300)]
Long = Annotated[str, Form(max_length=2000)]
Doing = Callable[[str, str, str], None]
"""What answers a waiver: its id, who, why."""
_reason: TypeAdapter[str] = TypeAdapter(Reason)


@router.get("/waivers")
def waivers(
    request: Request, parts: PartsOf, asking: SeesLab, page: Page = 1, state: WaiverState = WaiverState.APPROVED
) -> HTMLResponse:
    """Waivers by their state; first shown are those in force."""
    start = (page - 1) * ROWS_PER_PAGE
    with parts.store.reading() as connection:
        found = waiver_views.waivers(connection, state=state, limit=ROWS_PER_PAGE + 1, offset=start)
    return show(
        "waivers.html",
        request,
        asking,
        rows=[waiver_views.shown(view) for view in found[:ROWS_PER_PAGE]],
        chosen=state.value,
        tabs=[one.value for one in WaiverState],
        page=page,
        more=len(found) > ROWS_PER_PAGE,
    )


@router.get("/waivers/{waiver}")
def waiver(waiver: str, request: Request, parts: PartsOf, asking: SeesLab) -> HTMLResponse:
    """One waiver: what it is for, who asked and answered, what was judged with it, and the forms for who looks."""
    return _page(waiver, request, parts, asking)


def _page(
    waiver: str, request: Request, parts: Parts, asking: Principal, wrong: AssayError | None = None, words: str = ""
) -> HTMLResponse:
    """The page; ``words``: of the form that was refused, whose address the request has."""
    return show(
        "waiver.html",
        request,
        asking,
        wrong.status if wrong else 200,
        waiver=waiver_of(parts, waiver, asking),
        wrong=wrong,
        kept={request.url.path.rpartition("/")[2]: words},
    )


@router.post("/waivers/{waiver}/approve")
def approve(
    waiver: str, request: Request, parts: PartsOf, asking: DecidesWaivers, words: Long = "", form: Short = ""
) -> Response:
    """Put it in force."""
    return _done(waiver, request, parts, asking, form, words, parts.waiving.approve)


@router.post("/waivers/{waiver}/refuse")
def refuse(
    waiver: str, request: Request, parts: PartsOf, asking: DecidesWaivers, words: Long = "", form: Short = ""
) -> Response:
    """Do not approve it."""
    return _done(waiver, request, parts, asking, form, words, parts.waiving.refuse)


@router.post("/waivers/{waiver}/revoke")
def revoke(
    waiver: str, request: Request, parts: PartsOf, asking: DecidesWaivers, words: Long = "", form: Short = ""
) -> Response:
    """Take it out of force."""
    return _done(waiver, request, parts, asking, form, words, parts.waiving.revoke)


def _done(waiver: str, request: Request, parts: Parts, asking: Principal, form: str, words: str, do: Doing) -> Response:
    """Do what a form says, and show the waiver again; where it is refused, with why, and the words kept."""
    require_our_form(request, form)
    try:
        try:
            # Browsers send the lines of a form with CR LF.
            reason = _reason.validate_python(words.replace("\r\n", "\n"))
        except ValidationError as error:
            raise BadInput("say why in 1 to 500 characters, without control characters") from error
        do(waiver, asking.subject, reason)
    except AssayError as error:
        return _page(waiver, request, parts, asking, wrong=error, words=words)
    return RedirectResponse(f"/waivers/{waiver}", status_code=303, headers=HEADERS)
