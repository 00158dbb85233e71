"""A certificate is what was signed, byte for byte, by somebody who is trusted."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab_inventory.canonical import canonical_bytes, sha256
from lab_inventory.device import Product
from lab_inventory.errors import BadInput
from orchestrator.lifecycle.certificate import Certificate
from orchestrator.signing import Signer, read_issuer, read_trust
from orchestrator.verifying import Finding, verify

GOLDEN = Path(__file__).parent.parent / "golden"

# The published example key of RFC 8037, appendix A.1: never a secret.
RFC_8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

CERTIFICATE = Certificate(
    certificate="crt-0000000000000001",
    demonstration=True,
    notice="DEMONSTRATION, grants nothing",
    issuer="Example lab",
    lab="example",
    vendor="Example vendor",
    product=Product(maker="baresip", model="baresip", firmware="1.0.0"),
    hardware_revision="A",
    mode="wideband",
    level="certified",
    level_title="Certified",
    programme="ip-phone-basic",
    programme_version="1.0",
    programme_digest=sha256(b"programme"),
    profile="digital",
    profile_covers="Signalling and digital audio.",
    profile_does_not_cover="Everything else.",
    submission="sub-0000000000000001",
    runs=("run-0000000000000001",),
    judgement_digest=sha256(b"judgement"),
    evidence_digest=sha256(b"evidence"),
    evidence=(sha256(b"capture"),),
    decision="dec-0000000000000001",
    decided_by="automatic",
    granted_at=datetime(2026, 1, 1, tzinfo=UTC),
    journal_head=sha256(b"journal"),
    journal_length=42,
)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.at(tmp_path / "key.json", name="Example lab")


def test_a_certificate_of_the_named_issuer_is_valid(signer: Signer) -> None:
    found = verify(signer.sign(CERTIFICATE).encode(), named=signer.issuer)
    assert found.finding is Finding.VALID
    assert found.certificate == CERTIFICATE


def test_a_certificate_of_a_trusted_issuer_is_valid(signer: Signer) -> None:
    assert verify(signer.sign(CERTIFICATE).encode(), trusted=(signer.issuer,)).finding is Finding.VALID


def test_without_trust_it_is_intact_and_its_issuer_unknown(signer: Signer) -> None:
    found = verify(signer.sign(CERTIFICATE).encode())
    assert found.finding is Finding.ISSUER_UNKNOWN
    assert "ISSUER UNKNOWN" in found.words[-1]


def test_a_forgery_validly_signed_with_another_key_fails(signer: Signer, tmp_path: Path) -> None:
    forger = Signer.at(tmp_path / "forger.json", name="Example lab")
    forged = forger.sign(CERTIFICATE.model_copy(update={"level": "certified"})).encode()
    assert verify(forged, named=signer.issuer).finding is Finding.INVALID
    found = verify(forged, trusted=(signer.issuer,))
    assert found.finding is Finding.INVALID
    assert "forgery" in found.words[-1]


def test_a_trusted_key_may_not_sign_under_another_name(tmp_path: Path) -> None:
    other = Signer.at(tmp_path / "other.json", name="Another lab")
    assert verify(other.sign(CERTIFICATE).encode(), trusted=(other.issuer,)).finding is Finding.INVALID


def test_no_single_byte_can_change_unnoticed(signer: Signer) -> None:
    document = signer.sign(CERTIFICATE).encode()
    for place in range(len(document)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(document)
            changed[place] ^= flip
            assert verify(bytes(changed), named=signer.issuer).finding is Finding.INVALID, place


def test_white_space_and_added_bytes_are_changes(signer: Signer) -> None:
    document = signer.sign(CERTIFICATE).encode()
    pretty = json.dumps(json.loads(document), indent=2).encode()
    for changed in (document + b"\n", b" " + document, pretty, document[:-1], b""):
        assert verify(changed, named=signer.issuer).finding is Finding.INVALID


def test_a_field_that_was_signed_cannot_be_replaced_even_canonically(signer: Signer) -> None:
    document = json.loads(signer.sign(CERTIFICATE))
    document["certificate"]["product"]["firmware"] = "1.0.1"
    found = verify(canonical_bytes(document), named=signer.issuer)
    assert found.finding is Finding.INVALID
    assert "signature" in found.words[-1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.binary(max_size=300))
def test_verification_answers_whatever_it_is_given(data: bytes) -> None:
    assert verify(data).finding is Finding.INVALID


@pytest.mark.parametrize(
    "junk", [b"[]", b"{}", b'{"certificate":{}}', b"[" * 100_000, b"null", b"1e999", b'{"certificate":null}']
)
def test_junk_is_no_certificate(junk: bytes) -> None:
    assert verify(junk).finding is Finding.INVALID


def test_the_key_file_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    first = Signer.at(path, name="Example lab").issuer
    assert path.stat().st_mode & 0o777 == 0o600
    assert Signer.at(path, name="Example lab").issuer == first


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    Signer.at(path, name="Example lab")
    path.chmod(0o644)
    with pytest.raises(BadInput, match="0600"):
        Signer.at(path, name="Example lab")


def test_an_issuer_file_is_read_back_and_bad_ones_are_named(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "issuer.json"
    path.write_text(signer.issuer.model_dump_json())
    assert read_issuer(path) == signer.issuer
    path.write_text('{"name": "x"}')
    with pytest.raises(BadInput, match=r"issuer\.json"):
        read_issuer(path)
    assert read_trust(tmp_path / "absent.json") == ()


def test_the_golden_certificate_verifies_to_this_day() -> None:
    issuer = read_issuer(GOLDEN / "issuer.json")
    found = verify((GOLDEN / "certificate.json").read_bytes(), named=issuer)
    assert found.finding is Finding.VALID
    assert found.certificate == CERTIFICATE


def test_signing_the_same_certificate_gives_the_golden_file_again() -> None:
    signer = Signer.from_private_jwk(RFC_8037_KEY, name="Example lab")
    assert signer.sign(CERTIFICATE) == (GOLDEN / "certificate.json").read_text()
