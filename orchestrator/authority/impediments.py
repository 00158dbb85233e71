"""Everything that prevents a recommendation or a decision, all at once, each with a rule and words. Pure.

Rules come from ISO/IEC 17065:2012, 7.5 and 7.6: a review before each decision, and both by people who took no part in
the evaluation. Who took part is what the store recorded, never what somebody says of themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lab_inventory.errors import Conflict, Problem
from lab_inventory.messages import Ended
from lab_inventory.programme import Programme
from orchestrator.authority.review import QuestionAnswered, ReviewState, ReviewView
from orchestrator.lifecycle.run import RunState
from orchestrator.lifecycle.snapshot import SubmissionView
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.lifecycle.waiver import WaiverState, WaiverView
from orchestrator.pipeline.attempts import judged_digest
from orchestrator.pipeline.certify import grantable, waived_up_to


class Rule(StrEnum):
    """What an impediment is called, for programs and tests; these names stay as they are."""

    REVIEW_ENDED = "review-ended"
    NO_RECOMMENDATION = "no-recommendation"
    OPEN_QUESTIONS = "open-questions"
    DECIDER_TOOK_PART = "decider-took-part"
    REVIEWER_TOOK_PART = "reviewer-took-part"
    RUN_LATE = "run-late"
    EVIDENCE_MISSING = "evidence-missing"
    EVIDENCE_DAMAGED = "evidence-damaged"
    EVIDENCE_NEWER = "evidence-newer"
    LEVEL_NOT_EARNED = "level-not-earned"
    PROGRAMME_WITHDRAWN = "programme-withdrawn"
    BENCH_DRIFTS = "bench-drifts"
    WAIVER_ENDED = "waiver-ended"
    WAIVER_APPROVER_TOOK_PART = "waiver-approver-took-part"
    APPROVER_IS_AUTHOR = "approver-is-author"
    APPROVER_TOOK_PART = "approver-took-part"
    WAIVER_OVER = "waiver-over"


EXPECTED: Mapping[Rule, str] = {
    Rule.REVIEW_ENDED: "a review that goes on",
    Rule.NO_RECOMMENDATION: "a recommendation by a reviewer",
    Rule.OPEN_QUESTIONS: "an answer to each question",
    Rule.DECIDER_TOOK_PART: "a decider who took no part in the evaluation or its review, and is not of the vendor",
    Rule.REVIEWER_TOOK_PART: "a reviewer who took no part in the evaluation, and is not of the vendor",
    Rule.RUN_LATE: "runs that ended in time under their lease, with every report counted",
    Rule.EVIDENCE_MISSING: "every file of evidence in the artifact store",
    Rule.EVIDENCE_DAMAGED: "every file of evidence as it was recorded",
    Rule.EVIDENCE_NEWER: "a judgement of all reports that count",
    Rule.LEVEL_NOT_EARNED: "a level that was earned, or none",
    Rule.PROGRAMME_WITHDRAWN: "a programme that is offered",
    Rule.BENCH_DRIFTS: "benches without a drift that nobody has explained",
    Rule.WAIVER_ENDED: "that each waiver on which the level rests is in force when it is granted",
    Rule.WAIVER_APPROVER_TOOK_PART: "a waiver that was approved by somebody who took no part in the evaluation",
    Rule.APPROVER_IS_AUTHOR: "an approver who is another person than who asked for the waiver",
    Rule.APPROVER_TOOK_PART: "an approver who took no part in the evaluation, and is not of the vendor",
    Rule.WAIVER_OVER: "a waiver whose last day is not over",
}
"""What each rule asks for."""


@dataclass(frozen=True, kw_only=True)
class Impediment:
    """One reason. ``forbids_refusal``: it stands against any decision, and not only against one that grants."""

    rule: Rule
    words: str
    forbids_refusal: bool = False

    @property
    def expected(self) -> str:
        """What the rule asks for."""
        return EXPECTED[self.rule]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Somebody's part in an evaluation, in words that follow the name: "queued the batch bat-1"."""

    person: str
    did: str


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Evidence that is not what it was: missing, or with another content."""

    address: str
    missing: bool


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """Everything that a decision is made on.

    ``parts``: who took part in the evaluation. ``vendors``: the vendors that each person concerned ever stood for.
    ``damages``: of the evidence that the judged reports name. ``waivers``: those that the judgement names, by id, as
    they stand now. ``drifts``: in words, the unexplained ones of the benches that it was measured on.
    """

    review: ReviewView
    view: SubmissionView
    judgement: Judgement
    programme: Programme
    parts: tuple[Part, ...]
    vendors: Mapping[str, frozenset[str]]
    damages: tuple[Damage, ...]
    withdrawn: bool
    waivers: Mapping[str, WaiverView] = field(default_factory=dict)
    drifts: tuple[str, ...] = ()


def against_reviewing(dossier: Dossier, person: str) -> tuple[Impediment, ...]:
    """Why somebody cannot ask, recommend or return."""
    return (*_ended(dossier.review), *_took_part(dossier, person, Rule.REVIEWER_TOOK_PART))


def against_recommending(dossier: Dossier, person: str, level: str | None) -> tuple[Impediment, ...]:
    """Why somebody cannot recommend that ``level`` be granted; None: that it be refused."""
    return (
        *against_reviewing(dossier, person),
        *_open_questions(dossier.review),
        *(_not_earned(dossier, level) if level is not None else ()),
    )


def against_deciding(dossier: Dossier, person: str, level: str | None) -> tuple[Impediment, ...]:
    """Why ``person`` cannot grant ``level``; None: cannot refuse."""
    found = (
        *_ended(dossier.review),
        *_not_recommended(dossier.review),
        *_open_questions(dossier.review),
        *_took_part(dossier, person, Rule.DECIDER_TOOK_PART),
        *_reviewers_took_part(dossier),
        *_late_runs(dossier),
        *_damages(dossier),
        *_newer_evidence(dossier),
        *(_not_earned(dossier, level) if level is not None else ()),
        *(_waivers(dossier, level) if level is not None else ()),
        *_withdrawn(dossier),
        *(Impediment(rule=Rule.BENCH_DRIFTS, words=words) for words in dossier.drifts),
    )
    return tuple(one for one in found if level is not None or one.forbids_refusal)


def reviewers(review: ReviewView) -> tuple[str, ...]:
    """Who asked, recommended or returned, in their order."""
    return tuple(dict.fromkeys(entry.by for entry in review.entries if not isinstance(entry, QuestionAnswered)))


def _ended(review: ReviewView) -> Iterator[Impediment]:
    if review.state is ReviewState.RETURNED:
        words = "it was returned to the vendor; what comes next is another submission"
        yield Impediment(rule=Rule.REVIEW_ENDED, words=words, forbids_refusal=True)
    elif review.state is ReviewState.DECIDED:
        words = f"it was decided already: {review.decision}"
        yield Impediment(rule=Rule.REVIEW_ENDED, words=words, forbids_refusal=True)


def _not_recommended(review: ReviewView) -> Iterator[Impediment]:
    if review.recommendation is None:
        words = "no reviewer has recommended anything yet"
        yield Impediment(rule=Rule.NO_RECOMMENDATION, words=words, forbids_refusal=True)


def _open_questions(review: ReviewView) -> Iterator[Impediment]:
    if review.question is not None:
        words = f"the question {review.question.entry} of {review.question.by} is not answered yet"
        yield Impediment(rule=Rule.OPEN_QUESTIONS, words=words, forbids_refusal=True)


def took_part(
    parts: Iterable[Part],
    review: ReviewView,
    vendor: str,
    stood_for: frozenset[str],
    person: str,
    *,
    reviewing: bool,
) -> list[str]:
    """What somebody did in an evaluation that keeps them from deciding; ``reviewing``: having reviewed it counts too.

    ``stood_for``: the vendors that the person ever stood for.
    """
    did = [part.did for part in parts if part.person == person]
    if any(isinstance(entry, QuestionAnswered) and entry.by == person for entry in review.entries):
        did.append("answered a question of the review")
    if reviewing and person in reviewers(review):
        did.append("reviewed it")
    if same(vendor) in {same(one) for one in stood_for}:
        did.append(f"is or was of the vendor {vendor}")
    return did


def _took_part(dossier: Dossier, person: str, rule: Rule) -> Iterator[Impediment]:
    """One impediment with everything that somebody did."""
    vendor = dossier.view.content.vendor
    did = took_part(
        dossier.parts,
        dossier.review,
        vendor,
        dossier.vendors.get(person, frozenset()),
        person,
        reviewing=rule is Rule.DECIDER_TOOK_PART,
    )
    did += [f"asked for the waiver {one.waiver}" for one in dossier.waivers.values() if one.proposed.by == person]
    if did:
        yield Impediment(rule=rule, words=f"{person} {', '.join(dict.fromkeys(did))}", forbids_refusal=True)


def same(vendor: str) -> str:
    """A vendor's name as it is compared: two spellings of one are one."""
    return " ".join(vendor.casefold().split())


