"""The signing key is changed: what was signed before still counts, and what somebody else may have signed does not."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lab_world import TTL_S, World, registration
from sqlalchemy import text

from lab_inventory.canonical import canonical_bytes, sha256
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput, Conflict, NotFound, Unavailable
from orchestrator.certificates import Certificates
from orchestrator.key_chain import Issuer
from orchestrator.lifecycle.certificate import Certificate
from orchestrator.lifecycle.signing_key import KeyLink
from orchestrator.loop import Loop
from orchestrator.new_file import write_new
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.signing import Signer
from orchestrator.signing_keys import KEY, NEXT, compromised, issuer_of, published, rotate, signer_at
from orchestrator.store import certificate_views, listings
from orchestrator.store.audit import audit
from orchestrator.store.backup import backup, restore
from orchestrator.store.store import Store
from orchestrator.verifying import Finding, Verification, verify, with_status

NAME = "Test lab"
ORDER = CertificateOrder(event=Event.SUSPENDED, reason="The firmware that is sold is another.")


class Keys:
    """A lab that grants, changes its key, and grants again."""

    def __init__(self, world: World) -> None:
        self.world = world
        write_new(world.folder / KEY, world.signer.private_jwk())
        self.first = self.signer = world.signer
        self.anchor = world.signer.issuer
        self.granted = 0

    def grant(self) -> str:
        """The name of a new certificate, signed with the key of now."""
        world = self.world
        self.granted += 1
        world.heartbeat(registration(1))
        batch = world.submit(key=f"key-{self.granted}").batch
        assignment = world.take(*world.tick())
        world.deliver(assignment, *world.whole_run(assignment))
        world.tick()
        with world.store.reading() as connection:
            rows = listings.certificates(connection)
        assert batch
        return str(rows[0]["certificate"])

    def rotate(self, *, introduced: bool = True) -> KeyLink:
        """Change the key, and start again with it."""
        self.world.clock.advance(60)
        link = rotate(self.world.folder, self.world.store, self.world.clock, name=NAME, introduced=introduced)
        self.world.clock.advance(60)
        self.start()
        return link

    def start(self) -> None:
        self.signer = signer_at(self.world.folder, self.world.store, name=NAME)
        self.world.loop = Loop(self.world.desk, self.signer, lease_ttl_s=TTL_S, host_silent_s=30.0)

    def compromised(self, since: datetime) -> tuple[str, ...]:
        """The first key, since a moment."""
        return compromised(
            self.world.folder,
            self.world.store,
            self.world.clock,
            name=NAME,
            thumbprint=self.anchor.thumbprint,
            since=since,
            reason="A disk was stolen.",
            by="root",
        )

    @property
    def desk(self) -> Certificates:
        return Certificates(self.world.store, self.world.clock, self.signer)

    @property
    def issuer(self) -> Issuer:
        return issuer_of(self.world.store, self.signer)

    @property
    def links(self) -> list[bytes]:
        return [canonical_bytes(key["link"]) for key in published(self.world.store, self.signer)["keys"] if key["link"]]

    def document(self, name: str) -> bytes:
        with self.world.store.reading() as connection:
            return (listings.certificate_document(connection, name) or "").encode()

    def said(self, document: bytes, issuer: Issuer, links: list[bytes], *, listed: str | None = None) -> Verification:
        """What whoever trusts ``issuer`` finds, with the status list of now or another."""
        found = verify(document, named=issuer, links=links)
        data = (self.desk.status_list() if listed is None else listed).encode()
        return with_status(found, sha256(document), data, self.world.clock.now())

    def findings(self) -> str:
        with self.world.store.reading() as connection:
            return "\n".join(audit(connection).findings)


@pytest.fixture
def keys(world: World) -> Iterator[Keys]:
    yield Keys(world)


def test_with_one_key_nothing_is_published_that_was_not_before(keys: Keys) -> None:
    keys.grant()
    assert "former" not in keys.desk.issuer()
    assert "former_keys" not in keys.desk.status_list()
    (only,) = published(keys.world.store, keys.signer)["keys"]
    assert (only["thumbprint"], only["link"]) == (keys.anchor.thumbprint, None)


def test_who_trusts_the_old_key_follows_the_link_to_the_new_one(keys: Keys) -> None:
    old = keys.grant()
    keys.rotate()
    new = keys.grant()
    for name in (old, new):
        found = keys.said(keys.document(name), keys.anchor, keys.links)
        assert found.finding is Finding.VALID, found.words
    assert verify(keys.document(old), named=keys.anchor).finding is Finding.VALID
    assert verify(keys.document(new), named=keys.anchor).finding is Finding.INVALID
    assert keys.findings() == ""


def test_who_trusts_the_new_issuer_file_needs_no_link_for_what_the_old_key_signed(keys: Keys) -> None:
    old = keys.grant()
    keys.desk.order(old, ORDER, "dora")
    keys.rotate()
    keys.desk.order(old, ORDER.model_copy(update={"event": Event.REINSTATED}), "dora")
    new = keys.grant()
    for name in (old, new):
        found = keys.said(keys.document(name), keys.issuer, [])
        assert found.finding is Finding.VALID, found.words
    assert "which signed until" in " ".join(keys.said(keys.document(old), keys.issuer, []).words)


def test_two_changes_are_followed_one_after_the_other_in_any_order_of_the_links(keys: Keys) -> None:
    keys.rotate()
    keys.rotate()
    name = keys.grant()
    assert keys.said(keys.document(name), keys.anchor, keys.links[::-1]).finding is Finding.VALID
    assert keys.said(keys.document(name), keys.anchor, keys.links[1:]).finding is Finding.INVALID


def changed_at(link: bytes, name: str, value: Any) -> bytes:
    document = json.loads(link)
    document["key_link"][name] = value
    return canonical_bytes(document)


def test_a_link_that_was_changed_leads_nowhere(keys: Keys) -> None:
    keys.rotate()
    name = keys.grant()
    (link,) = keys.links
    thief = Signer.new(name=NAME)
    for changed in (
        changed_at(link, "x", thief.issuer.key.x),
        changed_at(link, "thumbprint", thief.issuer.thumbprint),
        changed_at(link, "valid_from", "2020-01-01T00:00:00Z"),
        link[:-1],
        b"{}",
        b"",
    ):
        found = verify(keys.document(name), named=keys.anchor, links=[changed])
        assert found.finding is Finding.INVALID
        assert "A key link cannot be used" in " ".join(found.words)


def test_a_link_that_somebody_else_signed_leads_nowhere(keys: Keys) -> None:
    name = keys.grant()
    thief = Signer.new(name=NAME)
    now = keys.world.clock.now()
    link = KeyLink(
        issuer=NAME,
        number=1,
        previous=keys.anchor.thumbprint,
        thumbprint=thief.issuer.thumbprint,
        x=thief.issuer.key.x,
        valid_from=now - timedelta(days=1),
    )
    content = Certificate.model_validate(json.loads(keys.document(name))["certificate"])
    forged = thief.sign(content).encode()
    found = verify(forged, named=keys.anchor, links=[thief.sign_key_link(link).encode()])
    assert found.finding is Finding.INVALID
    assert "not signed with the key that it says" in " ".join(found.words)


def test_of_two_links_from_one_key_neither_is_followed(keys: Keys) -> None:
    keys.rotate()
    name = keys.grant()
    thief = Signer.new(name=NAME)
    link = KeyLink.model_validate(json.loads(keys.links[0])["key_link"])
    other = link.model_copy(update={"thumbprint": thief.issuer.thumbprint, "x": thief.issuer.key.x})
    found = verify(
        keys.document(name), named=keys.anchor, links=[*keys.links, keys.first.sign_key_link(other).encode()]
    )
    assert found.finding is Finding.INVALID
    assert "somebody else has that key" in " ".join(found.words)


def test_what_the_old_key_signed_after_it_was_retired_is_invalid(keys: Keys) -> None:
    name = keys.grant()
    content = Certificate.model_validate(json.loads(keys.document(name))["certificate"])
    keys.rotate()
    late = content.model_copy(update={"granted_at": keys.world.clock.now()})
    document = keys.first.sign(late).encode()
    for issuer, links in ((keys.anchor, keys.links), (keys.issuer, [])):
        found = verify(document, named=issuer, links=links)
        assert found.finding is Finding.INVALID
        assert "when this key signed no more" in found.words[-1]


def test_a_status_list_of_the_retired_key_says_nothing(keys: Keys) -> None:
    name = keys.grant()
    listed = keys.desk.status_list()
    keys.rotate()
    found = keys.said(keys.document(name), keys.issuer, [], listed=listed)
    assert found.finding is Finding.STATUS_UNKNOWN
    assert "which signs no more" in found.words[-1]


def test_a_status_list_of_a_key_that_no_link_leads_to_says_nothing(keys: Keys) -> None:
    name = keys.grant()
    keys.rotate()
    found = keys.said(keys.document(name), keys.anchor, [])
    assert found.finding is Finding.STATUS_UNKNOWN
    assert "--keys FILE leads there" in found.words[-1]


def test_of_a_compromised_key_what_was_granted_from_then_on_is_revoked_and_invalid(keys: Keys) -> None:
    before = keys.grant()
    keys.world.clock.advance(3600)
    since = keys.world.clock.now()
    keys.world.clock.advance(3600)
    after = keys.grant()
    keys.rotate(introduced=False)
    assert keys.compromised(since) == (after,)
    found = keys.said(keys.document(after), keys.issuer, [])
    assert found.finding is Finding.INVALID
    assert "nothing from then on is believed" in found.words[-1]
    with keys.world.store.reading() as connection:
        view = certificate_views.certificate(connection, after)
    assert view is not None and view.status.state == "revoked"
    assert verify(keys.document(before), named=keys.issuer).finding is Finding.STATUS_UNKNOWN
    found = keys.said(keys.document(before), keys.issuer, [])
    assert found.finding is Finding.VALID, found.words
    assert "vouches for these very bytes" in " ".join(found.words)
    assert keys.findings() == ""


def test_a_certificate_that_is_written_back_in_time_with_a_stolen_key_is_invalid(keys: Keys) -> None:
    name = keys.grant()
    content = Certificate.model_validate(json.loads(keys.document(name))["certificate"])
    keys.desk.order(name, ORDER, "dora")
    keys.world.clock.advance(3600)
    keys.rotate(introduced=False)
    keys.compromised(keys.world.clock.now() - timedelta(seconds=60))
    forged = keys.first.sign(content.model_copy(update={"level_title": "The best of all"})).encode()
    found = keys.said(forged, keys.issuer, [])
    assert found.finding is Finding.INVALID
    assert "another certificate under that name" in found.words[-1]
    other = keys.first.sign(content.model_copy(update={"certificate": "crt-forged"})).encode()
    assert keys.said(other, keys.issuer, []).finding is Finding.STATUS_UNKNOWN


def test_who_trusts_a_key_that_turns_out_compromised_is_told_to_get_the_new_one(keys: Keys) -> None:
    name = keys.grant()
    keys.world.clock.advance(3600)
    keys.rotate()
    keys.compromised(keys.world.clock.now() - timedelta(seconds=60))
    found = keys.said(keys.document(name), keys.anchor, keys.links)
    assert found.finding is Finding.ISSUER_UNKNOWN
    assert "get the issuer's new file from the issuer itself" in found.words[-1]


def test_a_key_that_is_introduced_by_nobody_is_followed_by_nobody(keys: Keys) -> None:
    keys.rotate(introduced=False)
    name = keys.grant()
    assert verify(keys.document(name), named=keys.anchor, links=keys.links).finding is Finding.INVALID
    assert verify(keys.document(name), named=keys.issuer).finding is Finding.VALID


def test_only_a_former_key_is_compromised_and_never_more_mildly_than_before(keys: Keys) -> None:
    now = keys.world.clock.now()
    with pytest.raises(NotFound):
        keys.compromised(now)
    keys.rotate()
    current = keys.signer.issuer.thumbprint
    common: dict[str, Any] = {"name": NAME, "reason": "A disk was stolen.", "by": "root"}
    with pytest.raises(Conflict, match="signs now"):
        compromised(keys.world.folder, keys.world.store, keys.world.clock, thumbprint=current, since=now, **common)
    with pytest.raises(BadInput, match="is to come"):
        keys.compromised(keys.world.clock.now() + timedelta(days=1))
    keys.compromised(now)
    with pytest.raises(BadInput, match="already"):
        keys.compromised(now + timedelta(seconds=1))
    keys.compromised(now - timedelta(days=1))
    assert keys.findings() == ""


def test_a_server_that_still_has_the_old_key_signs_nothing_and_says_why(keys: Keys) -> None:
    name = keys.grant()
    stale = keys.desk
    rotate(keys.world.folder, keys.world.store, keys.world.clock, name=NAME)
    with pytest.raises(Unavailable, match="start it again"):
        stale.status_list()
    with pytest.raises(Unavailable, match="start it again"):
        stale.order(name, ORDER, "dora")
    with pytest.raises(Unavailable, match="start it again"):
        keys.grant()
    keys.start()
    keys.world.clock.advance(1)
    keys.world.tick()
    keys.desk.order(name, ORDER, "dora")
    assert keys.findings() == ""


def test_a_server_does_not_start_with_a_key_that_signs_no_more_or_without_one(keys: Keys) -> None:
    folder = keys.world.folder
    old = (folder / KEY).read_bytes()
    keys.rotate()
    (folder / KEY).unlink()
    with pytest.raises(BadInput, match="is missing: the key"):
        keys.start()
    write_new(folder / KEY, old)
    with pytest.raises(BadInput, match="put that key there"):
        keys.start()


@pytest.mark.parametrize("committed", [True, False])
def test_a_change_that_a_crash_cut_off_is_finished_or_forgotten_at_the_next_start(
    keys: Keys, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def crash(*given: object, **more: object) -> None:
        raise Crash

    folder, before = keys.world.folder, (keys.world.folder / KEY).read_bytes()
    monkeypatch.setattr(f"orchestrator.signing_keys.{'_move_into_place' if committed else '_commit_next'}", crash)
    with pytest.raises(Crash):
        rotate(folder, keys.world.store, keys.world.clock, name=NAME)
    monkeypatch.undo()
    keys.start()
    assert not (folder / NEXT).exists()
    assert ((folder / KEY).read_bytes() == before) is not committed
    assert (keys.signer.issuer.thumbprint == keys.anchor.thumbprint) is not committed


def test_the_private_half_of_a_key_that_signs_no_more_is_nowhere(keys: Keys) -> None:
    secret = json.loads((keys.world.folder / KEY).read_bytes())["d"].encode()
    keys.rotate()
    files = [path for path in keys.world.folder.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == []
    assert (keys.world.folder / KEY).stat().st_mode & 0o077 == 0


def test_the_former_keys_are_in_a_backup_and_there_after_it_is_restored(keys: Keys, tmp_path: Path) -> None:
    old = keys.grant()
    keys.rotate()
    kept, data = tmp_path / "lab.backup", tmp_path / "restored"
    data.mkdir()
    backup(keys.world.store, keys.world.folder, kept, SystemClock(), artifacts=True, signing_key=True)
    url = f"sqlite:///{data}/assay.sqlite"
    restore(kept, data, url)
    store = Store(url, keys.world.clock)
    try:
        signer = signer_at(data, store, name=NAME)
        assert issuer_of(store, signer) == keys.issuer
        assert published(store, signer) == published(keys.world.store, keys.signer)
        listed = Certificates(store, keys.world.clock, signer).status_list()
        assert keys.said(keys.document(old), keys.anchor, keys.links, listed=listed).finding is Finding.VALID
    finally:
        store.close()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE signing_keys SET state = 'retired' WHERE state = 'compromised'", "the journal says compromised"),
        ("UPDATE signing_keys SET compromised_since = '2040-01-01T00:00:00+00:00'", "compromised_since"),
        ("UPDATE signing_keys SET x = 'AAAA' WHERE number = 1", "x"),
        ("UPDATE signing_keys SET document = replace(document, 'Test', 'Best')", "key link 1 was changed"),
    ],
)
def test_a_key_that_was_changed_by_hand_is_found(keys: Keys, statement: str, words: str) -> None:
    keys.rotate()
    keys.compromised(keys.world.clock.now())
    assert keys.findings() == ""
    with keys.world.store.administering() as connection:
        connection.execute(text(statement))
    assert words in keys.findings()
