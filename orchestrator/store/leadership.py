"""Who leads, of several servers on one PostgreSQL database (docs/decisions/0004). On SQLite the only server does.

The row of ``leadership`` says who; its holder adds to ``beat`` twice a second. A follower that has seen no new beat for
:data:`TAKE_OVER_S` takes over by raising ``epoch``, in the turn of a writer. Times are each server's own CLOCK_BOOTTIME
and are compared with nobody else's. What a leader commits is checked against the epoch inside the transaction
(``Store.as_leader``), so that one that slept and wakes commits nothing. The row's connection also hears what other
servers committed.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import Connection, select, update

from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, BadInput, Conflict
from orchestrator.pipeline.publish import Notice
from orchestrator.store import migrating
from orchestrator.store import tables as t
from orchestrator.store.engine import LOCK_OF_SCHEMA, LOCKS, take_turn
from orchestrator.store.store import CHANNEL, Store

STEP_S = 0.5
LEADS_FOR_S = 3.3
"""How long a leader counts on being it after it *sent* a beat that was kept: two thirds of TAKE_OVER_S."""

TAKE_OVER_S = 5.0
WAIT_FOR_TURN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class News:
    """What another server committed. ``missed``: there may be more that was not heard."""

    notices: tuple[Notice, ...] = ()
    lab_changed: bool = False
    missed: bool = False


class Leadership(Protocol):
    """Whether this server leads."""

    @property
    def epoch(self) -> int | None:
        """The epoch under which this server leads, 0 where it is the only one; None while it follows."""
        ...

    def leads(self) -> bool:
        """Whether nobody else can lead now, by this server's own clock."""
        ...

    @property
    def words(self) -> str:
        """Who leads, for people; empty where there is only one server."""
        ...

    @property
    def trouble(self) -> str:
        """Why this server can neither lead nor follow now; empty where it can."""
        ...

    def superseded(self, epoch: int) -> None:
        """Somebody was told by the database that ``epoch`` is over."""
        ...

    def start(self, changed: Callable[[], None], heard: Callable[[News], None]) -> None:
        """Begin; ``changed`` is told, in a thread, of every change of ``epoch``, ``heard`` of news."""
        ...

    def stop(self) -> None:
        """End, and let another lead at once."""
        ...


def require_nobody_leads(store: Store) -> None:
    """Raise Conflict where a server lives on this database: looks as long as a leader may be silent."""
    looks = []
    for wait_s in (TAKE_OVER_S, 0.0):
        with store.reading() as connection:
            looks.append(connection.execute(select(t.leadership)).one())
        if not looks[0].holder:
            return
        threading.Event().wait(wait_s)
    if looks[0] != looks[1]:
        raise Conflict(f"the server at {looks[1].address} runs on this database; stop every server first")


class SoleLeadership:
    """The only server on its database."""

    epoch = 0
    words = ""
    trouble = ""

    def leads(self) -> bool:
        """Always."""
        return True

    def superseded(self, epoch: int) -> None:
        """By nobody."""

    def start(self, changed: Callable[[], None], heard: Callable[[News], None]) -> None:
        """It leads already."""

    def stop(self) -> None:
        """Nobody waits."""


