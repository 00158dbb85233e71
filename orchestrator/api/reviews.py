"""Review and decision: what waits for whom, questions and answers, recommendations, decisions."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from lab_inventory.errors import NotFound
from lab_inventory.noun import Name, Noun
from orchestrator import logs
from orchestrator.api.parts import BatchesRead, BatchesSubmit, DecisionsWrite, Parts, PartsOf, ReviewWrite
from orchestrator.authority.impediments import Impediment, against_deciding, against_recommending
from orchestrator.authority.review import WAITS_IN, Entry, QuestionAnswered, Recommended, ReviewView, Waits, Words
from orchestrator.lifecycle.certificate import Provisional
from orchestrator.lifecycle.rights import Principal, Scope
from orchestrator.lifecycle.verdict import LevelVerdict, Verdict, WaivedBy
from orchestrator.lifecycle.waiver import WaiverView
from orchestrator.pipeline.certify import grantable, waived_up_to
from orchestrator.reviewing import Decided
from orchestrator.store import listings, review_views, views, waiver_views

router = APIRouter(prefix="/v1", tags=["reviews"])
Row = dict[str, Any]
SubmissionName = Annotated[Name, Path(examples=["sub-1"])]
Limit = Annotated[int, Query(ge=1, le=listings.PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
WaitsFor = Annotated[Waits | None, Query(description="only those that wait for this")]


class Said(Noun):
    """What somebody says."""

    words: Words = Field(examples=["Which firmware does the handset have?"])


class Recommendation(Said):
    """``level``: what is to be granted; null: it is to be refused."""

    level: Name | None = Field(examples=["certified"])


class DecisionWanted(Said):
    """``level``: what is granted; null: it is refused. ``provisional``: with something open until a day."""

    level: Name | None = Field(examples=["certified"])
    provisional: Provisional | None = None


SaidBody = Annotated[Said, Body()]


@router.get("/reviews")
def list_reviews(
    parts: PartsOf, asking: BatchesRead, waits_for: WaitsFor = None, limit: Limit = 50, offset: Offset = 0
) -> list[Row]:
    """Reviews of judged submissions; of those that wait for something, the one that waits longest first."""
    with parts.store.reading() as connection:
        return review_views.reviews(connection, waits_for=waits_for, vendor=asking.vendor, limit=limit, offset=offset)


@router.get("/reviews/{submission}")
def show_review(submission: SubmissionName, parts: PartsOf, asking: BatchesRead) -> Row:
    """A review: what was judged, what was said, and everything that prevents a decision.

    A vendor sees questions, answers, what was returned and the decision.
    """
    return review_of(parts, submission, asking)


def review_of(parts: Parts, submission: str, asking: Principal) -> Row:
    """A review as this principal sees it; raises NotFound, also where it is another vendor's."""
    with parts.store.reading() as connection:
        review = review_views.review(connection, submission, asking.vendor)
        content = views.content(connection, submission)
        judgement = views.judgement(connection, submission)
        if review is None or content is None or judgement is None:
            raise NotFound(f"there is no review of {submission[:80]}")
        programme = views.programme(connection, content[1])
        waivers = waiver_views.named(connection, {one.waiver for one in waived_up_to(None, judgement)})
        found = {
            "submission": review.submission,
            "state": review.state.value,
            "waits_for": WAITS_IN[review.state].value,
            "opened_at": review.opened_at.isoformat(),
            "content": content[0].model_dump(mode="json"),
            "programme": programme.id if programme else None,
            "programme_version": programme.version if programme else None,
            "provisional": bool(programme and programme.provisional),
            "earned": judgement.earned,
            "grantable": list(grantable(judgement)),
            "judgement": [_level(level, waivers) for level in judgement.levels],
            "entries": [_entry(entry) for entry in review.entries if _shown(entry, asking)],
            "decision": review_views.decision(connection, review.decision) if review.decision else None,
            "certificate": review_views.certificate_of(connection, submission),
        }
    if asking.vendor is None:
        found["prevents"] = _prevents(parts, submission, review, asking)
    return found


