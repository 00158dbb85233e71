from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from agents.bench_ca import (
    CA_FILE,
    FOLDER,
    FOLDER_VARIABLE,
    KEY_FILE,
    WORK_VARIABLE,
    ca_folder,
    kept_ca,
    make_ca,
    new_authority,
    server_certificate,
)
from agents.cli import app
from agents.launch import clean_environment
from agents.measure import LabError
from lab_inventory.clock import SystemClock
from lab_inventory.errors import Conflict

NOW = SystemClock().now()


def test_a_ca_is_made_once_with_a_key_for_its_owner_alone_and_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    made = make_ca(folder, "bench-1", NOW)
    assert made == folder / CA_FILE
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert kept_ca(folder).pem == made.read_bytes()
    with pytest.raises(Conflict, match="is there already"):
        make_ca(folder, "bench-1", NOW)
    assert kept_ca(folder).pem == made.read_bytes()


def test_a_certificate_is_of_its_issuer_and_names_the_host_as_address_and_as_sip_uri() -> None:
    authority = new_authority("bench-1", NOW)
    made = server_certificate("192.0.2.1", now=NOW, issuer=authority).certificate
    made.verify_directly_issued_by(authority.certificate)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:192.0.2.1"]
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc


def test_an_expired_certificate_was_good_and_a_self_signed_one_is_its_own_issuer() -> None:
    authority = new_authority("bench-1", NOW)
    expired = server_certificate("phone.example", now=NOW, issuer=authority, expired=True).certificate
    assert expired.not_valid_before_utc < expired.not_valid_after_utc < NOW - timedelta(hours=1)
    own = server_certificate("phone.example", now=NOW, issuer=None).certificate
    own.verify_directly_issued_by(own)


def test_a_ca_that_is_missing_broken_or_has_another_key_is_an_error_of_the_lab(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=FOLDER_VARIABLE):
        kept_ca(None)
    with pytest.raises(LabError, match="assay-agent bench ca"):
        kept_ca(tmp_path)
    make_ca(tmp_path / "ca", "bench-1", NOW)
    other = new_authority("another", NOW)
    key = other.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca" / KEY_FILE).write_bytes(key)
    with pytest.raises(LabError, match="is not the key of"):
        kept_ca(tmp_path / "ca")
    (tmp_path / "ca" / CA_FILE).write_text("junk")
    with pytest.raises(LabError, match="cannot be read"):
        kept_ca(tmp_path / "ca")


def test_the_process_of_a_run_finds_the_ca_where_the_command_made_it(tmp_path: Path) -> None:
    environment = {WORK_VARIABLE: str(tmp_path), "SECRET": "x"}
    told = CliRunner().invoke(app, ["bench", "ca"], env=environment)
    assert told.exit_code == 0
    assert told.output.strip() == str(tmp_path / FOLDER / CA_FILE)
    folder = ca_folder(clean_environment(environment))
    assert folder == tmp_path / FOLDER
    assert kept_ca(folder).pem == Path(told.output.strip()).read_bytes()
    elsewhere = clean_environment({**environment, FOLDER_VARIABLE: "/elsewhere"})
    assert ca_folder(elsewhere) == Path("/elsewhere")
