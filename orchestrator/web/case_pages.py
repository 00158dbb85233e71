"""The page of one case of a run: what was measured against which limits, its ladder, its sound, its files."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from lab_inventory.evidence.rtp_time_line_svg import in_words, rtp_time_line_svg
from lab_inventory.evidence.sound_pictures import TIME_LINES_MAX
from lab_inventory.evidence.sound_svg import sound_svg
from lab_inventory.measurement import Evidence
from orchestrator.api.evidence import case_of, ladder_of, sounds_of, time_lines_of
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.lifecycle.recorded_case import CaseView
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.reports.case import held_against
from orchestrator.web.layout import Shows, show

router = APIRouter(include_in_schema=False)
SeesEvidence = Annotated[Principal, Depends(Shows(Scope.EVIDENCE_READ))]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A recording with its picture and where it is played from, or a time line (``evidence`` None, ``words``)."""

    picture: Markup
    words: str = ""
    evidence: Evidence | None = None
    href: str = ""


@router.get("/runs/{run}/cases/{case}")
def case(
    run: str,
    case: str,
    request: Request,
    parts: PartsOf,
    asking: SeesEvidence,
    repeat: Annotated[int, Query(ge=1, le=100)] = 1,
) -> HTMLResponse:
    """One repeat of a case. Ladder and sound are drawn here from what was kept: no picture of an agent's is shown."""
    view = case_of(parts, asking, run, case, repeat)
    ladder = ladder_of(parts, view)
    lines = time_lines_of(parts, view)
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
        sounds=_sounds(parts, view),
        # Made by rtp_time_line_svg alone, which escapes every text.
        time_lines=[
            Shown(picture=Markup(rtp_time_line_svg(one, f"RTP of call {one.call}")), words=in_words(one))  # noqa: S704
            for one in lines[:TIME_LINES_MAX]
        ],
        time_lines_left_out=max(0, len(lines) - TIME_LINES_MAX),
    )


def _sounds(parts: Parts, view: CaseView) -> list[Shown]:
    found = []
    for one, sound in sounds_of(parts, view):
        path = f"/v1/runs/{view.run}/cases/{view.ended.case}/sound/{one.digest}"
        repeat = f"?repeat={view.ended.repeat}"
        drawn = sound_svg(sound, one.name, spectrogram=f"{path}/spectrogram{repeat}")
        # Made by sound_svg alone, which escapes every text.
        found.append(Shown(picture=Markup(drawn), evidence=one, href=path + repeat))  # noqa: S704
    return found
