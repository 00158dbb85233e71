"""TLS and SRTP of the reference phone, healthy and with each of its defects there: every one is found, and no other."""

from pathlib import Path

import pytest
from reference_bench import reference_on_bench, values_of

from agents.bench_ca import FOLDER_VARIABLE, make_ca
from agents.suites.ip_phone import other_server, srtp
from lab_inventory.clock import SystemClock
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase

TLS = TestCase(id="TC-SEC-01", title="TLS", procedure="tls-signalling", duration_s=30)
SRTP = TestCase(id="TC-SEC-02", title="SRTP", procedure="secured-audio", duration_s=25)
GOOD_TLS: dict[str, Value | None] = {"tls_1_2": True, "tls_1_3": True, "bad_certificates_rejected": True}
GOOD_SRTP: dict[str, Value | None] = {
    "sdes_offered": True,
    "secure_audio": True,
    "no_clear_rtp_when_mandatory": True,
    "rekeyed": True,
}


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "ca"))
    monkeypatch.setattr(other_server, "SETTLES_S", 0.1)
    return make_ca(tmp_path / "ca", "tests", SystemClock().now())


async def test_a_healthy_phone_is_seen_as_healthy(ca: Path, tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, ca=ca) as suite:
        assert await values_of(suite, TLS, tmp_path) == GOOD_TLS
        assert await values_of(suite, SRTP, tmp_path) == GOOD_SRTP


@pytest.mark.parametrize("defect", ["tls-any-certificate", "tls-expired", "tls-wrong-host"])
async def test_a_phone_that_takes_bad_certificates_is_found(ca: Path, tmp_path: Path, defect: str) -> None:
    async with reference_on_bench(tmp_path, ca=ca, defects=[defect]) as suite:
        assert await values_of(suite, TLS, tmp_path) == GOOD_TLS | {"bad_certificates_rejected": False}


@pytest.fixture
def _without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srtp, "REPORT_TIMEOUT_S", 0.1)  # they take seconds, and what is tried here needs none


async def test_a_phone_that_does_not_take_another_key_is_found(ca: Path, tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, ca=ca, defects=["srtp-old-key-kept"]) as suite:
        assert await values_of(suite, SRTP, tmp_path) == GOOD_SRTP | {"rekeyed": False}


@pytest.mark.usefixtures("_without_reports")
async def test_a_phone_whose_reports_do_not_come_has_not_shown_that_it_takes_another_key(
    ca: Path, tmp_path: Path
) -> None:
    async with reference_on_bench(tmp_path, ca=ca, defects=["rtcp-absent"]) as suite:
        assert await values_of(suite, SRTP, tmp_path) == GOOD_SRTP | {"rekeyed": None}


@pytest.mark.usefixtures("_without_reports")
async def test_a_phone_that_agrees_on_keys_and_sends_in_clear_is_found(ca: Path, tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, ca=ca, defects=["srtp-sent-clear"]) as suite:
        found = await values_of(suite, SRTP, tmp_path)
    assert found == GOOD_SRTP | {"secure_audio": False, "no_clear_rtp_when_mandatory": False, "rekeyed": False}


@pytest.mark.usefixtures("_without_reports")
async def test_a_phone_that_takes_audio_in_clear_where_it_must_not_is_found(ca: Path, tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path, ca=ca, defects=["srtp-not-mandatory", "rtcp-absent"]) as suite:
        assert await values_of(suite, SRTP, tmp_path) == GOOD_SRTP | {
            "no_clear_rtp_when_mandatory": False,
            "rekeyed": None,
        }
