"""Prompts: what people are asked to measure, answered, confirmed by a second person, or aborted."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import Field

from lab_inventory.errors import Conflict, NotFound
from lab_inventory.measurement import Evidence
from lab_inventory.noun import Label, Name, Noun, Sha256, Text, Words
from lab_inventory.outcome import value_in_words
from lab_inventory.picture import read_picture
from orchestrator import logs
from orchestrator.api.parts import BatchesRead, Parts, PartsOf, PromptsWrite
from orchestrator.lifecycle.prompt import (
    FILES_MAX,
    MEASURED_MAX,
    MeasuredByHand,
    PromptAnswered,
    PromptAnsweredByOne,
    PromptEntry,
    PromptState,
)
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.prompts import EVIDENCE_BYTES_MAX, asked
from orchestrator.store import prompt_views

router = APIRouter(prefix="/v1", tags=["prompts"])
Row = dict[str, Any]
PromptName = Annotated[Name, Path(examples=["prm-1"])]
Limit = Annotated[int, Query(ge=1, le=prompt_views.PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Wanted = Annotated[PromptState | None, Query(description="only those in this state; else those that wait for somebody")]
OfSubmission = Annotated[Name | None, Query(description="only those of this submission")]

PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""A picture runs nothing and loads nothing, also where somebody opens it by itself."""


class Answer(Noun):
    """What somebody measured: one value for each quantity that is asked for, with files that were sent before.

    ``serial``: the serial number of the unit that was measured, as it stands on it.
    """

    serial: Label
    measured: tuple[MeasuredByHand, ...] = Field(min_length=1, max_length=MEASURED_MAX)
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=FILES_MAX)
    words: Text = ""


class Answered(Noun):
    """The answer's id, which a second person confirms."""

    answer: str


class Confirmation(Noun):
    """The answer that is right."""

    answer: Name
    words: Text = ""


class Difference(Noun):
    """The answer that is not right, and why."""

    answer: Name
    words: Words


class Reason(Noun):
    """Why it is given up."""

    words: Words = Field(examples=["The measuring room is closed."])


class Aborted(Noun):
    """The prompts that were aborted."""

    prompts: tuple[str, ...]


@router.get("/prompts")
def list_prompts(
    parts: PartsOf,
    asking: BatchesRead,
    state: Wanted = None,
    submission: OfSubmission = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> list[Row]:
    """Prompts, the one first that is due first. A vendor sees those of its own submissions."""
    with parts.store.reading() as connection:
        return prompt_views.prompts(
            connection, state=state, submission=submission, vendor=asking.vendor, limit=limit, offset=offset
        )


@router.get("/prompts/{prompt}")
def show_prompt(prompt: PromptName, parts: PartsOf, asking: BatchesRead) -> Row:
    """What is asked, how it is measured, and what became of it. A vendor sees that it is asked, and until when."""
    return prompt_of(parts, prompt, asking)


def prompt_of(parts: Parts, prompt: str, asking: Principal) -> Row:
    """A prompt as this principal sees it; raises NotFound, also where it is of another vendor's submission."""
    with parts.store.reading() as connection:
        view = prompt_views.prompt(connection, prompt, asking.vendor)
        if view is None:
            raise NotFound(f"there is no prompt {prompt[:80]}")
        requirement, submission, programme = asked(connection, view)
    found: Row = {
        "prompt": view.prompt,
        "state": view.state.value,
        "submission": view.submission,
        "content": submission.model_dump(mode="json"),
        "programme": programme.id,
        "programme_version": programme.version,
        "requirement": requirement.id,
        "title": requirement.title,
        "second_person": view.second_person,
        "opened_at": view.opened_at.isoformat(),
        "due_at": view.due_at.isoformat(),
    }
    if asking.vendor is None:
        answer = view.answer
        found |= {
            "instructions": requirement.instructions,
            "picture": bool(requirement.picture),
            "asks": [{"quantity": check.quantity, "unit": check.unit.value} for check in requirement.checks],
            "answer": answer.entry if answer else None,
            "entries": [_entry(entry) for entry in view.entries],
            "may": _may(view.state, answer.by if answer else "", asking),
        }
    return found


def _may(state: PromptState, answered_by: str, asking: Principal) -> list[str]:
    """What who asks can do with it now."""
    if Scope.PROMPTS_WRITE not in asking.scopes:
        return []
    if state is PromptState.OPEN:
        return ["answer", "abort"]
    if state is PromptState.UNCONFIRMED:
        return ["abort"] if answered_by == asking.subject else ["confirm", "differ", "abort"]
    return []


def _entry(entry: PromptEntry) -> Row:
    said: Row = {
        "entry": entry.entry,
        "kind": _KINDS[type(entry).__name__],
        "by": entry.by,
        "at": entry.at.isoformat(),
        "words": getattr(entry, "words", ""),
    }
    if isinstance(entry, PromptAnswered | PromptAnsweredByOne):
        said["serial"] = entry.serial
        said["measured"] = [
            one.model_dump(mode="json") | {"in_words": value_in_words(one.value, one.unit)} for one in entry.measured
        ]
        said["evidence"] = [one.model_dump(mode="json") for one in entry.evidence]
    return said


_KINDS = {
    "PromptAnswered": "answered",
    "PromptAnsweredByOne": "answered",
    "PromptConfirmed": "confirmed",
    "PromptDiffered": "differed",
    "PromptAborted": "aborted",
    "PromptLapsed": "lapsed",
}


@router.get(
    "/prompts/{prompt}/picture",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}, "image/png": {}}}},
)
def show_picture(prompt: PromptName, parts: PartsOf, asking: BatchesRead) -> Response:
    """The picture that shows how it is measured."""
    return picture_of(parts, prompt, asking)


