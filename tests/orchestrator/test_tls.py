"""The server's certificate and key as they are read, where it may listen, and who is believed of forwarded headers."""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lab_inventory.clock import ManualClock, SystemClock
from lab_inventory.errors import BadInput
from orchestrator.api.proxies import BehindProxies
from orchestrator.doctor import Finding, examine
from orchestrator.lab_ca import Files, make
from orchestrator.settings import Settings, read_settings
from orchestrator.tls import pair_of, read_pair, require_safe_to_listen, server_context

NOW = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return make(tmp_path / "tls", ["lab.example", "10.0.0.1"], NOW)


def settings(tmp_path: Path, **given: Any) -> Settings:
    return Settings(data=tmp_path / "data", **given)


def test_a_good_pair_tells_its_names_and_its_end(files: Files) -> None:
    pair = read_pair(files.certificate, files.key, NOW)
    assert pair.names == ("lab.example", "localhost", "10.0.0.1", "127.0.0.1", "::1")
    assert pair.expires_at == NOW + timedelta(days=397)
    server_context(pair)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.certificate.unlink(), "server.pem: the certificate cannot be read: No such file"),
        (lambda f: f.key.unlink(), "server.key: the key cannot be read: No such file"),
        (lambda f: f.certificate.write_text("x"), "is no certificate; expected PEM"),
        (lambda f: f.key.write_text("x"), "is no private key; expected PEM"),
        (lambda f: f.key.write_bytes(f.ca_key.read_bytes()), "they do not belong together"),
        (lambda f: f.key.chmod(0o644), "everybody on this machine can read it; chmod 600"),
        (lambda f: f.certificate.write_bytes(f.ca.read_bytes()), "they do not belong together"),
    ],
)
def test_what_is_wrong_with_the_files_is_told_with_the_file(files: Files, spoil: Any, words: str) -> None:
    spoil(files)
    with pytest.raises(BadInput, match=words):
        read_pair(files.certificate, files.key, NOW)


def test_a_key_with_a_passphrase_is_refused(files: Files) -> None:
    encrypt = ["openssl", "pkey", "-in", str(files.key), "-aes256", "-passout", "pass:x", "-out", str(files.key) + "2"]
    subprocess.run(encrypt, check=True, capture_output=True)
    Path(str(files.key) + "2").chmod(0o600)
    with pytest.raises(BadInput, match="the key is encrypted; expected one without a passphrase"):
        read_pair(files.certificate, Path(str(files.key) + "2"), NOW)


def test_one_that_is_out_of_date_is_refused_with_its_dates(files: Files) -> None:
    with pytest.raises(BadInput, match=r"expired on 2027-02-02 00:00 UTC; renew it"):
        read_pair(files.certificate, files.key, NOW + timedelta(days=398))
    with pytest.raises(BadInput, match=r"is not good before 2025-12-31 00:00 UTC, and this machine's clock"):
        read_pair(files.certificate, files.key, NOW - timedelta(days=2))


def test_other_machines_are_listened_to_over_tls_or_where_somebody_said_that_it_is_safe(
    tmp_path: Path, files: Files
) -> None:
    for host in ("0.0.0.0", "10.0.0.1", "::", "lab.example"):  # noqa: S104
        with pytest.raises(BadInput, match=r"Set ASSAY_TLS_CERTIFICATE and ASSAY_TLS_KEY .'assay tls make NAME' makes"):
            require_safe_to_listen(settings(tmp_path, host=host))
        for given in (
            {"tls_certificate": files.certificate, "tls_key": files.key},
            {"tls_proxies": "10.0.0.5, 10.1.0.0/24"},
            {"trusted_network": True},
        ):
            require_safe_to_listen(settings(tmp_path, host=host, **given))
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        require_safe_to_listen(settings(tmp_path, host=host))


def test_a_certificate_without_a_key_and_a_proxy_that_is_no_address_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read_settings(data=tmp_path, tls_certificate=tmp_path / "c")
    assert "both or neither" in str(refused.value)
    with pytest.raises(BadInput) as refused:
        read_settings(data=tmp_path, tls_proxies="the-proxy")
    assert "ASSAY_TLS_PROXIES" in str(refused.value)


def found(tmp_path: Path, files: Files, now: datetime) -> Finding:
    chosen = settings(tmp_path, tls_certificate=files.certificate, tls_key=files.key, port=1)
    return next(one for one in examine(chosen, ManualClock(now)) if one.check == "tls")


def test_doctor_tells_the_end_of_the_certificate_and_is_not_well_thirty_days_before(
    tmp_path: Path, files: Files
) -> None:
    well = found(tmp_path, files, NOW + timedelta(days=366))
    assert (well.ok, "good until 2027-02-02" in well.detail) == (True, True)
    soon = found(tmp_path, files, NOW + timedelta(days=368))
    assert (soon.ok, "29 days: renew it ('assay tls renew')" in soon.detail) == (False, True)
    assert not found(tmp_path, files, NOW + timedelta(days=400)).ok


async def told(client: tuple[str, int], scheme: str = "http", **headers: str) -> httpx.Response:
    async def tell(request: Request) -> JSONResponse:
        return JSONResponse({"address": request.client.host if request.client else "", "scheme": request.url.scheme})

    app = BehindProxies(Starlette(routes=[Route("/", tell)]), ["10.0.0.5", "10.1.0.0/24"])
    transport = httpx.ASGITransport(app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://test") as http:
        return await http.get("/", headers=headers)


FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


async def test_a_proxy_that_is_listed_is_believed_about_its_clients() -> None:
    for proxy in ("10.0.0.5", "10.1.0.200"):
        assert (await told((proxy, 1), **FORWARDED)).json() == {"address": "192.0.2.7", "scheme": "https"}


async def test_who_is_no_proxy_is_not_believed_and_not_served_in_the_clear() -> None:
    past = await told(("10.0.0.6", 1), **FORWARDED)
    assert (past.status_code, "through its proxy" in past.json()["detail"]) == (403, True)
    here = await told(("127.0.0.1", 1), **FORWARDED)
    assert here.json() == {"address": "127.0.0.1", "scheme": "http"}


def test_settings_without_tls_have_no_pair(tmp_path: Path) -> None:
    assert pair_of(settings(tmp_path), SystemClock().now()) is None
