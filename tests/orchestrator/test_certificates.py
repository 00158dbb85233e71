"""What becomes of certificates, on a real database, to whoever verifies without the server."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from lab_world import World, registration
from sqlalchemy import text

from lab_inventory.canonical import sha256
from lab_inventory.errors import Conflict, NotFound
from orchestrator.certificates import STATUS_GOOD_FOR, STATUS_SIGNED_AGAIN, Certificates
from orchestrator.lifecycle.certificate import CertificateLink
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.signing import Signer
from orchestrator.store import certificate_views, listings
from orchestrator.store.audit import audit
from orchestrator.verifying import Finding, Verification, verify, with_status

WHY = "The firmware that is sold is another."


@pytest.fixture
def signer(world: World) -> Signer:
    return world.signer


@pytest.fixture
def certificates(world: World, signer: Signer) -> Certificates:
    return Certificates(world.store, world.clock, signer)


@pytest.fixture
def name(world: World) -> str:
    """A certificate that was granted."""
    world.heartbeat(registration(1))
    world.submit()
    assignment = world.take(*world.tick())
    world.deliver(assignment, *world.whole_run(assignment))
    world.tick()
    with world.store.reading() as connection:
        (row,) = listings.certificates(connection)
    return str(row["certificate"])


def order(certificates: Certificates, name: str, event: Event, **more: Any) -> CertificateLink:
    return certificates.order(name, CertificateOrder(event=event, reason=WHY, **more), "dora")


def documents(world: World, name: str) -> tuple[bytes, ...]:
    with world.store.reading() as connection:
        first = listings.certificate_document(connection, name)
        assert first is not None
        return tuple(document.encode() for document in (first, *certificate_views.links(connection, name)))


def findings(world: World) -> str:
    with world.store.reading() as connection:
        return "\n".join(audit(connection).findings)


def said(world: World, certificates: Certificates, signer: Signer, name: str, status: str = "") -> Verification:
    document = documents(world, name)[0]
    found = verify(document, named=signer.issuer)
    listed = (status or certificates.status_list()).encode()
    return with_status(found, sha256(document), listed, world.clock.now())


def test_each_step_is_a_signed_link_that_names_the_document_before(
    world: World, certificates: Certificates, name: str
) -> None:
    order(certificates, name, Event.SUSPENDED)
    order(certificates, name, Event.REINSTATED)
    order(certificates, name, Event.REDUCED, limits="Not in open offices.")
    order(certificates, name, Event.EXTENDED, ends_on=date(2031, 8, 15))
    order(certificates, name, Event.REVOKED)
    chain = documents(world, name)
    links = [json.loads(document)["link"] for document in chain[1:]]
    assert [link["previous"] for link in links] == [sha256(document) for document in chain[:-1]]
    assert [link["state"] for link in links] == ["suspended", "granted", "granted", "granted", "revoked"]
    assert (links[-1]["limits"], links[-1]["ends_on"]) == ("Not in open offices.", "2031-08-15")
    assert findings(world) == ""


def test_what_does_not_follow_is_refused_and_leaves_no_link(
    world: World, certificates: Certificates, name: str
) -> None:
    order(certificates, name, Event.WITHDRAWN)
    with pytest.raises(Conflict, match="is withdrawn: it cannot be reinstated"):
        order(certificates, name, Event.REINSTATED)
    assert len(documents(world, name)) == 2
    with pytest.raises(NotFound):
        order(certificates, "crt-x", Event.REVOKED)


@pytest.mark.parametrize(
    ("event", "more", "finding", "words"),
    [
        (None, {}, Finding.VALID, "It is in force"),
        (Event.SUSPENDED, {}, Finding.NOT_IN_FORCE, "it is suspended"),
        (Event.WITHDRAWN, {}, Finding.NOT_IN_FORCE, "it is withdrawn"),
        (Event.REVOKED, {}, Finding.NOT_IN_FORCE, "it is revoked"),
        (Event.REDUCED, {"limits": "Indoors alone."}, Finding.VALID, "Limits of use: Indoors alone."),
        (Event.EXTENDED, {"ends_on": date(2031, 8, 15)}, Finding.VALID, "up to and including 2031-08-15"),
    ],
)
def test_who_verifies_with_a_status_list_is_told_whether_it_is_in_force(
    world: World,
    certificates: Certificates,
    signer: Signer,
    name: str,
    event: Event | None,
    more: dict[str, Any],
    finding: Finding,
    words: str,
) -> None:
    if event is not None:
        order(certificates, name, event, **more)
    found = said(world, certificates, signer, name)
    assert found.finding is finding
    assert any(words in line for line in found.words), found.words


def test_an_old_list_and_one_of_another_key_say_nothing(
    world: World, certificates: Certificates, signer: Signer, name: str
) -> None:
    listed = certificates.status_list()
    other = Signer.at(world.folder / "other.json", name="Test lab")
    forged = Certificates(world.store, world.clock, other).status_list()
    assert said(world, certificates, signer, name, forged).finding is Finding.STATUS_UNKNOWN
    assert said(world, certificates, signer, name, "{}").finding is Finding.STATUS_UNKNOWN
    changed = listed.replace('"state":"granted"', '"state":"revoked"')
    assert said(world, certificates, signer, name, changed).finding is Finding.STATUS_UNKNOWN
    world.clock.advance(STATUS_GOOD_FOR.total_seconds())
    found = said(world, certificates, signer, name, listed)
    assert found.finding is Finding.STATUS_UNKNOWN
    assert "was good until" in found.words[-1]


def test_a_list_without_the_certificate_says_nothing_of_it(world: World, signer: Signer, name: str) -> None:
    document = documents(world, name)[0]
    content = json.loads(document)["certificate"] | {"certificate": "crt-other"}
    other = verify(
        signer.sign(type(verify(document).certificate).model_validate(content)).encode(), named=signer.issuer
    )  # type: ignore[union-attr]
    listed = Certificates(world.store, world.clock, signer).status_list().encode()
    assert with_status(other, sha256(b"x"), listed, world.clock.now()).finding is Finding.STATUS_UNKNOWN


def test_a_list_is_signed_again_when_something_happened_or_it_grew_old(
    world: World, certificates: Certificates, name: str
) -> None:
    first = certificates.status_list()
    assert certificates.status_list() is first
    order(certificates, name, Event.SUSPENDED)
    second = certificates.status_list()
    assert json.loads(second)["status_list"]["number"] > json.loads(first)["status_list"]["number"]
    world.clock.advance(STATUS_SIGNED_AGAIN.total_seconds())
    assert certificates.status_list() != second


def test_the_loop_ends_what_is_over_once_and_no_day_too_early(
    world: World, certificates: Certificates, signer: Signer, name: str
) -> None:
    today = world.clock.now().date()
    order(certificates, name, Event.EXTENDED, ends_on=today)
    world.tick()
    assert len(documents(world, name)) == 2
    world.clock.advance(timedelta(days=1).total_seconds())
    world.tick()
    world.tick()
    link = json.loads(documents(world, name)[2])["link"]
    assert (link["event"], link["by"], link["ends_on"]) == ("expired", "assay", today.isoformat())
    assert len(documents(world, name)) == 3
    assert said(world, certificates, signer, name).finding is Finding.NOT_IN_FORCE
    order(certificates, name, Event.EXTENDED)
    assert said(world, certificates, signer, name).finding is Finding.VALID
    assert findings(world) == ""


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE certificates SET state = 'granted'", "the journal says suspended"),
        ("UPDATE certificates SET ends_on = '2040-01-01'", "stands otherwise than its newest link says"),
        ("UPDATE certificates SET limits = 'none at all'", "stands otherwise than its newest link says"),
        ("DELETE FROM certificate_links", "are not those that were journaled"),
        (
            "UPDATE certificate_links SET document = replace(document, 'firmware', 'hardware')",
            "are not those that were journaled",
        ),
    ],
)
def test_what_was_changed_by_hand_is_found(
    world: World, certificates: Certificates, name: str, statement: str, words: str
) -> None:
    order(certificates, name, Event.SUSPENDED)
    assert findings(world) == ""
    with world.store.administering() as connection:
        connection.execute(text(statement))
    assert words in findings(world)
