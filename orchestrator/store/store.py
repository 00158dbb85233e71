"""The one way to write: ``commit`` takes facts, asks their machines, writes tables and journal in one transaction.

Listeners are told after the commit and never before. A fact that no longer fits raises Conflict and nothing of its
group is kept.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from lab_inventory.canonical import canonical_bytes
from lab_inventory.clock import Clock
from lab_inventory.errors import Conflict, Unavailable
from orchestrator.authority import review
from orchestrator.lifecycle import (
    batch,
    certificate,
    control,
    device,
    host,
    lease,
    offering,
    person,
    prompt,
    quarantine,
    report,
    run,
    sample,
    signing_key,
    subscription,
    waiver,
)
from orchestrator.lifecycle.machine import Fact, Machine
from orchestrator.pipeline.publish import notices
from orchestrator.pipeline.tally import Tally, add_up
from orchestrator.store import migrating, probing, tallies
from orchestrator.store import tables as t
from orchestrator.store.engine import BUSY_TIMEOUT_S, engine_at, may_pass, opening, reading_options, refused
from orchestrator.store.journal import GENESIS, next_row
from orchestrator.store.writing import write


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a machine keeps its state."""

    machine: Machine
    state: Any
    key: Any


MACHINES = {
    "device": _Kept(device.MACHINE, t.devices.c.intent, t.devices.c.device),
    "host": _Kept(host.MACHINE, t.host_intents.c.intent, t.host_intents.c.host),
    "batch": _Kept(batch.MACHINE, t.batches.c.state, t.batches.c.batch),
    "submission": _Kept(batch.SUBMISSION_MACHINE, t.submissions.c.state, t.submissions.c.submission),
    "run": _Kept(run.MACHINE, t.runs.c.state, t.runs.c.run),
    "lease": _Kept(lease.MACHINE, t.leases.c.state, t.leases.c.lease),
    "control": _Kept(control.MACHINE, t.controls.c.state, t.controls.c.device),
    "drift": _Kept(control.DRIFT_MACHINE, t.drifts.c.state, t.drifts.c.drift),
    "quarantine": _Kept(quarantine.MACHINE, t.quarantines.c.state, t.quarantines.c.resource),
    "programme": _Kept(offering.MACHINE, t.offerings.c.state, t.offerings.c.programme),
    "certificate": _Kept(certificate.MACHINE, t.certificates.c.state, t.certificates.c.certificate),
    "report": _Kept(report.MACHINE, t.test_reports.c.state, t.test_reports.c.number),
    "review": _Kept(review.MACHINE, t.reviews.c.state, t.reviews.c.submission),
    "prompt": _Kept(prompt.MACHINE, t.prompts.c.state, t.prompts.c.prompt),
    "person": _Kept(person.MACHINE, t.persons.c.state, t.persons.c.person),
    "subscription": _Kept(subscription.MACHINE, t.subscriptions.c.state, t.subscriptions.c.subscription),
    "sample": _Kept(sample.MACHINE, t.samples.c.state, t.samples.c.sample),
    "waiver": _Kept(waiver.MACHINE, t.waivers.c.state, t.waivers.c.waiver),
    "signing-key": _Kept(signing_key.MACHINE, t.signing_keys.c.state, t.signing_keys.c.thumbprint),
    "token": _Kept(person.TOKEN_MACHINE, t.person_tokens.c.state, t.person_tokens.c.token),
}


@dataclass(frozen=True, kw_only=True)
class JournalHead:
    """The end of the journal."""

    length: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class IdempotentReply:
    """A principal's key for a request, the digest of its body, and the reply to keep with it."""

    principal: str
    key: str
    body_digest: str
    reply: str


Reading = Connection
"""A connection that reads; handed to the views."""

Listener = Callable[[Sequence[Fact]], None]
CHANNEL = "assay"
NOTICES_TOLD_MAX = 40
"""A notification of PostgreSQL holds at most 8000 bytes, and a notice at most 150."""


@dataclass(kw_only=True)
class _Step:
    """A transaction that goes on in this thread, the facts to be told of when it is committed, and what they count."""

    connection: Connection
    facts: list[Fact] = field(default_factory=list)
    counted: Tally = field(default_factory=dict)
    lab_changed: bool = False


