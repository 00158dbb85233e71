"""The pages of reviews: what waits for whom, one review, and the forms with which it goes on. They need no script."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from lab_inventory.errors import AssayError, BadInput
from orchestrator.api.parts import Parts, PartsOf
from orchestrator.api.reviews import review_of
from orchestrator.authority.review import Waits, Words
from orchestrator.lifecycle.certificate import Provisional
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.store import review_views
from orchestrator.web.layout import HEADERS, Decides, Reviews, SeesBatches, Submits, require_our_form, show

router = APIRouter(include_in_schema=False)
ROWS_PER_PAGE = 50
FORM_LENGTH_MAX = 4000
REFUSE = "-"
"""What the form of a decision says where no level is granted: no level has this name."""

Page = Annotated[int, Query(ge=1, le=100_000)]
Short = Annotated[str, Form(max_length=300)]
Long = Annotated[str, Form(max_length=FORM_LENGTH_MAX)]
Doing = Callable[[str], object]
"""What a form does with the words in it."""
_words: TypeAdapter[str] = TypeAdapter(Words)


@router.get("/reviews")
def reviews(
    request: Request, parts: PartsOf, asking: SeesBatches, page: Page = 1, waits_for: Waits | None = None
) -> HTMLResponse:
    """Reviews by what they wait for; first shown is what waits for who looks."""
    chosen = waits_for or _mine(asking)
    start = (page - 1) * ROWS_PER_PAGE
    with parts.store.reading() as connection:
        rows = review_views.reviews(
            connection, waits_for=chosen, vendor=asking.vendor, limit=ROWS_PER_PAGE + 1, offset=start
        )
    return show(
        "reviews.html",
        request,
        asking,
        rows=rows[:ROWS_PER_PAGE],
        chosen=chosen.value,
        tabs=[waits.value for waits in Waits],
        page=page,
        more=len(rows) > ROWS_PER_PAGE,
    )


def _mine(asking: Principal) -> Waits:
    if asking.vendor is not None:
        return Waits.ANSWER
    if Scope.DECISIONS_WRITE in asking.scopes and Scope.REVIEW_WRITE not in asking.scopes:
        return Waits.DECISION
    return Waits.REVIEW


@router.get("/reviews/{submission}")
def review(submission: str, request: Request, parts: PartsOf, asking: SeesBatches) -> HTMLResponse:
    """One review: the judgement's words, what was said, what prevents a decision, and the forms for who looks."""
    return _page(submission, request, parts, asking)


def _page(
    submission: str, request: Request, parts: Parts, asking: Principal, wrong: AssayError | None = None, words: str = ""
) -> HTMLResponse:
    """The page; ``words``: of the form that was refused, whose address the request has."""
    return show(
        "review.html",
        request,
        asking,
        wrong.status if wrong else 200,
        review=review_of(parts, submission, asking),
        refuse=REFUSE,
        wrong=wrong,
        kept={request.url.path.rpartition("/")[2]: words},
    )


@router.post("/reviews/{submission}/ask")
def ask(
    submission: str, request: Request, parts: PartsOf, asking: Reviews, words: Long = "", form: Short = ""
) -> Response:
    """Ask the vendor."""
    return _done(
        submission,
        request,
        parts,
        asking,
        form,
        words,
        lambda said: parts.reviewing.ask(submission, asking.subject, said),
    )


@router.post("/reviews/{submission}/answer")
def answer(
    submission: str, request: Request, parts: PartsOf, asking: Submits, words: Long = "", form: Short = ""
) -> Response:
    """Answer the question that waits."""

    def do(said: str) -> None:
        parts.reviewing.answer(submission, asking.subject, said, asking.vendor)

    return _done(submission, request, parts, asking, form, words, do)


@router.post("/reviews/{submission}/recommend")
def recommend(
    submission: str,
    request: Request,
    parts: PartsOf,
    asking: Reviews,
    level: Short = "",
    words: Long = "",
    form: Short = "",
) -> Response:
    """Recommend a level, or a refusal."""

    def do(said: str) -> None:
        parts.reviewing.recommend(submission, asking.subject, _level(level), said)

    return _done(submission, request, parts, asking, form, words, do)


@router.post("/reviews/{submission}/return")
def give_back(
    submission: str, request: Request, parts: PartsOf, asking: Reviews, words: Long = "", form: Short = ""
) -> Response:
    """Return it to the vendor."""
    return _done(
        submission,
        request,
        parts,
        asking,
        form,
        words,
        lambda said: parts.reviewing.give_back(submission, asking.subject, said),
    )


@router.post("/reviews/{submission}/decide")
def decide(
    submission: str,
    request: Request,
    parts: PartsOf,
    asking: Decides,
    level: Short = "",
    words: Long = "",
    form: Short = "",
    provisional_until: Short = "",
    open_conditions: Short = "",
) -> Response:
    """Grant, in full or provisionally, or refuse."""

    def do(said: str) -> None:
        given = _provisional(provisional_until, open_conditions)
        parts.reviewing.decide(submission, asking.subject, _level(level), said, given)

    return _done(submission, request, parts, asking, form, words, do)


def _provisional(until: str, conditions: str) -> Provisional | None:
    if not until and not conditions.strip():
        return None
    if not until or not conditions.strip():
        raise BadInput("to grant provisionally say the last day, and say what is open")
    try:
        return Provisional(ends_on=date.fromisoformat(until), conditions=" ".join(conditions.split()))
    except ValueError as error:
        raise BadInput(
            f"the last day is {until[:40]!r}; expected YYYY-MM-DD, and what is open in plain text"
        ) from error


def _level(chosen: str) -> str | None:
    if not chosen:
        raise BadInput("choose what is to be granted, or that it is refused")
    return None if chosen == REFUSE else chosen


def _done(
    submission: str, request: Request, parts: Parts, asking: Principal, form: str, words: str, do: Doing
) -> Response:
    """Do what a form says, and show the review again; where it is refused, with why, and the words kept."""
    require_our_form(request, form)
    try:
        try:
            # Browsers send the lines of a form with CR LF.
            said = _words.validate_python(words.replace("\r\n", "\n"))
        except ValidationError as error:
            raise BadInput("say something in 1 to 2000 characters, without control characters") from error
        do(said)
    except AssayError as error:
        return _page(submission, request, parts, asking, wrong=error, words=words)
    return RedirectResponse(f"/reviews/{submission}", status_code=303, headers=HEADERS)
