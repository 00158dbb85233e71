"""A certificate is granted provisionally, confirmed or ended, and everybody who looks is told what is open."""

import io
import json
import zipfile
from datetime import date, timedelta
from typing import Any

import pytest
from lab_world import World, basic
from sqlalchemy import text
from test_bundle import MISSING, followed
from test_reviewing import Authority

from lab_inventory.canonical import sha256
from lab_inventory.errors import BadInput, Conflict
from lab_inventory.programme import Programme
from orchestrator.certificates import Certificates
from orchestrator.lifecycle.certificate import CertificateStatus, Provisional
from orchestrator.lifecycle.rights import Role
from orchestrator.people import People
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.store import certificate_views, listings
from orchestrator.verifying import Finding, Verification, verify, with_status

OPEN = "The firmware is to be published on the maker's site."


class Provisionally(Authority):
    """A programme that grants provisionally, and a certificate of it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.signer = world.signer
        self.certificates = Certificates(world.store, world.clock, world.signer)
        self.until = world.clock.now().date() + timedelta(days=30)

    def offering(self) -> "Provisionally":
        fields = json.loads(basic().model_dump_json())
        changed = {"id": "granting", "demonstration": False, "provisional": True, "version": "9.0"}
        self.offer(Programme.model_validate(fields | changed))
        return self

    def granted(self, **more: Any) -> str:
        wanted = Provisional.model_validate({"conditions": OPEN, "ends_on": self.until} | more)
        made = self.reviewing.decide(self.recommended(), "dora", "certified", "because", wanted)
        assert made.certificate is not None
        return made.certificate

    def order(self, name: str, event: Event, by: str = "dora", **more: Any) -> None:
        order = CertificateOrder.model_validate({"event": event, "reason": "It was published."} | more)
        self.certificates.order(name, order, by)

    def status(self, name: str) -> CertificateStatus:
        with self.world.store.reading() as connection:
            view = certificate_views.certificate(connection, name)
        assert view is not None
        return view.status

    def said(self, name: str) -> Verification:
        with self.world.store.reading() as connection:
            document = (listings.certificate_document(connection, name) or "").encode()
        found = verify(document, named=self.signer.issuer)
        return with_status(found, sha256(document), self.certificates.status_list().encode(), self.world.clock.now())


@pytest.fixture
def lab(world: World) -> Provisionally:
    return Provisionally(world).offering()


def test_it_holds_until_its_day_and_everybody_is_told_what_is_open(lab: Provisionally) -> None:
    name = lab.granted()
    now = lab.status(name)
    assert (now.state, now.ends_on, now.conditions) == ("provisional", lab.until, OPEN)
    found = lab.said(name)
    assert found.finding is Finding.VALID
    assert found.words[-1].startswith(f"PROVISIONAL: it is in force, up to and including {lab.until}")
    assert found.words[-1].endswith(f"Open: {OPEN}")
    assert found.certificate is not None
    assert found.certificate.provisional == Provisional(conditions=OPEN, ends_on=lab.until)
    assert lab.findings() == ()


def test_confirmed_it_is_granted_in_full_with_the_last_day_of_the_confirmation(lab: Provisionally) -> None:
    name = lab.granted()
    lab.order(name, Event.REDUCED, limits="Indoors alone.")
    assert lab.status(name).conditions == OPEN
    lab.order(name, Event.CONFIRMED)
    now = lab.status(name)
    assert (now.state, now.ends_on, now.conditions, now.limits) == ("granted", None, "", "Indoors alone.")
    assert "PROVISIONAL" not in " ".join(lab.said(name).words)
    lab.order(name, Event.EXTENDED, ends_on=date(2031, 8, 15))
    with pytest.raises(Conflict, match="cannot be confirmed"):
        lab.order(name, Event.CONFIRMED)
    assert lab.findings() == ()


def test_the_loop_ends_it_the_day_after_and_it_is_not_made_whole_by_an_extension(lab: Provisionally) -> None:
    name = lab.granted()
    lab.world.clock.advance(timedelta(days=30).total_seconds())
    lab.world.tick()
    assert lab.status(name).state == "provisional"
    lab.world.clock.advance(timedelta(days=1).total_seconds())
    lab.world.tick()
    assert (lab.status(name).state, lab.status(name).conditions) == ("expired", OPEN)
    assert lab.said(name).finding is Finding.NOT_IN_FORCE
    for event, more in ((Event.EXTENDED, {"ends_on": date(2031, 8, 15)}), (Event.CONFIRMED, {})):
        with pytest.raises(Conflict):
            lab.order(name, event, **more)
    lab.order(name, Event.WITHDRAWN)
    assert lab.findings() == ()


def test_its_day_is_moved_and_never_taken_away(lab: Provisionally) -> None:
    name = lab.granted()
    later = lab.until + timedelta(days=10)
    lab.order(name, Event.EXTENDED, ends_on=later)
    assert (lab.status(name).state, lab.status(name).ends_on) == ("provisional", later)
    with pytest.raises(BadInput) as refused:
        lab.order(name, Event.EXTENDED)
    assert [problem.path for problem in refused.value.problems] == ["ends_on"]
    with pytest.raises(Conflict, match="cannot be suspended"):
        lab.order(name, Event.SUSPENDED)


@pytest.mark.parametrize(("who", "did"), [("opal", "queued the batch"), ("rita", "reviewed it")])
def test_who_took_part_in_the_evaluation_cannot_confirm(lab: Provisionally, who: str, did: str) -> None:
    name = lab.granted()
    with pytest.raises(Conflict, match=f"decider-took-part: {who} {did}"):
        lab.order(name, Event.CONFIRMED, by=who)
    assert lab.status(name).state == "provisional"


def test_who_is_of_the_vendor_cannot_confirm(lab: Provisionally) -> None:
    name = lab.granted()
    People(lab.world.store, lab.world.clock).add("vera", (Role.VENDOR,), "acme", "admin")
    with pytest.raises(Conflict, match="is or was of the vendor"):
        lab.order(name, Event.CONFIRMED, by="vera")


@pytest.mark.parametrize(
    ("wanted", "level", "paths"),
    [
        ({"conditions": "n/a"}, "certified", ["provisional.conditions"]),
        ({"ends_on": date(2020, 1, 1)}, "certified", ["provisional.ends_on"]),
        ({"conditions": "TBD", "ends_on": date(2020, 1, 1)}, None, ["provisional"]),
    ],
)
def test_what_cannot_be_granted_provisionally_is_refused_with_its_place(
    lab: Provisionally, wanted: dict[str, Any], level: str | None, paths: list[str]
) -> None:
    given = Provisional.model_validate({"conditions": OPEN, "ends_on": lab.until} | wanted)
    with pytest.raises(BadInput) as refused:
        lab.reviewing.decide(lab.recommended(), "dora", level, "because", given)
    assert [problem.path for problem in refused.value.problems][: len(paths)] == paths


def test_a_programme_that_does_not_allow_it_grants_nothing_provisionally(world: World) -> None:
    lab = Provisionally(world)
    given = Provisional(conditions=OPEN, ends_on=lab.until)
    with pytest.raises(BadInput) as refused:
        lab.reviewing.decide(lab.recommended(), "dora", "certified", "because", given)
    assert "grants nothing provisionally" in refused.value.problems[0].wrong


def test_a_programme_and_a_certificate_without_it_are_written_as_before() -> None:
    assert '"provisional"' not in basic().model_dump_json()


@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")
@pytest.mark.parametrize("confirmed", [True, False])
def test_the_page_of_the_bundle_says_what_is_open(lab: Provisionally, confirmed: bool) -> None:
    name = lab.granted()
    if confirmed:
        lab.order(name, Event.CONFIRMED)
    folder = lab.world.folder / "bundle"
    with zipfile.ZipFile(io.BytesIO(lab.certificates.bundle(name))) as archive:
        archive.extractall(folder)
    status, said = followed(folder)
    assert status == 0, said
    assert ("state: granted" in said) is confirmed
    assert (f"not granted in full; open: {OPEN}" in said) is not confirmed


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE certificates SET conditions = ''", "stands otherwise than its newest link says"),
        ("UPDATE certificates SET ends_on = NULL", "stands otherwise than its newest link says"),
        ("UPDATE certificates SET state = 'granted'", "the journal says provisional"),
    ],
)
def test_what_was_changed_by_hand_is_found(lab: Provisionally, statement: str, words: str) -> None:
    lab.granted()
    with lab.world.store.administering() as connection:
        connection.execute(text(statement))
    assert words in "\n".join(lab.findings())