def _reviewers_took_part(dossier: Dossier) -> Iterator[Impediment]:
    for person in reviewers(dossier.review):
        yield from _took_part(dossier, person, Rule.REVIEWER_TOOK_PART)


def _late_runs(dossier: Dossier) -> Iterator[Impediment]:
    """Runs of the judgement that nobody can be sure of: reports that came late, that were kept apart, a late end."""
    for run in dossier.view.runs:
        if run.run not in dossier.judgement.runs:
            continue
        ends = [r.report.body for r in dossier.view.reports if r.run == run.run and isinstance(r.report.body, Ended)]
        why = ["its lease lapsed before it ended"] if run.state is RunState.LAPSED else []
        why += ["it ended after its deadline"] if any(not end.within_deadline for end in ends) else []
        why += [f"{len(run.quarantined)} of its reports are in quarantine"] if run.quarantined else []
        if why:
            yield Impediment(rule=Rule.RUN_LATE, words=f"{run.run} was judged, and {', '.join(why)}")


def _damages(dossier: Dossier) -> Iterator[Impediment]:
    for damage in dossier.damages:
        if damage.missing:
            yield Impediment(rule=Rule.EVIDENCE_MISSING, words=f"{damage.address} is not in the artifact store")
        else:
            yield Impediment(rule=Rule.EVIDENCE_DAMAGED, words=f"{damage.address} has another content than it had")


