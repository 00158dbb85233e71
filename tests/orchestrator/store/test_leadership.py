"""Several servers on one PostgreSQL database: one leads, and what an old leader commits is refused."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_world import World, registration
from sqlalchemy import select, text, update

from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput, Unavailable
from orchestrator.lifecycle.batch import BatchHeld, BatchReleased
from orchestrator.store import engine as engine_module
from orchestrator.store import leadership as module
from orchestrator.store import tables as t
from orchestrator.store import views
from orchestrator.store.audit import audit
from orchestrator.store.leadership import News, SharedLeadership, news_of
from orchestrator.store.store import Store, Superseded, head
from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.migrated() as made:
        yield made


class Server:
    """A store with its leadership, and what was told."""

    def __init__(self, url: str, name: str, issuer: str = "key") -> None:
        self.store = Store(url, SystemClock())
        self.leadership = SharedLeadership(self.store, SystemClock(), server=name, address=name, issuer=issuer)
        self.news: list[News] = []
        self._told = threading.Condition()

    def start(self) -> None:
        self.leadership.start(self._notify, self._hear)

    def stop(self) -> None:
        self.leadership.stop()
        self.store.close()

    def _notify(self) -> None:
        with self._told:
            self._told.notify_all()

    def _hear(self, news: News) -> None:
        with self._told:
            self.news.append(news)
            self._told.notify_all()

    def until_leading(self, timeout_s: float = 20.0) -> int:
        with self._told:
            assert self._told.wait_for(lambda: self.leadership.epoch is not None, timeout_s)
        epoch = self.leadership.epoch
        assert epoch is not None
        return epoch

    def until_following(self) -> None:
        with self._told:
            assert self._told.wait_for(lambda: self.leadership.epoch is None, 20.0)

    def until_heard(self, count: int) -> list[News]:
        with self._told:
            assert self._told.wait_for(lambda: len(self.news) >= count, 20.0)
            return list(self.news)


def supersede(url: str) -> None:
    """As another server does that takes over."""
    store = Store(url, SystemClock())
    with store.administering() as connection:
        connection.execute(update(t.leadership).values(epoch=t.leadership.c.epoch + 1, holder="other", beat=7))
    store.close()


def test_the_first_leads_at_once_and_the_second_follows_it(url: str) -> None:
    one, two = Server(url, "one"), Server(url, "two")
    one.start()
    assert one.until_leading() == 1
    assert one.leadership.leads()
    two.start()
    two.until_heard(1)
    assert two.leadership.epoch is None
    assert not two.leadership.leads()
    one.stop()
    assert two.until_leading() == 2
    two.stop()
    assert (one.leadership.trouble, two.leadership.trouble) == ("", "")


def test_what_a_superseded_leader_commits_is_refused_as_a_whole(url: str, tmp_path: Path) -> None:
    world = World(tmp_path, url=url)
    batch = world.submit().batch
    one = Server(url, "one")
    one.start()
    epoch = one.until_leading()
    with one.store.as_leader(epoch):
        one.store.commit([BatchHeld(batch=batch, by="x")])
    one.stop()
    supersede(url)
    with world.store.reading() as connection:
        before = head(connection)
    with one.store.as_leader(epoch):
        with pytest.raises(Superseded):
            one.store.commit([BatchReleased(batch=batch, by="x")])
        with pytest.raises(Superseded):
            one.store.commit_each([[BatchReleased(batch=batch, by="x")]])
        with pytest.raises(Superseded), one.store.administering() as connection:
            connection.execute(text("DELETE FROM labs"))
        with pytest.raises(Superseded), one.store.deciding():
            pass
    with world.store.reading() as connection:
        assert head(connection) == before
        assert views.lab(connection) is not None
    world.store.close()
    one.store.close()


def test_a_whole_pass_of_a_superseded_leader_places_and_lapses_nothing(url: str, tmp_path: Path) -> None:
    world = World(tmp_path, url=url)
    world.heartbeat(registration(1), registration(2))
    world.submit()
    supersede(url)
    with world.store.reading() as connection:
        before = head(connection)
    with pytest.raises(Superseded), world.store.as_leader(0):
        world.tick()
    with world.store.reading() as connection:
        assert head(connection) == before
        assert views.live_leases(connection) == ()
    world.tick()
    with world.store.reading() as connection:
        assert len(views.live_leases(connection)) == 1
    world.store.close()


def test_a_leader_that_finds_itself_superseded_follows(url: str) -> None:
    one = Server(url, "one")
    one.start()
    one.until_leading()
    supersede(url)
    one.until_following()
    assert not one.leadership.leads()
    # Whoever took over is silent: after a while it is superseded itself.
    assert one.until_leading() == 3
    one.stop()


def test_a_leader_that_cannot_reach_the_database_stops_counting_on_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Server(url, "one")
    one.start()
    one.until_leading()
    cut = threading.Event()

    def fails(leadership: SharedLeadership, connection: object) -> None:
        cut.set()
        raise OSError

    monkeypatch.setattr(SharedLeadership, "_step", fails)
    assert cut.wait(10)
    ends = threading.Event()
    for _ in range(100):
        if not one.leadership.leads():
            break
        ends.wait(module.LEADS_FOR_S / 50)
    assert not one.leadership.leads()
    assert one.leadership.trouble == "OSError"
    one.stop()


def test_of_many_that_see_a_silent_leader_one_takes_over(url: str) -> None:
    servers = [Server(url, f"server-{number}") for number in range(4)]
    with servers[0].store.administering() as connection:
        connection.execute(update(t.leadership).values(holder="dead", epoch=5))
    for server in servers:
        server.start()
    with servers[0].store.reading() as connection:
        assert connection.execute(select(t.leadership.c.epoch)).scalar_one() == 5
    found = threading.Event()
    for _ in range(400):
        leaders = [server for server in servers if server.leadership.epoch is not None]
        if leaders:
            break
        found.wait(0.05)
    assert [server.leadership.epoch for server in leaders] == [6]
    for server in servers:
        server.leadership._ending.set()
    for server in servers:
        server.stop()


def test_a_writer_that_falls_silent_in_its_transaction_loses_it_and_others_write(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process does that is stopped there, or a host without power."""
    monkeypatch.setattr(engine_module, "IDLE_IN_TRANSACTION_S", 0.3)
    monkeypatch.setattr(engine_module.take_turn, "__defaults__", (engine_module.LOCK_OF_WRITERS, 0.3))
    world = World(tmp_path, url=url)
    batch = world.submit().batch
    other = Store(url, SystemClock())
    with pytest.raises(Unavailable), world.store.deciding():
        world.store.commit([BatchHeld(batch=batch, by="silent")])
        other.commit([BatchHeld(batch=batch, by="other")])
    other.commit([BatchReleased(batch=batch, by="other")])
    world.store.commit([BatchHeld(batch=batch, by="awake")])
    with other.reading() as connection:
        assert audit(connection).findings == ()
        held = connection.execute(select(t.journal.c.body).where(t.journal.c.fact == "BatchHeld")).scalars().all()
    assert ["silent" in body for body in held] == [False, False]
    world.store.close()
    other.close()


