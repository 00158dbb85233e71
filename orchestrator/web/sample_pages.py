"""The pages of samples: what the lab has of whom, and the chain of custody of one. They read and change nothing."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from orchestrator.api.parts import PartsOf
from orchestrator.api.samples import Words, sample_of
from orchestrator.lifecycle.sample import Origin, SampleState
from orchestrator.store import sample_views
from orchestrator.web.layout import SeesBatches, show

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50

Page = Annotated[int, Query(ge=1, le=100_000)]


@router.get("/samples")
def samples(
    request: Request,
    parts: PartsOf,
    asking: SeesBatches,
    state: Words = "",
    origin: Words = "",
    words: Words = "",
    page: Page = 1,
) -> HTMLResponse:
    """Samples by state, origin and words; filters that there are not are left out."""
    state = state if state in list(SampleState) else ""
    origin = origin if origin in list(Origin) else ""
    with parts.store.reading() as connection:
        found = sample_views.samples(
            connection,
            vendor=asking.vendor,
            state=state,
            origin=origin,
            words=words.strip(),
            limit=ROWS_PER_PAGE + 1,
            offset=(page - 1) * ROWS_PER_PAGE,
        )
    chosen = {"state": state, "origin": origin, "words": words.strip()}
    return show(
        "samples.html",
        request,
        asking,
        samples=[sample_views.shown(view) for view in found[:ROWS_PER_PAGE]],
        chosen=chosen,
        filters=urlencode({name: value for name, value in chosen.items() if value}),
        states=list(SampleState),
        origins=list(Origin),
        page=page,
        more=len(found) > ROWS_PER_PAGE,
    )


@router.get("/samples/{sample}")
def sample(sample: str, request: Request, parts: PartsOf, asking: SeesBatches) -> HTMLResponse:
    """One sample: what it is, where it is, and through whose hands it went."""
    return show("sample.html", request, asking, sample=sample_of(parts, sample, asking.vendor))