def picture_of(parts: Parts, prompt: str, asking: Principal) -> Response:
    """The picture of a prompt; raises NotFound where there is none, or who asks is a vendor."""
    with parts.store.reading() as connection:
        view = prompt_views.prompt(connection, prompt) if asking.vendor is None else None
        uri = asked(connection, view)[0].picture if view is not None else ""
    if not uri:
        raise NotFound(f"there is no picture of prompt {prompt[:80]}")
    picture = read_picture(uri)
    return Response(picture.data, media_type=picture.media_type, headers=PICTURE_HEADERS)


@router.put("/prompts/{prompt}/evidence/{address}", status_code=201)
async def put_evidence(
    prompt: PromptName, address: Sha256, request: Request, parts: PartsOf, asking: PromptsWrite
) -> Response:
    """Keep a file under its content address, to be named in an answer."""
    found = await asyncio.to_thread(prompt_of, parts, prompt, asking)
    if found["state"] != PromptState.OPEN:
        raise Conflict(f"prompt {prompt} is {found['state']}; expected one that is open")
    if await asyncio.to_thread(parts.desk.artifacts.is_whole, address):
        return Response(status_code=200)
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else 0
    with parts.desk.artifacts.draft(address, EVIDENCE_BYTES_MAX, declared_bytes=size) as draft:
        async for chunk in request.stream():
            draft.add(chunk)
        await asyncio.to_thread(draft.keep)
    return Response(status_code=201)


@router.post("/prompts/{prompt}/answer", status_code=201)
def answer(prompt: PromptName, said: Answer, parts: PartsOf, asking: PromptsWrite) -> Answered:
    """Say what was measured. What is wrong with it is said all at once."""
    made = parts.prompts.answer(prompt, asking.subject, said.serial, said.measured, said.evidence, said.words)
    logs.note(prompt=prompt)
    return Answered(answer=made)


@router.post("/prompts/{prompt}/confirm", status_code=204)
def confirm(prompt: PromptName, said: Confirmation, parts: PartsOf, asking: PromptsWrite) -> Response:
    """Confirm what another person measured."""
    parts.prompts.confirm(prompt, asking.subject, said.answer, said.words)
    return Response(status_code=204)


@router.post("/prompts/{prompt}/differ", status_code=204)
def differ(prompt: PromptName, said: Difference, parts: PartsOf, asking: PromptsWrite) -> Response:
    """Say that what another person measured is not right; it is asked for again."""
    parts.prompts.differ(prompt, asking.subject, said.answer, said.words)
    return Response(status_code=204)


@router.post("/prompts/{prompt}/abort", status_code=204)
def abort(prompt: PromptName, said: Annotated[Reason, Body()], parts: PartsOf, asking: PromptsWrite) -> Response:
    """Give it up: its requirement counts as not run."""
    parts.prompts.abort(prompt, asking.subject, said.words)
    return Response(status_code=204)


@router.post("/submissions/{submission}/prompts/abort")
def abort_all(
    submission: Annotated[Name, Path(examples=["sub-1"])],
    said: Annotated[Reason, Body()],
    parts: PartsOf,
    asking: PromptsWrite,
) -> Aborted:
    """Give up everything that people are still asked of a submission."""
    return Aborted(prompts=parts.prompts.abort_all(submission, asking.subject, said.words))