def test_others_hear_what_is_committed_and_nothing_of_what_is_refused(url: str, tmp_path: Path) -> None:
    world = World(tmp_path, url=url)
    batch = world.submit().batch
    one, two = Server(url, "one"), Server(url, "two")
    two.start()
    two.until_heard(1)  # from now on it listens
    with pytest.raises(KeyError), one.store.deciding():
        one.store.commit([BatchHeld(batch=batch, by="x")])
        raise KeyError
    one.store.commit([BatchHeld(batch=batch, by="x")])
    with one.store.administering():
        one.store.lab_changed()
    news = two.until_heard(3)
    assert [(notice.topic, notice.entity, notice.slug) for notice in news[1].notices] == [
        ("batches", batch, "BatchHeld")
    ]
    assert (news[2].notices, news[2].lab_changed) == ((), True)
    one.store.close()
    two.stop()
    world.store.close()


def test_a_notification_that_cannot_be_read_may_have_said_anything() -> None:
    assert news_of("nonsense", "me") == News(missed=True)
    assert news_of('{"from": "me"}', "me") is None


def test_a_server_with_another_key_is_refused_while_the_leader_lives(url: str) -> None:
    one, two = Server(url, "one"), Server(url, "two", issuer="another key")
    one.start()
    one.until_leading()
    with pytest.raises(BadInput, match="signs with another key"):
        two.leadership.require_the_same_issuer()
    one.stop()
    two.leadership.require_the_same_issuer()
    two.store.close()
