"""Waivers: asked for by operators, approved, refused and revoked by deciders, seen by everybody of the lab."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from lab_inventory.errors import NotFound
from lab_inventory.noun import Name, Noun
from orchestrator import logs
from orchestrator.api.parts import LabRead, Parts, PartsOf, WaiversDecide, WaiversPropose
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.lifecycle.waiver import Reason, WaiverState
from orchestrator.store import listings, waiver_views
from orchestrator.waiving import WaiverWanted

router = APIRouter(prefix="/v1", tags=["waivers"])
Row = dict[str, Any]
Waiver = Annotated[Name, Path(examples=["wai-1"])]
Limit = Annotated[int, Query(ge=1, le=listings.PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
OfProgramme = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9._:-]*$", description="of this one alone")]


class Proposed(Noun):
    """The id of a waiver that was asked for."""

    waiver: str


class Because(Noun):
    """Why somebody approves, refuses or revokes."""

    reason: Reason = Field(examples=["the risk is small, and the fix has a date"])


BecauseBody = Annotated[Because, Body()]


@router.post("/waivers", status_code=201)
def propose_waiver(wanted: WaiverWanted, parts: PartsOf, asking: WaiversPropose) -> Proposed:
    """Ask for a waiver: one requirement at the levels named, for one product or submission, until a day."""
    waiver = parts.waiving.propose(wanted, asking.subject)
    logs.note(waiver=waiver)
    return Proposed(waiver=waiver)


@router.get("/waivers")
def list_waivers(
    parts: PartsOf,
    asking: LabRead,
    state: WaiverState | None = None,
    programme: OfProgramme = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> list[Row]:
    """Waivers, those first that end first."""
    with parts.store.reading() as connection:
        found = waiver_views.waivers(connection, state=state, programme=programme, limit=limit, offset=offset)
    return [waiver_views.shown(view) for view in found]


@router.get("/waivers/{waiver}")
def show_waiver(waiver: Waiver, parts: PartsOf, asking: LabRead) -> Row:
    """One waiver, the submissions that were judged with it, and for who could answer it what prevents its approval."""
    return waiver_of(parts, waiver, asking)


def waiver_of(parts: Parts, waiver: str, asking: Principal) -> Row:
    """One waiver as this principal sees it; raises NotFound."""
    with parts.store.reading() as connection:
        view = waiver_views.waiver(connection, waiver)
        if view is None:
            raise NotFound(f"there is no waiver {waiver[:80]}")
        found = waiver_views.shown(view) | {"judged_with_it": list(waiver_views.used_by(connection, view))}
    if view.state is WaiverState.PROPOSED and Scope.WAIVERS_DECIDE in asking.scopes:
        against = parts.waiving.against(waiver, asking.subject)
        found["prevents"] = [{"rule": one.rule.value, "words": one.words, "expected": one.expected} for one in against]
    return found


@router.post("/waivers/{waiver}/approve", status_code=204)
def approve_waiver(waiver: Waiver, said: BecauseBody, parts: PartsOf, asking: WaiversDecide) -> Response:
    """Put it in force. Who asked for it, took part in the evaluation or is of the vendor may not."""
    parts.waiving.approve(waiver, asking.subject, said.reason)
    return Response(status_code=204)


@router.post("/waivers/{waiver}/refuse", status_code=204)
def refuse_waiver(waiver: Waiver, said: BecauseBody, parts: PartsOf, asking: WaiversDecide) -> Response:
    """Do not approve it."""
    parts.waiving.refuse(waiver, asking.subject, said.reason)
    return Response(status_code=204)


@router.post("/waivers/{waiver}/revoke", status_code=204)
def revoke_waiver(waiver: Waiver, said: BecauseBody, parts: PartsOf, asking: WaiversDecide) -> Response:
    """Take it out of force. What was judged with it stays as it was judged, and is not granted any more."""
    parts.waiving.revoke(waiver, asking.subject, said.reason)
    return Response(status_code=204)