class Superseded(Unavailable):
    """Another server leads now"""

    slug = "superseded"


class Store:
    """The database. One writer at a time, also of several servers; readers see a committed state."""

    def __init__(self, url: str, clock: Clock, *, upgrade: bool = True) -> None:
        """Open the database at ``url``; an empty or older one is brought to the newest schema, or with ``upgrade``
        False refused. Raises BadInput where it cannot be used, Conflict where others run on its older schema.
        """
        self._clock = clock
        self._writing = threading.Lock()
        self._here = threading.local()
        self._announcing_as: str | None = None
        self._listeners: list[Listener] = []
        self.engine = engine_at(url)
        with opening(self.engine):
            if upgrade:
                migrating.bring_up(self.engine)
            else:
                with self.engine.connect() as connection:
                    migrating.require_newest(connection)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` the facts of every commit, after it."""
        self._listeners.append(listener)

    def commit(
        self,
        facts: Sequence[Fact] | Callable[[JournalHead], Sequence[Fact]],
        *,
        idempotent: IdempotentReply | None = None,
    ) -> tuple[Fact, ...]:
        """Commit all of ``facts`` or none. A callable is given the journal's head and makes the facts on top of it.

        Raises Conflict where a fact does not fit the state it meets, Unavailable where the disk refuses.
        """
        with self._step() as step:
            made = tuple(facts(head(step.connection)) if callable(facts) else facts)
            add_up(step.counted, self._apply(step.connection, made))
            if idempotent is not None:
                step.connection.execute(insert(t.idempotency).values(asdict(idempotent)))
            step.facts.extend(made)
        return made

    def commit_each(self, groups: Sequence[Sequence[Fact]]) -> tuple[Conflict | None, ...]:
        """Commit each group on a savepoint of its own; for each group None, or why nothing of it was kept."""
        answers: list[Conflict | None] = []
        with self._step() as step:
            for group in groups:
                try:
                    with step.connection.begin_nested():
                        counted = self._apply(step.connection, group)
                except Conflict as conflict:
                    answers.append(conflict)
                except IntegrityError as error:
                    answers.append(Conflict(refused(error).detail))
                else:
                    answers.append(None)
                    step.facts.extend(group)
                    add_up(step.counted, counted)
        return tuple(answers)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A connection that sees one committed state; raises Unavailable where the database does not answer."""
        going_on = self._going_on()
        if going_on is not None:
            yield going_on.connection
            return
        with _in_our_words(), self.engine.connect().execution_options(**reading_options(self.engine)) as connection:
            yield connection

    @contextmanager
    def deciding(self) -> Iterator[Reading]:
        """What this thread reads and commits inside is one transaction: nobody else writes between the two.

        Listeners are told at its end. Of what a commit inside refuses nothing is kept, and the others stand if the
        refusal is caught.
        """
        with self._step() as step:
            yield step.connection

    @contextmanager
    def administering(self) -> Iterator[Connection]:
        """A writing transaction for what is no fact of a machine: hosts, tokens, programmes, the lab file."""
        with self._step() as step:
            yield step.connection

    @contextmanager
    def _step(self) -> Iterator[_Step]:
        """A writing transaction; inside one of the same thread, a part of it that is kept whole or not at all."""
        outer = self._going_on()
        with _in_our_words():
            if outer is not None:
                inner = _Step(connection=outer.connection)
                with outer.connection.begin_nested():
                    yield inner
                outer.facts.extend(inner.facts)
                add_up(outer.counted, inner.counted)
                outer.lab_changed |= inner.lab_changed
                return
            with self._writing, self.engine.connect().execution_options(assay_writes=True) as connection:
                self._here.step = step = _Step(connection=connection)
                try:
                    with connection.begin():
                        self._require_leading(connection)
                        yield step
                        tallies.add(connection, step.counted)
                        self._announce(step)
                finally:
                    self._here.step = None
        self._tell(step.facts)

    @contextmanager
    def as_leader(self, epoch: int) -> Iterator[None]:
        """Inside, this thread commits only while ``epoch`` is the one of ``leadership``; else it raises Superseded."""
        self._here.epoch = epoch
        try:
            yield
        finally:
            self._here.epoch = None

    def announce_as(self, server: str) -> None:
        """Tell other servers on the database of every commit from now on; PostgreSQL only."""
        self._announcing_as = server

    def lab_changed(self) -> None:
        """Have the commit that goes on tell other servers that something changed which is no fact: the lab file."""
        step = self._going_on()
        if step is not None:
            step.lab_changed = True

    def _require_leading(self, connection: Connection) -> None:
        wanted = getattr(self._here, "epoch", None)
        if wanted is None:
            return
        epoch = connection.execute(select(t.leadership.c.epoch)).scalar_one()
        if epoch != wanted:
            raise Superseded(f"another server leads, under epoch {epoch}; this one led under {wanted}")

    def _announce(self, step: _Step) -> None:
        """Sent with the commit and never without it."""
        if self._announcing_as is None or not (step.facts or step.lab_changed):
            return
        told = notices(step.facts)
        payload = {
            "from": self._announcing_as,
            "notices": [(notice.topic, notice.entity, notice.slug) for notice in told[:NOTICES_TOLD_MAX]],
            "lab": step.lab_changed,
            "more": len(told) > NOTICES_TOLD_MAX,
        }
        step.connection.execute(select(func.pg_notify(CHANNEL, json.dumps(payload))))

    def _going_on(self) -> _Step | None:
        step: _Step | None = getattr(self._here, "step", None)
        return step

    def try_write(self, timeout_s: float) -> None:
        """Write a little and let it be, changing nothing that is kept; raises Unavailable where that cannot be done.

        It would notice a full disk, a directory that became read-only or is gone, and a lock that is not given back.
        """
        path = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        if path and not Path(path).exists():
            # What is open goes on being written to, and is lost with the last connection.
            raise Unavailable(f"the database {path} is gone")
        if not self._writing.acquire(timeout=timeout_s):
            raise Unavailable(f"another write has not ended for {timeout_s:g} s")
        try:
            with _in_our_words(), self.engine.connect() as connection:
                probing.try_write(connection, timeout_s, BUSY_TIMEOUT_S)
        finally:
            self._writing.release()

    def _apply(self, connection: Connection, facts: Sequence[Fact]) -> Tally:
        """Write facts and journal; gives what they count, which is written at the end of the transaction."""
        counted: Tally = {}
        tail = head(connection)
        end = (tail.length, tail.hash)
        at = self._clock.now().isoformat()
        for fact in facts:
            before, state = self._next_state(connection, fact)
            write(connection, fact, state)
            add_up(counted, tallies.counted(connection, fact, before, state))
            if not fact.journaled:
                continue
            body = canonical_bytes(fact.journal_entry()).decode()
            row = next_row(
                end,
                at=at,
                fact=type(fact).__name__,
                machine=fact.machine,
                entity=fact.entity,
                state=state,
                body=body,
            )
            connection.execute(insert(t.journal).values(asdict(row)))
            end = (row.seq, row.hash)
        return counted

    @staticmethod
    def _next_state(connection: Connection, fact: Fact) -> tuple[str | None, str]:
        """The state before, None at birth or where there is none, and the one after."""
        kept = MACHINES.get(fact.machine)
        if kept is None:
            return None, ""
        current = connection.execute(select(kept.state).where(kept.key == fact.entity)).scalar_one_or_none()
        return current, kept.machine.next(current, fact).value

    def _tell(self, facts: Sequence[Fact]) -> None:
        if facts:
            for listener in self._listeners:
                listener(facts)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


@contextmanager
def _in_our_words() -> Iterator[None]:
    """What the database refuses, as Conflict, NoRoom or Unavailable; mistakes in the asking stay what they are."""
    try:
        yield
    except NoConnection as error:
        raise refused(error) from error
    except DBAPIError as error:
        if not may_pass(error):
            raise
        raise refused(error) from error


def head(connection: Connection) -> JournalHead:
    """The journal's end as this connection sees it."""
    row = connection.execute(
        select(t.journal.c.seq, t.journal.c.hash).order_by(t.journal.c.seq.desc()).limit(1)
    ).first()
    return JournalHead(length=row.seq, hash=row.hash) if row else JournalHead(length=0, hash=GENESIS)