def _newer_evidence(dossier: Dossier) -> Iterator[Impediment]:
    if judged_digest(dossier.view) != dossier.judgement.evidence_digest:
        words = "the reports are not those that were judged: the judgement is not of the newest evidence"
        yield Impediment(rule=Rule.EVIDENCE_NEWER, words=words)


def _not_earned(dossier: Dossier, level: str) -> Iterator[Impediment]:
    can = grantable(dossier.judgement)
    if level not in can:
        words = f"{level} was not earned; {'earned: ' + ', '.join(can) if can else 'no level was'}"
        yield Impediment(rule=Rule.LEVEL_NOT_EARNED, words=words)


def _waivers(dossier: Dossier, level: str) -> Iterator[Impediment]:
    """Waivers on which ``level`` rests, and that do not carry it any more, or never should have."""
    known = level in {one.level for one in dossier.judgement.levels}
    concerned = waived_up_to(level, dossier.judgement) if known else ()
    for name in dict.fromkeys(one.waiver for one in concerned):
        view = dossier.waivers.get(name)
        if view is None or view.state is not WaiverState.APPROVED:
            words = f"{name} is {view.state if view else 'not known'}"
            yield Impediment(rule=Rule.WAIVER_ENDED, words=words)
        elif view.approval is not None:
            by = view.approval.by
            did = [part.did for part in dossier.parts if part.person == by]
            if did:
                words = f"{by}, who approved {name}, {', '.join(dict.fromkeys(did))}"
                yield Impediment(rule=Rule.WAIVER_APPROVER_TOOK_PART, words=words)


def _withdrawn(dossier: Dossier) -> Iterator[Impediment]:
    if dossier.withdrawn:
        words = f"no version of the programme {dossier.programme.id} is offered any more"
        yield Impediment(rule=Rule.PROGRAMME_WITHDRAWN, words=words)


class Prevented(Conflict):
    """The rules of the programme prevent this"""

    slug = "prevented"


def require_none(what: str, found: tuple[Impediment, ...]) -> None:
    """Raise Prevented with every impediment: its rule is the path of the problem."""
    if found:
        rules = ", ".join(dict.fromkeys(one.rule.value for one in found))
        problems = tuple(Problem(path=one.rule.value, wrong=one.words, expected=one.expected) for one in found)
        raise Prevented(f"{what}: {rules}", problems=problems)
