"""Where people measure: prompts are answered, confirmed or differed from by another person, aborted, and lapse.

Reads, lets the rules decide, commits. Whoever may answer may abort, always, while a prompt still waits for somebody.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from lab_inventory.errors import BadInput, Conflict, InvariantBroken, NotFound, Problem
from lab_inventory.measurement import Evidence
from lab_inventory.programme import Programme, Requirement
from orchestrator.desk import Desk
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.prompt import (
    MeasuredByHand,
    PromptAborted,
    PromptAnswered,
    PromptAnsweredByOne,
    PromptConfirmed,
    PromptDiffered,
    PromptLapsed,
    PromptState,
    PromptView,
)
from orchestrator.pipeline.prompting import against_answer
from orchestrator.store import prompt_views, views
from orchestrator.store.store import Reading, Store

EVIDENCE_BYTES_MAX = 4_000_000
"""Of one file that somebody adds to an answer; the server's cap on bodies may be lower."""
BY_ITSELF = "assay"


class NoSecondPerson(Conflict):
    """A second person has to say this"""

    slug = "second-person"


class Prompts:
    """The people's side of measuring; safe to be called from several threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.store
        self._clock = desk.clock

    def answer(
        self,
        prompt: str,
        by: str,
        serial: str,
        measured: Sequence[MeasuredByHand],
        evidence: Sequence[Evidence] = (),
        words: str = "",
    ) -> str:
        """Say what was measured of the unit with this serial number; gives the answer's id.

        Raises NotFound, Conflict where it does not wait for an answer, BadInput with everything that is wrong with it.
        """
        with self._desk.deciding, self._store.deciding() as connection:
            view = self._waiting(connection, prompt, PromptState.OPEN)
            requirement, _, _ = asked(connection, view)
            problems = (*against_answer(requirement, measured, evidence), *self._against_files(evidence))
            if problems:
                raise BadInput(f"this does not answer {prompt}", problems=problems)
            kind = PromptAnsweredByOne if view.second_person else PromptAnswered
            answered = kind(
                prompt=prompt,
                entry=self._clock.new_id("mes"),
                by=by,
                serial=serial,
                measured=tuple(measured),
                evidence=tuple(evidence),
                words=words,
                at=self._clock.now(),
            )
            self._store.commit([answered])
        self._desk.wake()
        return answered.entry

    def _against_files(self, evidence: Sequence[Evidence]) -> tuple[Problem, ...]:
        """Files that are not kept here as the answer says."""
        artifacts = self._desk.artifacts
        found = []
        for number, file in enumerate(evidence):
            if not artifacts.has(file.digest):
                wrong = f"{file.name} is not here"
                found.append(Problem(path=f"evidence[{number}]", wrong=wrong, expected="a file that was sent before"))
            elif artifacts.path(file.digest).stat().st_size != file.size_bytes:
                wrong = f"{file.name} is not {file.size_bytes} bytes long"
                found.append(Problem(path=f"evidence[{number}].size_bytes", wrong=wrong, expected="its own size"))
        return tuple(found)

    def confirm(self, prompt: str, by: str, answer: str, words: str = "") -> None:
        """A second person says that ``answer`` is right. Raises NotFound, Conflict, NoSecondPerson."""
        self._second(
            prompt,
            by,
            answer,
            lambda entry, now: PromptConfirmed(prompt=prompt, entry=entry, by=by, answer=answer, words=words, at=now),
        )

    def differ(self, prompt: str, by: str, answer: str, words: str) -> None:
        """A second person says that ``answer`` is not right; it is asked for again. Raises as :meth:`confirm`."""
        self._second(
            prompt,
            by,
            answer,
            lambda entry, now: PromptDiffered(prompt=prompt, entry=entry, by=by, answer=answer, words=words, at=now),
        )

    def _second(self, prompt: str, by: str, answer: str, fact: Callable[[str, datetime], Fact]) -> None:
        with self._desk.deciding, self._store.deciding() as connection:
            view = self._waiting(connection, prompt, PromptState.UNCONFIRMED)
            given = view.answer
            if given is None:
                raise InvariantBroken(f"prompt {prompt} is unconfirmed and has no answer")
            if given.by == by:
                wrong = f"{by} answered it"
                problem = Problem(path="second-person", wrong=wrong, expected="somebody else who may answer prompts")
                raise NoSecondPerson(f"{by} answered {prompt}, so another person says this", problems=(problem,))
            if given.entry != answer:
                raise Conflict(f"{answer[:80]} is not the answer to {prompt} that waits: {given.entry} is")
            self._store.commit([fact(self._clock.new_id("cnf"), self._clock.now())])
        self._desk.wake()

    def abort(self, prompt: str, by: str, words: str) -> None:
        """Give it up: its requirement was not run. Raises NotFound, Conflict where it was closed already."""
        with self._desk.deciding, self._store.deciding() as connection:
            if prompt_views.prompt(connection, prompt) is None:
                raise NotFound(f"there is no prompt {prompt[:80]}")
            self._store.commit([self._aborted(prompt, by, words)])
        self._desk.wake()

    def abort_all(self, submission: str, by: str, words: str) -> tuple[str, ...]:
        """Give up everything that people are still asked of a submission; gives the prompts. Raises NotFound."""
        with self._desk.deciding, self._store.deciding() as connection:
            if views.content(connection, submission) is None:
                raise NotFound(f"there is no submission {submission[:80]}")
            waiting = prompt_views.waiting_of(connection, submission=submission)
            self._store.commit([self._aborted(prompt, by, words) for prompt in waiting])
        self._desk.wake()
        return waiting

    def _aborted(self, prompt: str, by: str, words: str) -> PromptAborted:
        return PromptAborted(prompt=prompt, entry=self._clock.new_id("abt"), by=by, words=words, at=self._clock.now())

    def _waiting(self, connection: Reading, prompt: str, state: PromptState) -> PromptView:
        """The prompt that is in this state and whose time is not over; raises NotFound, Conflict."""
        view = prompt_views.prompt(connection, prompt)
        if view is None:
            raise NotFound(f"there is no prompt {prompt[:80]}")
        if view.state is not state:
            raise Conflict(f"prompt {prompt} is {view.state}; expected one that is {state}")
        if view.due_at <= self._clock.now():
            raise Conflict(f"the time of prompt {prompt} was over at {view.due_at.isoformat()}")
        return view


def asked(connection: Reading, view: PromptView) -> tuple[Requirement, Submission, Programme]:
    """What a prompt asks for, of which submission, by which programme. Raises InvariantBroken where one is gone."""
    found = views.content(connection, view.submission)
    programme = views.programme(connection, found[1]) if found else None
    known = programme.requirements if programme else ()
    requirement = next((one for one in known if one.id == view.requirement), None)
    if found is None or programme is None or requirement is None:
        raise InvariantBroken(f"prompt {view.prompt} asks for {view.requirement}, which is not kept")
    return requirement, found[0], programme


def lapse_prompts(store: Store, now: datetime, new_id: Callable[[str], str]) -> bool:
    """Close the prompts whose time is over; True where there may be more."""
    with store.reading() as connection:
        if not prompt_views.due(connection, now):
            return False
    with store.deciding() as connection:
        due = prompt_views.due(connection, now)
        store.commit([PromptLapsed(prompt=prompt, entry=new_id("lps"), by=BY_ITSELF, at=now) for prompt in due])
    return len(due) >= prompt_views.DUE_MAX