class SharedLeadership:
    """One of several servers: follows, and leads when nobody else does."""

    def __init__(self, store: Store, clock: Clock, *, server: str, address: str, issuer: str) -> None:
        self._store = store
        self._clock = clock
        self._me = {"holder": server, "address": address, "issuer": issuer}
        self._epoch: int | None = None
        self._until_s = 0.0
        self._seen: tuple[int, int, str] | None = None
        self._seen_at_s = 0.0
        self._row: Any = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._changed: Callable[[], None] = lambda: None
        self._heard: Callable[[News], None] = lambda news: None
        self.trouble = "it has not looked yet"
        store.announce_as(server)

    @property
    def epoch(self) -> int | None:
        """The epoch under which this server leads, None while it follows."""
        return self._epoch

    def leads(self) -> bool:
        """Whether this server leads, and no other can have taken over yet."""
        return self._epoch is not None and self._clock.boottime_s() < self._until_s

    @property
    def words(self) -> str:
        """Who leads."""
        if self._epoch is not None:
            return f"leads under epoch {self._epoch}"
        holder = self._row.address if self._row is not None and self._row.holder else ""
        return f"follows the server at {holder}" if holder else "follows; nobody leads"

    def require_the_same_issuer(self) -> None:
        """Raise BadInput where a server that lives signs with another key: certificates are one issuer's.

        Looks as long as a leader may be silent, but only where the keys differ.
        """
        before = self._look()
        if not before.holder or before.issuer == self._me["issuer"]:
            return
        self._ending.wait(TAKE_OVER_S)
        now = self._look()
        if (now.epoch, now.beat) != (before.epoch, before.beat) and now.issuer != self._me["issuer"]:
            raise BadInput(
                f"the server at {now.address} signs with another key; give both servers the same data directory, "
                "or a copy of its signing-key.json"
            )

    def start(self, changed: Callable[[], None], heard: Callable[[News], None]) -> None:
        """Begin to look, and lead when nobody does."""
        self._changed, self._heard = changed, heard
        self._thread = threading.Thread(target=self._run, name="assay-leadership", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; who led lets another lead at once."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def superseded(self, epoch: int) -> None:
        """Follow, where this server still thinks it leads under ``epoch``."""
        if self._epoch == epoch:
            self._follow()

    def _follow(self) -> None:
        self._epoch = None
        self._seen = None
        self._changed()

    def _look(self) -> Any:
        with self._store.reading() as connection:
            return connection.execute(select(t.leadership)).one()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self._connected() as connection:
                    self._heard(News(missed=True))
                    while not self._ending.is_set():
                        self._step(connection)
                        self.trouble = ""
                        self._listen(connection)
                    self._give_back(connection)
            except Exception as error:  # the looking must go on whatever it met; /readyz says what it was
                # Who cannot reach the database stops counting on leading by its own clock.
                self.trouble = error.detail if isinstance(error, AssayError) else type(error).__name__
                self._ending.wait(STEP_S)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection for this alone; while it is open nobody migrates the database."""
        engine = self._store.engine
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()
            connection.exec_driver_sql(f"SET lock_timeout = '{WAIT_FOR_TURN_S * 1000:.0f}'")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock_shared({LOCKS}, {LOCK_OF_SCHEMA})")
            migrating.require_newest(connection)
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            yield connection

    def _step(self, connection: Connection) -> None:
        now_s = self._clock.boottime_s()
        epoch = self._epoch
        if epoch is not None:
            beat = update(t.leadership).where(t.leadership.c.epoch == epoch).values(beat=t.leadership.c.beat + 1)
            if connection.execute(beat).rowcount == 1:
                self._until_s = now_s + LEADS_FOR_S
            else:
                self.superseded(epoch)
            return
        row = self._row = connection.execute(select(t.leadership)).one()
        seen = (row.epoch, row.beat, row.holder)
        if seen != self._seen:
            self._seen, self._seen_at_s = seen, now_s
        if not row.holder or now_s - self._seen_at_s >= TAKE_OVER_S:
            self._take_over(row, now_s)

    def _take_over(self, row: Any, now_s: float) -> None:
        """In the turn of a writer: whatever an old leader commits comes before this or is refused."""
        c = t.leadership.c
        with self._store.engine.connect() as connection, connection.begin():
            take_turn(connection, WAIT_FOR_TURN_S)
            mine = update(t.leadership).where(c.epoch == row.epoch, c.beat == row.beat, c.holder == row.holder)
            taken = connection.execute(mine.values(epoch=row.epoch + 1, beat=0, **self._me)).rowcount == 1
        if taken:
            self._until_s = now_s + LEADS_FOR_S
            self._epoch = row.epoch + 1
            self._changed()

    def _give_back(self, connection: Connection) -> None:
        if self._epoch is not None:
            mine = update(t.leadership).where(t.leadership.c.epoch == self._epoch)
            connection.execute(mine.values(holder="", beat=0))

    def _listen(self, connection: Connection) -> None:
        """What others tell, until the next step is due."""
        driver = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
        for told in driver.notifies(timeout=STEP_S):
            news = news_of(told.payload, self._me["holder"])
            if news is not None:
                self._heard(news)


def news_of(payload: str, me: str) -> News | None:
    """What a notification says; None where it is our own. One that cannot be read may have said anything."""
    try:
        said = json.loads(payload)
        if said["from"] == me:
            return None
        notices: Sequence[Sequence[str]] = said["notices"]
        return News(
            notices=tuple(Notice(topic=topic, entity=entity, slug=slug) for topic, entity, slug in notices),
            lab_changed=bool(said["lab"]),
            missed=bool(said["more"]),
        )
    except (ValueError, KeyError, TypeError):
        return News(missed=True)
