"""The review of a judged submission: opened, questions and answers, recommended or returned, decided. Pure.

A submission has at most one review, so the submission names it. What people write stands in the tables; the journal has
who wrote and the digest of the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from lab_inventory.canonical import sha256
from lab_inventory.noun import Label, Name, Sha256
from lab_inventory.noun import Words as Words  # noqa: PLC0414  (what people say here)
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.machine import Fact, Machine
from orchestrator.lifecycle.verdict import SubmissionJudged


class ReviewState(StrEnum):
    """``asked``: a question waits for the vendor's answer. ``returned`` and ``decided`` are its ends."""

    OPEN = "open"
    ASKED = "asked"
    ANSWERED = "answered"
    RECOMMENDED = "recommended"
    RETURNED = "returned"
    DECIDED = "decided"


class Waits(StrEnum):
    """What a review waits for."""

    REVIEW = "review"
    ANSWER = "answer"
    DECISION = "decision"
    NOTHING = "nothing"


WAITS_IN = {
    ReviewState.OPEN: Waits.REVIEW,
    ReviewState.ASKED: Waits.ANSWER,
    ReviewState.ANSWERED: Waits.REVIEW,
    ReviewState.RECOMMENDED: Waits.DECISION,
    ReviewState.RETURNED: Waits.NOTHING,
    ReviewState.DECIDED: Waits.NOTHING,
}
"""What a review waits for in each state."""


class _OfReview(Fact):
    machine: ClassVar[str] = "review"
    submission: Name
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The submission."""
        return self.submission


class ReviewOpened(_OfReview):
    """A submission was judged under a programme in which people decide."""

    judgement_digest: Sha256

    def journal_entry(self) -> dict[str, str | int]:
        """What is reviewed."""
        return {"judgement_digest": self.judgement_digest}


class Entry(_OfReview):
    """Something that somebody said in a review."""

    entry: Name
    by: Label
    words: Words

    def journal_entry(self) -> dict[str, str | int]:
        """Who, and the words by digest."""
        return {"entry": self.entry, "by": self.by, "words_digest": sha256(self.words.encode())}


class QuestionAsked(Entry):
    """A reviewer asks the vendor; what was recommended before counts no more."""


class QuestionAnswered(Entry):
    """The vendor answered, or an operator for it."""

    question: Name

    def journal_entry(self) -> dict[str, str | int]:
        """Who, to which question, and the words by digest."""
        return super().journal_entry() | {"question": self.question}


class Recommended(Entry):
    """A reviewer recommends that ``level`` be granted; None: that it be refused."""

    level: Name | None

    def journal_entry(self) -> dict[str, str | int]:
        """Who, what, and the words by digest."""
        return super().journal_entry() | {"recommended": self.level or "none"}


class Returned(Entry):
    """A reviewer gives it back with questions that only another submission can answer."""


ENTRIES: Mapping[str, type[Entry]] = {
    kind.__name__: kind for kind in (QuestionAsked, QuestionAnswered, Recommended, Returned)
}
"""The kinds of entries, by the names of their facts."""


class ReviewDecided(_OfReview):
    """It was decided: ``DecisionMade`` stands in the same commit."""

    decision: Name

    def journal_entry(self) -> dict[str, str | int]:
        """Which decision."""
        return {"decision": self.decision}


@dataclass(frozen=True, kw_only=True)
class ReviewView:
    """A review and everything that was said in it, in its order."""

    submission: str
    state: ReviewState
    judgement_digest: str
    opened_at: datetime
    decision: str | None
    entries: tuple[Entry, ...]

    @property
    def question(self) -> QuestionAsked | None:
        """The question that waits for its answer."""
        asked = [entry for entry in self.entries if isinstance(entry, QuestionAsked)]
        return asked[-1] if asked and self.state is ReviewState.ASKED else None

    @property
    def recommendation(self) -> Recommended | None:
        """What is recommended now."""
        last = [entry for entry in self.entries if isinstance(entry, Recommended)]
        return last[-1] if last and self.state in (ReviewState.RECOMMENDED, ReviewState.DECIDED) else None


def opened(programme: Programme, judged: SubmissionJudged) -> tuple[ReviewOpened, ...]:
    """The review that a judged submission gets, where people decide about it."""
    if programme.demonstration or programme.purpose is not Purpose.CERTIFICATION:
        return ()
    return (ReviewOpened(submission=judged.submission, judgement_digest=judged.digest, at=judged.at),)


MACHINE = Machine(
    name="review",
    transitions={
        (None, "ReviewOpened"): ReviewState.OPEN,
        (ReviewState.OPEN, "QuestionAsked"): ReviewState.ASKED,
        (ReviewState.ANSWERED, "QuestionAsked"): ReviewState.ASKED,
        (ReviewState.RECOMMENDED, "QuestionAsked"): ReviewState.ASKED,
        (ReviewState.ASKED, "QuestionAnswered"): ReviewState.ANSWERED,
        (ReviewState.OPEN, "Recommended"): ReviewState.RECOMMENDED,
        (ReviewState.ANSWERED, "Recommended"): ReviewState.RECOMMENDED,
        (ReviewState.OPEN, "Returned"): ReviewState.RETURNED,
        (ReviewState.ASKED, "Returned"): ReviewState.RETURNED,
        (ReviewState.ANSWERED, "Returned"): ReviewState.RETURNED,
        (ReviewState.RECOMMENDED, "Returned"): ReviewState.RETURNED,
        (ReviewState.RECOMMENDED, "ReviewDecided"): ReviewState.DECIDED,
    },
    terminal=frozenset({ReviewState.RETURNED, ReviewState.DECIDED}),
)
