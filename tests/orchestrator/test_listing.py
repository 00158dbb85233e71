"""The public listing: what is shown now, what was shown on a day, searching, many pages."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from lab_world import World, registration, submission
from lab_world import lab as lab_file
from reports.on_record import LABORATORY, SHEET

from orchestrator.certificates import Certificates
from orchestrator.issuing import Issuing
from orchestrator.lifecycle.certificate import CertificateState
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.store import listing_views
from orchestrator.store.listing_views import PAGE, Sought

DAY_S = 24 * 60 * 60


class Lab:
    """A world in which certificates are granted, and things become of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.certificates = Certificates(world.store, world.clock, world.signer)
        self.keys = 0
        world.desk.apply_lab(lab_file().model_copy(update={"laboratory": LABORATORY}), "admin")
        world.heartbeat(registration(1))

    @property
    def today(self) -> date:
        return self.world.clock.now().date()

    def a_day_later(self) -> None:
        self.world.clock.advance(DAY_S)
        self.world.heartbeat(registration(1))

    def granted(self, **change: Any) -> str:
        """A certificate that was granted now."""
        self.keys += 1
        (name,) = self.world.submit(submission(**change), key=f"key-{self.keys}").submissions
        (dispatch,) = self.world.tick()
        self.world.deliver(taken := self.world.take(dispatch), *self.world.whole_run(taken))
        self.world.tick()
        return name

    def order(self, certificate: str, event: Event, **more: Any) -> None:
        self.certificates.order(certificate, CertificateOrder(event=event, reason="It was seen.", **more), "dora")

    def shown(self, page: int = 1, **sought: Any) -> list[dict[str, Any]]:
        with self.world.store.reading() as connection:
            return listing_views.listing(connection, Sought(**sought), page=page)[0]


@pytest.fixture
def lab(world: World) -> Lab:
    return Lab(world)


def test_a_certificate_is_shown_with_what_it_is_for_and_the_number_of_its_report(lab: Lab) -> None:
    name = lab.granted(vendor="Acme")
    (row,) = lab.shown()
    assert row["report"] is None
    report = Issuing(lab.world.store, lab.world.clock).issue(name, SHEET, "anna")
    (row,) = lab.shown()
    assert row["report"] == report.number
    said = {name: row[name] for name in ("vendor", "maker", "model", "hardware_revision", "firmware", "level", "state")}
    assert said == {
        "vendor": "Acme",
        "maker": "Acme",
        "model": "One",
        "hardware_revision": "A",
        "firmware": "1.0",
        "level": "certified",
        "state": "granted",
    }
    assert row["programme"] == "ip-phone-basic"
    assert row["demonstration"] is True


def test_the_listing_is_the_golden_one(lab: Lab) -> None:
    name = lab.granted(vendor="Acme")
    Issuing(lab.world.store, lab.world.clock).issue(name, SHEET, "anna")
    (row,) = lab.shown()
    lab.order(row["certificate"], Event.REDUCED, limits="Not in open offices.")
    lab.order(row["certificate"], Event.EXTENDED, ends_on=lab.today + timedelta(days=400))
    rows = lab.shown()
    golden = Path(__file__).parents[1] / "golden" / "listing.json"
    assert json.dumps(rows, indent=1) + "\n" == golden.read_text(encoding="utf-8")


def test_a_day_that_is_over_is_shown_as_it_was_whatever_came_later(lab: Lab) -> None:
    lab.granted()
    first = lab.today
    (row,) = lab.shown()
    lab.a_day_later()
    last_day = lab.today + timedelta(days=400)
    lab.order(row["certificate"], Event.EXTENDED, ends_on=last_day)
    lab.order(row["certificate"], Event.SUSPENDED)
    second = lab.today
    lab.a_day_later()
    lab.order(row["certificate"], Event.REVOKED)
    lab.granted()
    assert [(one["state"], one["ends_on"]) for one in lab.shown(on=first)] == [("granted", None)]
    assert [(one["state"], one["ends_on"]) for one in lab.shown(on=second)] == [("suspended", last_day.isoformat())]
    assert [one["state"] for one in lab.shown(on=lab.today)] == ["granted", "revoked"]
    assert [one["state"] for one in lab.shown()] == ["granted", "revoked"]
    assert lab.shown(on=first - timedelta(days=1)) == []
    assert lab.shown(on=first, state=CertificateState.REVOKED) == []
    assert len(lab.shown(on=second, state=CertificateState.SUSPENDED)) == 1


def test_a_report_that_was_issued_later_is_not_shown_on_an_earlier_day(lab: Lab) -> None:
    name = lab.granted()
    first = lab.today
    lab.a_day_later()
    issuing = Issuing(lab.world.store, lab.world.clock)
    report = issuing.issue(name, SHEET, "anna")
    lab.a_day_later()
    amended = issuing.amend(report.number, "The condition of the item was noted wrongly.", SHEET, "anna")
    assert [lab.shown(on=first + timedelta(days=n))[0]["report"] for n in range(3)] == [
        None,
        report.number,
        amended.number,
    ]


@pytest.mark.parametrize("words", [("acme",), ("ACME", "one"), ("1.0",), ("crt-",)])
def test_words_are_found_wherever_they_stand_in_upper_and_lower_case(lab: Lab, words: tuple[str, ...]) -> None:
    lab.granted()
    assert len(lab.shown(words=words)) == 1


@pytest.mark.parametrize("words", [("acme", "two"), ("%",), ("_",), ("1.0' or '1'='1",), ("\\",)])
def test_words_that_do_not_stand_there_find_nothing_and_have_no_other_meaning(lab: Lab, words: tuple[str, ...]) -> None:
    lab.granted()
    assert lab.shown(words=words) == []


def test_many_certificates_are_shown_on_pages_each_once(lab: Lab) -> None:
    for _ in range(PAGE + 3):
        lab.granted()
    pages = [lab.shown(page=number) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [PAGE, 3, 0]
    assert len({row["certificate"] for page in pages for row in page}) == PAGE + 3
    with lab.world.store.reading() as connection:
        assert listing_views.listing(connection, Sought())[1] == PAGE + 3
