"""The page of one case of a run: what was measured against which limits, its ladder, its files."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from orchestrator.api.evidence import case_of, ladder_of
from orchestrator.api.parts import PartsOf
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.reports.case import held_against
from orchestrator.web.layout import Shows, show

router = APIRouter(include_in_schema=False)
SeesEvidence = Annotated[Principal, Depends(Shows(Scope.EVIDENCE_READ))]


@router.get("/runs/{run}/cases/{case}")
def case(
    run: str,
    case: str,
    request: Request,
    parts: PartsOf,
    asking: SeesEvidence,
    repeat: Annotated[int, Query(ge=1, le=100)] = 1,
) -> HTMLResponse:
    """One repeat of a case. The ladder is drawn here from the kept lines: no picture of an agent's is shown."""
    view = case_of(parts, asking, run, case, repeat)
    ladder = ladder_of(parts, view)
    return show(
        "case.html",
        request,
        asking,
        view=view,
        case=view.programme.case(case),
        limits=held_against(view),
        here=[one for one in view.ended.evidence if parts.desk.artifacts.has(one.digest)],
        ladder=ladder,
        # Made by ladder_svg alone, which escapes every text.
        picture=Markup(ladder_svg(ladder)) if ladder else "",  # noqa: S704
        text=ladder_text(ladder) if ladder else "",
    )
