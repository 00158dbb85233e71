"""The public listing of certificates, for everybody."""

from dataclasses import replace
from datetime import UTC, date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from lab_inventory.errors import BadInput, Problem
from lab_inventory.noun import Name
from orchestrator.api.parts import Parts, PartsOf, Public
from orchestrator.lifecycle.certificate import CertificateState
from orchestrator.store import listing_views
from orchestrator.store.listing_views import PAGE, Sought

router = APIRouter(prefix="/v1", tags=["certificates"])
Row = dict[str, Any]
WORDS_MAX = 8
Words = Annotated[
    str, Query(max_length=200, description="Words in vendor, maker, model, hardware, firmware or certificate.")
]
On = Annotated[date | None, Query(description="As it was shown at the end of that day (UTC); now where left out.")]
Page = Annotated[int, Query(ge=1, le=100_000)]


def seek(parts: Parts, sought: Sought, page: int) -> tuple[list[Row], int]:
    """A page of the listing; raises BadInput for a day that has not come."""
    today = parts.desk.clock.now().astimezone(UTC).date()
    if sought.on is not None and sought.on > today:
        wrong = Problem(path="on", wrong=f"{sought.on} has not come", expected=f"a day up to {today}")
        raise BadInput("nothing is listed for that day", problems=(wrong,))
    # Of today everything is shown that there is, also what another server's clock says is of tomorrow.
    on = None if sought.on == today else sought.on
    with parts.store.reading() as connection:
        return listing_views.listing(connection, replace(sought, on=on), page=page)


@router.get("/listing", dependencies=[Public])
def listing(
    parts: PartsOf,
    words: Words = "",
    state: CertificateState | None = None,
    programme: Name | None = None,
    level: Name | None = None,
    on: On = None,
    page: Page = 1,
) -> dict[str, Any]:
    """Every certificate with what holds of it, the newest first; also those that hold no more."""
    sought = Sought(words=tuple(words.split()[:WORDS_MAX]), state=state, programme=programme, level=level, on=on)
    rows, total = seek(parts, sought, page)
    shown_at = parts.desk.clock.now().astimezone(UTC)
    return {"certificates": rows, "total": total, "page": page, "pages": -(-total // PAGE), "on": on, "at": shown_at}
