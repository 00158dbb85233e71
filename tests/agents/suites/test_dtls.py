"""DTLS-SRTP of the reference phone, healthy and with each of its defects there: every one is found, and no other."""

import base64
from pathlib import Path

import pytest
from reference_bench import reference_on_bench, values_of

from agents.bench_ca import FOLDER_VARIABLE, make_ca
from agents.instruments.rtp import RtpPort
from agents.instruments.sdes import Crypto
from agents.suites.ip_phone import call, dtls, other_server
from lab_inventory.clock import SystemClock
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase

CASE = TestCase(id="TC-SEC-04", title="DTLS-SRTP", procedure="dtls-secured-audio", duration_s=15)
GOOD: dict[str, Value | None] = {
    "dtls_offered": True,
    "dtls_audio_as_caller": True,
    "dtls_audio_as_called": True,
    "dtls_fingerprint_checked": True,
    "dtls_nothing_in_clear": True,
}


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "ca"))
    monkeypatch.setattr(other_server, "SETTLES_S", 0.1)
    return make_ca(tmp_path / "ca", "tests", SystemClock().now())


UNHEARD = GOOD | {"dtls_audio_as_caller": False, "dtls_audio_as_called": False, "dtls_fingerprint_checked": None}


async def test_a_healthy_phone_is_seen_as_healthy_and_its_keys_stand_nowhere_in_evidence(
    ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters: set[bytes] = set()
    use_keys = RtpPort.use_keys

    def kept(port: RtpPort, *, own: Crypto, theirs: Crypto) -> None:
        masters.update((own.master, theirs.master))
        use_keys(port, own=own, theirs=theirs)

    monkeypatch.setattr(RtpPort, "use_keys", kept)
    async with reference_on_bench(tmp_path, ca=ca) as suite:
        assert await values_of(suite, CASE, tmp_path) == GOOD

    assert len(masters) >= 4  # of two calls, in both directions
    evidence = [file.read_bytes() for file in (tmp_path / "evidence").rglob("*") if file.is_file()]
    assert any(b"a=fingerprint:sha-256" in data for data in evidence)  # public, and kept for whoever looks again
    for master in masters:
        for part in (master, master[:16], master[16:]):
            told = (part, base64.b64encode(part).rstrip(b"="), part.hex().encode(), part.hex().upper().encode())
            assert not [form for form in told for data in evidence if form in data]


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        (("dtls-fingerprint-unchecked",), GOOD | {"dtls_fingerprint_checked": False}),
        (("dtls-sent-clear",), UNHEARD | {"dtls_nothing_in_clear": False}),
        (("dtls-fingerprint-wrong",), UNHEARD | {"dtls_nothing_in_clear": None}),
        (("dtls-unfinished",), UNHEARD | {"dtls_nothing_in_clear": None}),
    ],
)
async def test_dtls_of_a_phone_is_seen_as_it_is(
    ca: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    defects: tuple[str, ...],
    expected: dict[str, Value | None],
) -> None:
    if "dtls-unfinished" in defects:
        monkeypatch.setattr(dtls, "HANDSHAKE_TIMEOUT_S", 0.5)  # it would be waited for in vain twice
    if "dtls-sent-clear" in defects:
        monkeypatch.setattr(call, "FIRST_PACKET_S", 0.3)  # the same
    async with reference_on_bench(tmp_path, ca=ca, defects=defects) as suite:
        assert await values_of(suite, CASE, tmp_path) == expected
