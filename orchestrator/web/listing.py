"""The page of the public listing: every certificate as it stands, or as it was shown on a day. For everybody."""

from datetime import UTC, date
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from lab_inventory.errors import BadInput
from orchestrator.api.listing import WORDS_MAX, Row, seek
from orchestrator.api.parts import PartsOf, Public, by_cookie
from orchestrator.lifecycle.certificate import CertificateState
from orchestrator.store.listing_views import PAGE, Sought
from orchestrator.web.layout import show

router = APIRouter(include_in_schema=False)
Words = Annotated[str, Query(max_length=200)]
Page = Annotated[int, Query(ge=1, le=100_000)]


@router.get("/listing", dependencies=[Public])
def listing(
    request: Request, parts: PartsOf, words: Words = "", state: Words = "", on: Words = "", page: Page = 1
) -> HTMLResponse:
    """The listing; a status that there is not is left out, and a day that is none is told."""
    state = state if state in list(CertificateState) else ""
    chosen = {"words": " ".join(words.split()[:WORDS_MAX]), "state": state, "on": on.strip()}
    rows: list[Row] = []
    total, mistake = 0, ""
    try:
        sought = Sought(
            words=tuple(chosen["words"].split()),
            state=CertificateState(state) if state else None,
            on=date.fromisoformat(chosen["on"]) if chosen["on"] else None,
        )
        rows, total = seek(parts, sought, page)
    except ValueError:
        mistake = f"{chosen['on'][:40]} is no day; write it as 2026-03-01."
    except BadInput as error:
        mistake = "; ".join(f"{one.wrong}; expected {one.expected}" for one in error.problems)
    return show(
        "listing.html",
        request,
        by_cookie(request),
        status=422 if mistake else 200,
        rows=rows,
        total=total,
        mistake=mistake,
        chosen=chosen,
        filters=urlencode({name: value for name, value in chosen.items() if value}),
        states=list(CertificateState),
        today=parts.desk.clock.now().astimezone(UTC).date(),
        page=page,
        pages=-(-total // PAGE),
    )