def _level(level: LevelVerdict, waivers: Mapping[str, WaiverView]) -> Row:
    """A level's verdict in words; ``open``: the requirements that did not simply pass, with how a waiver stands now."""
    return {
        "level": level.level,
        "title": level.title,
        "met": level.met,
        "words": level.words,
        "open": [
            {
                "requirement": one.requirement,
                "title": one.title,
                "verdict": one.verdict.value,
                "flags": [flag.value for flag in one.flags],
                "words": one.words,
                "waiver": _waiver(one.waiver, waivers) if one.waiver else None,
            }
            for one in level.requirements
            if one.flags or one.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
        ],
    }


def _waiver(by: WaivedBy, waivers: Mapping[str, WaiverView]) -> Row:
    now = waivers.get(by.waiver)
    return by.model_dump(mode="json") | {"state_now": now.state.value if now else "not-known"}


def _shown(entry: Entry, asking: Principal) -> bool:
    """A recommendation is between reviewer and decider."""
    return asking.vendor is None or not isinstance(entry, Recommended)


def _entry(entry: Entry) -> Row:
    said: Row = {
        "entry": entry.entry,
        "kind": _KINDS[type(entry).__name__],
        "by": entry.by,
        "at": entry.at.isoformat(),
        "words": entry.words,
    }
    if isinstance(entry, Recommended):
        said["level"] = entry.level
    if isinstance(entry, QuestionAnswered):
        said["question"] = entry.question
    return said


_KINDS = {
    "QuestionAsked": "question",
    "QuestionAnswered": "answer",
    "Recommended": "recommendation",
    "Returned": "returned",
}


def _prevents(parts: Parts, submission: str, review: ReviewView, asking: Principal) -> Row:
    """What prevents who asks from doing what their scopes let them do; for others, from deciding as a stranger would.

    ``grant``: of what is recommended, else of what was earned, else of the lowest level.
    """
    dossier = parts.reviewing.dossier(submission, asking.subject)
    recommended = review.recommendation.level if review.recommendation else None
    level = recommended or dossier.judgement.earned or dossier.programme.levels[0].id
    decider = asking.subject if Scope.DECISIONS_WRITE in asking.scopes else ""
    reviewer = asking.subject if Scope.REVIEW_WRITE in asking.scopes else ""
    return {
        "level": level,
        "grant": [_impediment(one) for one in against_deciding(dossier, decider, level)],
        "refusal": [_impediment(one) for one in against_deciding(dossier, decider, None)],
        "recommendation": [_impediment(one) for one in against_recommending(dossier, reviewer, level)],
    }


def _impediment(one: Impediment) -> Row:
    return {"rule": one.rule.value, "words": one.words, "expected": one.expected}


@router.post("/reviews/{submission}/ask", status_code=204)
def ask(submission: SubmissionName, said: SaidBody, parts: PartsOf, asking: ReviewWrite) -> Response:
    """Ask the vendor a question; the review waits for the answer."""
    parts.reviewing.ask(submission, asking.subject, said.words)
    return Response(status_code=204)


@router.post("/reviews/{submission}/answer", status_code=204)
def answer(submission: SubmissionName, said: SaidBody, parts: PartsOf, asking: BatchesSubmit) -> Response:
    """Answer the question that waits: the vendor, of its own, or an operator."""
    parts.reviewing.answer(submission, asking.subject, said.words, asking.vendor)
    return Response(status_code=204)


@router.post("/reviews/{submission}/recommend", status_code=204)
def recommend(submission: SubmissionName, said: Recommendation, parts: PartsOf, asking: ReviewWrite) -> Response:
    """Recommend to the decider that a level be granted, or that it be refused."""
    parts.reviewing.recommend(submission, asking.subject, said.level, said.words)
    return Response(status_code=204)


@router.post("/reviews/{submission}/return", status_code=204)
def give_back(submission: SubmissionName, said: SaidBody, parts: PartsOf, asking: ReviewWrite) -> Response:
    """Return it to the vendor with questions that only another submission can answer."""
    parts.reviewing.give_back(submission, asking.subject, said.words)
    return Response(status_code=204)


@router.post("/reviews/{submission}/decide", status_code=201)
def decide(submission: SubmissionName, wanted: DecisionWanted, parts: PartsOf, asking: DecisionsWrite) -> Decided:
    """Grant a level, with its certificate, or refuse. What prevents it is said all at once."""
    made = parts.reviewing.decide(submission, asking.subject, wanted.level, wanted.words, wanted.provisional)
    logs.note(decision=made.decision)
    return made
