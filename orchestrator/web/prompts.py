"""The pages of prompts: what waits for somebody to measure it, and one prompt with its forms. They need no script."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from lab_inventory.errors import AssayError, BadInput, Conflict, NotFound, TooLarge
from lab_inventory.measurement import Evidence
from lab_inventory.noun import Label, Words
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.api.prompts import picture_of, prompt_of
from orchestrator.lifecycle.prompt import FILES_MAX, PromptState
from orchestrator.lifecycle.rights import Principal
from orchestrator.pipeline.prompt_form import read_answer
from orchestrator.prompts import EVIDENCE_BYTES_MAX, asked
from orchestrator.store import prompt_views
from orchestrator.web.layout import HEADERS, Measures, SeesBatches, require_our_form, show

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50
FIELDS_MAX = 1000

Page = Annotated[int, Query(ge=1, le=100_000)]
Doing = Callable[["Sent"], object]
_words: TypeAdapter[str] = TypeAdapter(Words)
_label: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A form that was sent: its fields, and its files as evidence with their content."""

    fields: Mapping[str, str]
    files: tuple[tuple[Evidence, bytes], ...] = field(default=())

    @property
    def words(self) -> str:
        """What was said; raises BadInput where it is nothing or too much. Browsers send lines with CR LF."""
        try:
            return _words.validate_python(self.fields.get("words", "").replace("\r\n", "\n"))
        except ValidationError as error:
            raise BadInput("say something in 1 to 2000 characters, without control characters") from error


async def _sent(request: Request) -> Sent:
    """Read the form; raises TooLarge, BadInput."""
    files: list[tuple[Evidence, bytes]] = []
    async with request.form(max_files=FILES_MAX, max_fields=FIELDS_MAX) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        for value in form.getlist("files"):
            if isinstance(value, UploadFile) and (value.filename or value.size):
                files.append(await _file(value))
    return Sent(fields=fields, files=tuple(files))


async def _file(sent: UploadFile) -> tuple[Evidence, bytes]:
    data = await sent.read(EVIDENCE_BYTES_MAX + 1)
    if len(data) > EVIDENCE_BYTES_MAX:
        raise TooLarge(f"a file is larger than {EVIDENCE_BYTES_MAX} bytes")
    try:
        evidence = Evidence(
            digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
            name=(sent.filename or "file")[:120],
            media_type=(sent.content_type or "application/octet-stream")[:120],
            size_bytes=len(data),
        )
    except ValidationError as error:
        raise BadInput("a file has a name that cannot be kept") from error
    return evidence, data


SentForm = Annotated[Sent, Depends(_sent)]


@router.get("/prompts")
def prompts(
    request: Request, parts: PartsOf, asking: SeesBatches, page: Page = 1, state: PromptState | None = None
) -> HTMLResponse:
    """Prompts by what they wait for, the one first that is due first."""
    with parts.store.reading() as connection:
        rows = prompt_views.prompts(
            connection,
            state=state,
            vendor=asking.vendor,
            limit=ROWS_PER_PAGE + 1,
            offset=(page - 1) * ROWS_PER_PAGE,
        )
    return show(
        "prompts.html",
        request,
        asking,
        rows=rows[:ROWS_PER_PAGE],
        chosen=state.value if state else "",
        tabs=[one.value for one in PromptState],
        page=page,
        more=len(rows) > ROWS_PER_PAGE,
    )


@router.get("/prompts/{prompt}")
def prompt(prompt: str, request: Request, parts: PartsOf, asking: SeesBatches) -> HTMLResponse:
    """One prompt: instructions, picture, what became of it, and the forms for who looks."""
    return _page(prompt, request, parts, asking)


@router.get("/prompts/{prompt}/picture")
def picture(prompt: str, parts: PartsOf, asking: SeesBatches) -> Response:
    """The picture of a prompt."""
    return picture_of(parts, prompt, asking)


def _page(
    prompt: str,
    request: Request,
    parts: Parts,
    asking: Principal,
    wrong: AssayError | None = None,
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The page; ``typed``: the fields of the form that was refused, whose address the request has."""
    act = request.url.path.rpartition("/")[2] if wrong else ""
    return show(
        "prompt.html",
        request,
        asking,
        wrong.status if wrong else 200,
        prompt=prompt_of(parts, prompt, asking),
        wrong=wrong,
        kept={act: typed or {}},
        file_mb=EVIDENCE_BYTES_MAX // 1_000_000,
    )


@router.post("/prompts/{prompt}/answer")
def answer(prompt: str, request: Request, parts: PartsOf, asking: Measures, sent: SentForm) -> Response:
    """Say what was measured."""

    def do(sent: Sent) -> None:
        with parts.store.reading() as connection:
            view = prompt_views.prompt(connection, prompt)
            if view is None:
                raise NotFound(f"there is no prompt {prompt[:80]}")
            requirement, _, _ = asked(connection, view)
        if view.state is not PromptState.OPEN:
            raise Conflict(f"prompt {prompt} is {view.state}; expected one that is open")
        measured = read_answer(sent.fields, requirement)
        try:
            serial = _label.validate_python(sent.fields.get("serial", "").strip())
        except ValidationError as error:
            raise BadInput("say which unit you measured: its serial number, in 1 to 120 characters") from error
        for evidence, data in sent.files:
            with parts.desk.artifacts.draft(evidence.digest, EVIDENCE_BYTES_MAX, declared_bytes=len(data)) as draft:
                draft.add(data)
                draft.keep()
        words = sent.words if sent.fields.get("words", "").strip() else ""
        files = [evidence for evidence, _ in sent.files]
        parts.prompts.answer(prompt, asking.subject, serial, measured, files, words)

    return _done(prompt, request, parts, asking, sent, do)


@router.post("/prompts/{prompt}/confirm")
def confirm(prompt: str, request: Request, parts: PartsOf, asking: Measures, sent: SentForm) -> Response:
    """Confirm what another person measured."""

    def do(sent: Sent) -> None:
        words = sent.words if sent.fields.get("words", "").strip() else ""
        parts.prompts.confirm(prompt, asking.subject, sent.fields.get("answer", ""), words)

    return _done(prompt, request, parts, asking, sent, do)


@router.post("/prompts/{prompt}/differ")
def differ(prompt: str, request: Request, parts: PartsOf, asking: Measures, sent: SentForm) -> Response:
    """Say that what another person measured is not right."""

    def do(sent: Sent) -> None:
        parts.prompts.differ(prompt, asking.subject, sent.fields.get("answer", ""), sent.words)

    return _done(prompt, request, parts, asking, sent, do)


@router.post("/prompts/{prompt}/abort")
def abort(prompt: str, request: Request, parts: PartsOf, asking: Measures, sent: SentForm) -> Response:
    """Give it up."""
    return _done(
        prompt, request, parts, asking, sent, lambda sent: parts.prompts.abort(prompt, asking.subject, sent.words)
    )


def _done(prompt: str, request: Request, parts: Parts, asking: Principal, sent: Sent, do: Doing) -> Response:
    """Do what a form says, and show the prompt again; where it is refused, with why, and what was typed in."""
    require_our_form(request, sent.fields.get("form", ""))
    try:
        do(sent)
    except AssayError as error:
        return _page(prompt, request, parts, asking, wrong=error, typed=sent.fields)
    return RedirectResponse(f"/prompts/{prompt}", status_code=303, headers=HEADERS)
