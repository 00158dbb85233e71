"""The evidence of one case: its files under names that say what they are, its ladder, its sound, its reproduction pack.

Everything here is a download or plain text: files come from agents, and nothing foreign is shown in place. Two things
stand in a page: sound that was read and written again here, and pictures that were drawn of it here.
"""

from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse

from lab_inventory.errors import BadInput, NotFound
from lab_inventory.evidence.ladder import Ladder
from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from lab_inventory.evidence.rtp_time_line import TimeLine
from lab_inventory.evidence.spectrogram import MEDIA_TYPE as PNG
from lab_inventory.evidence.spectrogram import spectrogram_png
from lab_inventory.evidence.wav import MEDIA_TYPE as WAV
from lab_inventory.evidence.wav import Sound, read_wav, write_wav
from lab_inventory.measurement import Evidence
from lab_inventory.messages import EVIDENCE_BYTES_MAX
from lab_inventory.noun import Name, Sha256
from orchestrator.api.byte_ranges import part_of
from orchestrator.api.parts import EvidenceRead, Parts, PartsOf
from orchestrator.lifecycle.recorded_case import CaseView
from orchestrator.lifecycle.rights import Principal
from orchestrator.reports import case as cases
from orchestrator.store import case_views

router = APIRouter(prefix="/v1/runs/{run}/cases/{case}", tags=["runs"])
Run = Annotated[Name, Path(examples=["run-0123456789abcdef"])]
Case = Annotated[Name, Path(examples=["TC-SIP-01"])]
Repeat = Annotated[int, Query(ge=1, le=100, description="Which repeat of the case.")]
Address = Annotated[Sha256, Path(examples=["sha256:" + "0" * 64])]
DOWNLOAD = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}

KEPT = DOWNLOAD | {"Cache-Control": "private, max-age=86400, immutable", "Content-Disposition": "inline"}
"""For what is made of a file under its content address: it never changes, and only who may see it keeps it."""


def _as(*media_types: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {"response_class": Response, "responses": {200: {"content": content}}}


@router.get("/evidence/{address}", **_as("application/octet-stream"))
def get_file(
    run: Run, case: Case, address: Address, parts: PartsOf, asking: EvidenceRead, repeat: Repeat = 1
) -> Response:
    """One file of the case as it was kept, under a name that says what it is; always a download."""
    view = case_of(parts, asking, run, case, repeat)
    evidence = next((one for one in view.ended.evidence if one.digest == address), None)
    if evidence is None:
        raise NotFound(f"{case} of {run} has no file {address}")
    path = parts.desk.artifacts.open_path(address)
    headers = _named(cases.file_name(view, evidence))
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


@router.get("/sound/{address}", **_as(WAV))
def get_sound(
    run: Run, case: Case, address: Address, request: Request, parts: PartsOf, asking: EvidenceRead, repeat: Repeat = 1
) -> Response:
    """A recording to be played; a part of it where the request has a range of bytes (RFC 9110, 14)."""
    sound = _sound(case_of(parts, asking, run, case, repeat), parts, address)
    return part_of(write_wav(sound.rate_hz, sound.samples), request.headers.get("range", ""), WAV, headers=KEPT)


@router.get("/sound/{address}/spectrogram", **_as(PNG))
def get_spectrogram(
    run: Run, case: Case, address: Address, parts: PartsOf, asking: EvidenceRead, repeat: Repeat = 1
) -> Response:
    """The spectrogram of a recording: time from left to right, frequency from 0 at the bottom to half its rate."""
    sound = _sound(case_of(parts, asking, run, case, repeat), parts, address)
    return Response(spectrogram_png(sound), media_type=PNG, headers=KEPT)


class LadderForm(StrEnum):
    """The forms of a ladder."""

    TEXT = "text"
    SVG = "svg"


Form = Annotated[LadderForm, Query(description="As text with every message, or as a picture to be downloaded.")]


@router.get("/ladder", **_as("text/plain", "image/svg+xml"))
def get_ladder(
    run: Run, case: Case, parts: PartsOf, asking: EvidenceRead, repeat: Repeat = 1, form: Form = LadderForm.TEXT
) -> Response:
    """The ladder of the case: who said what to whom and when; as text, then every message."""
    drawn = ladder_of(parts, case_of(parts, asking, run, case, repeat))
    if drawn is None:
        raise NotFound(f"{case} of {run} has no messages that a ladder could be made of")
    if form is LadderForm.SVG:
        headers = _named(f"{run}-{case}-{repeat}-ladder.svg")
        return Response(ladder_svg(drawn, alone=True), media_type="image/svg+xml", headers=headers)
    return Response(ladder_text(drawn), media_type="text/plain; charset=utf-8", headers=DOWNLOAD)


@router.get("/pack", **_as("application/zip"))
def get_pack(run: Run, case: Case, parts: PartsOf, asking: EvidenceRead, repeat: Repeat = 1) -> Response:
    """The reproduction pack of the case, for 'assay-agent repro'. It holds no password and grants nothing."""
    view = case_of(parts, asking, run, case, repeat)
    made = cases.pack(view, _read(parts, [one.digest for one in view.ended.evidence]))
    headers = _named(f"{run}-{case}-{repeat}-pack.zip")
    return Response(made, media_type="application/zip", headers=headers)


def case_of(parts: Parts, asking: Principal, run: str, case: str, repeat: int) -> CaseView:
    """What is on record of a repeat; raises NotFound."""
    with parts.store.reading() as connection:
        view = case_views.case(connection, run, case, repeat, asking.vendor)
    if view is None:
        raise NotFound(f"nothing is on record of repeat {repeat} of {case[:80]} in run {run[:80]}")
    return view


def ladder_of(parts: Parts, view: CaseView) -> Ladder | None:
    """The ladder of a case, drawn from the lines that are here; None where there are none."""
    return cases.case_ladder(view, _read(parts, [one.digest for one in cases.to_be_drawn(view.ended)]))


def time_lines_of(parts: Parts, view: CaseView) -> tuple[TimeLine, ...]:
    """When the RTP packets of a case came, from the lines that are here."""
    return cases.case_time_lines(view, _read(parts, [one.digest for one in cases.to_be_drawn(view.ended)]))


def sounds_of(parts: Parts, view: CaseView) -> tuple[tuple[Evidence, Sound], ...]:
    """The recordings of a case that are here and are WAV files as agents write them."""
    found = []
    for one in cases.sounds(view.ended):
        with suppress(NotFound, BadInput):
            found.append((one, _sound(view, parts, one.digest)))
    return tuple(found)


def _sound(view: CaseView, parts: Parts, address: str) -> Sound:
    """One recording of a case; raises NotFound, BadInput."""
    known = any(one.digest == address for one in cases.sounds(view.ended))
    data = _read(parts, [address]).get(address) if known else None
    if data is None:
        raise NotFound(f"{view.ended.case} of {view.run} has no recording {address}")
    return read_wav(data)


def _read(parts: Parts, addresses: list[str]) -> dict[str, bytes]:
    """The files that are here, by address."""
    artifacts = parts.desk.artifacts
    found = {}
    for address in addresses:
        if artifacts.has(address) and artifacts.path(address).stat().st_size <= EVIDENCE_BYTES_MAX:
            found[address] = artifacts.path(address).read_bytes()
    return found


def _named(name: str) -> dict[str, str]:
    return DOWNLOAD | {"Content-Disposition": f'attachment; filename="{name.replace(":", "-")}"'}
