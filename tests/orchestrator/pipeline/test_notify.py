"""What is told of a row of the journal, and when what failed is tried again."""

from datetime import UTC, datetime, timedelta

from orchestrator.pipeline.notify import AGAIN_MAX_S, EVENTS, JournaledEvent, again_after_s, event_of, gives_up
from orchestrator.store.writing import _WRITERS

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_every_event_is_a_fact_that_there_is_and_no_two_are_the_same() -> None:
    kinds = {kind.__name__ for kind in _WRITERS if kind.journaled}
    assert set(EVENTS.values()) <= kinds
    assert len(set(EVENTS.values())) == len(EVENTS)
    assert all(event_of(fact) == event for event, fact in EVENTS.items())


def test_a_notice_has_ids_and_a_page_and_no_digest() -> None:
    body = {"earned": "certified", "judgement_digest": "sha256:0"}
    event = JournaledEvent(
        seq=7,
        event="submission.judged",
        at="2026-01-02T00:00:00+00:00",
        machine="submission",
        entity="sub-1",
        body=body,
    )
    assert event.notice("https://lab.example") == {
        "type": "submission.judged",
        "timestamp": "2026-01-02T00:00:00+00:00",
        "data": {"submission": "sub-1", "earned": "certified", "link": "https://lab.example/submissions/sub-1"},
    }
    assert event.in_words() == "submission sub-1 was judged: certified"


def test_a_notice_is_tried_later_and_later_up_to_an_hour_and_for_a_day() -> None:
    waits = [again_after_s(tries) for tries in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] == 10
    assert waits[-1] == AGAIN_MAX_S
    assert not gives_up(NOW, NOW + timedelta(hours=23))
    assert gives_up(NOW, NOW + timedelta(hours=24))
