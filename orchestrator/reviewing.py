"""Where reviewers, vendors and deciders are answered: reads what was recorded, lets the rules decide, commits.

Evidence is read from the disk before the transaction and everything else inside it, so nothing that a decision rests on
changes between the two: what the reports name is kept under its content and never written again.
"""

from collections.abc import Callable, Iterable
from datetime import UTC

from lab_inventory.errors import BadInput, Conflict, InvariantBroken, NotFound
from lab_inventory.noun import Noun
from orchestrator.authority.impediments import (
    Damage,
    Dossier,
    Impediment,
    against_deciding,
    against_recommending,
    against_reviewing,
    require_none,
    reviewers,
)
from orchestrator.authority.provisional import against_provisional
from orchestrator.authority.review import QuestionAnswered, QuestionAsked, Recommended, Returned, ReviewDecided
from orchestrator.desk import Desk
from orchestrator.granting import Granting, SignsCertificates
from orchestrator.lifecycle.certificate import CertificateGranted, DecisionMade, Provisional
from orchestrator.lifecycle.machine import Fact
from orchestrator.pipeline.certify import evidence_of, waived_up_to
from orchestrator.store import control_views, programme_views, review_views, views, waiver_views
from orchestrator.store.store import JournalHead, Reading


class Decided(Noun):
    """What came of a decision; ``certificate`` None where nothing was granted."""

    decision: str
    certificate: str | None


class Reviewing:
    """The people's side of certification; safe to be called from several threads."""

    def __init__(self, desk: Desk, signer: SignsCertificates) -> None:
        self._desk = desk
        self._store = desk.store
        self._clock = desk.clock
        self._granting = Granting(signer, desk.clock)

    def dossier(self, submission: str, *people: str) -> Dossier:
        """Everything that a decision about a submission is made on, with what is known of ``people``; raises NotFound.

        Reads each file of evidence.
        """
        damages = self._damages(submission)
        with self._store.reading() as connection:
            return self._dossier(connection, submission, people, damages)

    def ask(self, submission: str, by: str, words: str) -> None:
        """Ask the vendor; one question at a time waits for its answer."""
        self._review(
            submission,
            by,
            lambda dossier: against_reviewing(dossier, by),
            lambda: QuestionAsked(
                submission=submission, entry=self._clock.new_id("que"), by=by, words=words, at=self._clock.now()
            ),
        )

    def answer(self, submission: str, by: str, words: str, vendor: str | None) -> None:
        """Answer the question that waits; ``vendor``: who answers may do so only for this one. Raises NotFound."""
        with self._desk.deciding, self._store.deciding() as connection:
            review = review_views.review(connection, submission, vendor)
            if review is None:
                raise NotFound(f"there is no review of {submission[:80]}")
            if review.question is None:
                raise Conflict(f"the review of {submission} has no question that waits for an answer")
            answered = QuestionAnswered(
                submission=submission,
                entry=self._clock.new_id("ans"),
                question=review.question.entry,
                by=by,
                words=words,
                at=self._clock.now(),
            )
            self._store.commit([answered])

    def recommend(self, submission: str, by: str, level: str | None, words: str) -> None:
        """Recommend that ``level`` be granted; None: that it be refused."""
        self._review(
            submission,
            by,
            lambda dossier: against_recommending(dossier, by, level),
            lambda: Recommended(
                submission=submission,
                entry=self._clock.new_id("rec"),
                by=by,
                words=words,
                level=level,
                at=self._clock.now(),
            ),
        )

    def give_back(self, submission: str, by: str, words: str) -> None:
        """Return it to the vendor with questions that only another submission can answer."""
        self._review(
            submission,
            by,
            lambda dossier: against_reviewing(dossier, by),
            lambda: Returned(
                submission=submission, entry=self._clock.new_id("ret"), by=by, words=words, at=self._clock.now()
            ),
        )

    def decide(
        self, submission: str, by: str, level: str | None, words: str, provisional: Provisional | None = None
    ) -> Decided:
        """Grant ``level``, with its certificate, or refuse; raises Prevented with everything that is against it.

        ``provisional``: with something open until a day; raises BadInput where that cannot be.
        """
        damages = self._damages(submission)
        with self._desk.deciding, self._store.deciding() as connection:
            dossier = self._dossier(connection, submission, (by,), damages)
            require_none(submission, against_deciding(dossier, by, level))
            lab, now = views.lab(connection), self._clock.now()
            if provisional is not None:
                wrong = against_provisional(provisional, dossier.programme, level, now.date())
                if wrong:
                    raise BadInput(f"{submission} cannot be granted provisionally like this", problems=tuple(wrong))
            decision = DecisionMade(
                decision=self._clock.new_id("dec"),
                submission=submission,
                level=level,
                automatic=False,
                by=by,
                words=words,
                provisional=provisional,
                at=now,
            )
            decided = ReviewDecided(submission=submission, decision=decision.decision, at=now)

            def facts(head: JournalHead) -> list[Fact]:
                granted = self._granting.facts(
                    decision, dossier.judgement, dossier.view, dossier.programme, lab=lab, head=head, now=now
                )
                return [granted[0], decided, *granted[1:]]

            made = self._store.commit(facts)
        certificates = [fact.certificate for fact in made if isinstance(fact, CertificateGranted)]
        return Decided(decision=decision.decision, certificate=certificates[0] if certificates else None)

    def _review(
        self,
        submission: str,
        by: str,
        against: Callable[[Dossier], Iterable[Impediment]],
        fact: Callable[[], Fact],
    ) -> None:
        """Commit what a reviewer says, where nothing is against it; evidence plays no part yet."""
        with self._desk.deciding, self._store.deciding() as connection:
            dossier = self._dossier(connection, submission, (by,), ())
            require_none(submission, tuple(against(dossier)))
            self._store.commit([fact()])

    def _dossier(
        self, connection: Reading, submission: str, people: Iterable[str], damages: tuple[Damage, ...]
    ) -> Dossier:
        review = review_views.review(connection, submission)
        if review is None:
            raise NotFound(f"there is no review of {submission[:80]}")
        view = views.submission(connection, submission)
        judgement = views.judgement(connection, submission)
        programme = views.programme(connection, view.programme_digest) if view else None
        if view is None or judgement is None or programme is None:
            raise InvariantBroken(f"{submission} is under review and was not judged")
        return Dossier(
            review=review,
            view=view,
            judgement=judgement,
            programme=programme,
            parts=review_views.parts(connection, submission),
            vendors=review_views.vendors_of(connection, {*people, *reviewers(review)}),
            damages=damages,
            withdrawn=not programme_views.open_on(connection, programme.id, self._clock.now().astimezone(UTC).date()),
            waivers=waiver_views.named(connection, {one.waiver for one in waived_up_to(None, judgement)}),
            drifts=tuple(one.words for one in control_views.drifts_of(connection, submission)),
        )

    def _damages(self, submission: str) -> tuple[Damage, ...]:
        """Evidence of a submission that is missing or has another content now."""
        with self._store.reading() as connection:
            view = views.submission(connection, submission)
        artifacts = self._desk.artifacts
        named = evidence_of(view) if view is not None else ()
        return tuple(
            Damage(address=address, missing=not artifacts.has(address))
            for address in named
            if not artifacts.is_whole(address)
        )
