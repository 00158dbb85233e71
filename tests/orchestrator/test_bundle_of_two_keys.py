"""A bundle across a change of the signing key is verified by its own page with openssl and coreutils alone."""

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from lab_world import World
from test_bundle import MISSING, flipped, followed
from test_signing_keys import ORDER, Keys

from orchestrator.lifecycle.certificate import Certificate
from orchestrator.pipeline.certificate_life import Event
from orchestrator.signing import Signer

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")


@pytest.fixture
def keys(world: World) -> Keys:
    return Keys(world)


def unpacked(keys: Keys, name: str) -> Path:
    folder = keys.world.folder / f"bundle-of-{name}"
    with zipfile.ZipFile(io.BytesIO(keys.desk.bundle(name))) as archive:
        archive.extractall(folder)
    return folder


def trusting(folder: Path, x: str) -> tuple[int, str]:
    """What the page says to somebody who had this public key from earlier."""
    page = (folder / "VERIFY.md").read_text()
    (folder / "VERIFY.md").write_text(page.replace("${TRUSTED:-$x}", x))
    return followed(folder)


@pytest.mark.parametrize("old_anchor", [True, False])
@pytest.mark.parametrize("changes", [1, 2])
def test_an_old_certificate_with_steps_of_two_keys_is_found_whole(keys: Keys, changes: int, old_anchor: bool) -> None:
    name = keys.grant()
    keys.desk.order(name, ORDER, "dora")
    for _ in range(changes):
        keys.rotate()
    keys.desk.order(name, ORDER.model_copy(update={"event": Event.REINSTATED}), "dora")
    folder = unpacked(keys, name)
    status, said = trusting(folder, keys.anchor.key.x) if old_anchor else followed(folder)
    assert status == 0, said
    for words in ("certificate.json: signed by the issuer", "link-002.json: signed by the issuer", "state: granted"):
        assert words in said
    assert said.count("leads to the key") == (changes if old_anchor else 0)


def test_a_new_certificate_is_found_whole_by_who_had_the_old_key(keys: Keys) -> None:
    keys.rotate()
    status, said = trusting(unpacked(keys, keys.grant()), keys.anchor.key.x)
    assert status == 0, said


@pytest.mark.parametrize("old_anchor", [True, False])
def test_a_key_link_of_which_a_letter_is_another_is_refused(keys: Keys, old_anchor: bool) -> None:
    keys.rotate()
    folder = unpacked(keys, keys.grant())
    flipped(folder / "key-link-001.json")
    status, said = trusting(folder, keys.anchor.key.x) if old_anchor else followed(folder)
    assert status != 0
    assert "key-link-001.json: " in said and "NOT signed" in said


def test_a_key_link_that_names_another_key_is_refused(keys: Keys) -> None:
    keys.rotate()
    folder = unpacked(keys, keys.grant())
    path = folder / "key-link-001.json"
    path.write_text(path.read_text().replace(keys.signer.issuer.key.x, Signer.new(name="x").issuer.key.x))
    status, said = trusting(folder, keys.anchor.key.x)
    assert status != 0, said


def test_without_the_link_nothing_leads_from_the_old_key(keys: Keys) -> None:
    keys.rotate()
    folder = unpacked(keys, keys.grant())
    (folder / "key-link-001.json").unlink()
    status, said = trusting(folder, keys.anchor.key.x)
    assert status != 0
    assert "no key link leads" in said


def test_no_link_leads_to_a_key_that_was_introduced_by_nobody(keys: Keys) -> None:
    keys.rotate(introduced=False)
    folder = unpacked(keys, keys.grant())
    assert followed(folder)[0] == 0
    status, said = trusting(folder, keys.anchor.key.x)
    assert status != 0
    assert "no key link leads" in said


def test_a_certificate_of_a_compromised_key_is_believed_from_before_and_not_from_after(keys: Keys) -> None:
    before = keys.grant()
    keys.world.clock.advance(3600)
    since = keys.world.clock.now()
    keys.world.clock.advance(60)
    after = keys.grant()
    keys.rotate(introduced=False)
    keys.compromised(since)
    status, said = followed(unpacked(keys, before))
    assert status == 0, said
    assert "its key is compromised since" in said
    status, said = followed(unpacked(keys, after))
    assert status != 0
    assert "granted when somebody else may have had the key" in said


def test_a_certificate_written_back_in_time_with_a_stolen_key_is_refused(keys: Keys) -> None:
    name = keys.grant()
    keys.rotate(introduced=False)
    keys.compromised(keys.world.clock.now() - timedelta(seconds=90))
    folder = unpacked(keys, name)
    path = folder / "certificate.json"
    content = Certificate.model_validate(json.loads(path.read_text())["certificate"])
    path.write_text(keys.first.sign(content.model_copy(update={"level_title": "The best of all"})))
    status, said = followed(folder)
    assert status != 0
    assert "certificate.json: signed by the issuer" in said
    assert "the status list speaks of another history" in said


def test_a_certificate_that_a_key_of_nobody_signed_is_refused(keys: Keys) -> None:
    keys.rotate()
    folder = unpacked(keys, keys.grant())
    path = folder / "certificate.json"
    content = Certificate.model_validate(json.loads(path.read_text())["certificate"])
    path.write_text(Signer.new(name="Test lab").sign(content))
    status, said = followed(folder)
    assert status != 0
    assert "signed with a key that is not the issuer's" in said
