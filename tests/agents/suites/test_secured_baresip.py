"""TLS and SRTP of a real phone program: what this version of it does right, and what it does not."""

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT, assignment, registration, slot

from agents.bench_ca import CA_FILE, FOLDER_VARIABLE, make_ca
from agents.measure import Recorder
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import PROCEDURES, open_phone_suite
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind
from lab_inventory.measurement import Measurement
from lab_inventory.messages import DeviceUnderTest
from lab_inventory.programme import TestCase

PHONE = Path(__file__).parents[3] / "deploy" / "demo" / "phones" / "phone-1"
INSTANCE = "b7430ca5-0000-4000-8000-000000000001"


def free_address(kind: int) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@asynccontextmanager
async def secured_phone(folder: Path, *, module: str = "srtp") -> AsyncIterator[PhoneSuite]:
    """The demo's phone, told to trust the bench's CA and with a module for SRTP."""
    configuration = folder / "configuration"
    shutil.copytree(PHONE, configuration)
    with (configuration / "config").open("a") as config:
        config.write(f"\nsip_cafile {folder / 'ca' / CA_FILE}\nmodule {module}.so\n")
    work = folder / "phone"
    work.mkdir()
    (work / "uuid").write_text(INSTANCE)
    place = slot("slot-1", registrar=free_address(socket.SOCK_DGRAM), control=free_address(socket.SOCK_STREAM))
    identity = Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{INSTANCE}")
    unit = registration(driver="baresip").model_copy(
        update={"identity": identity, "user_agent": "baresip v1.0.0 (x86_64/linux)"}
    )
    assigned = assignment(
        slot=place,
        dut=DeviceUnderTest(device="device-1", registration=unit),
        ics={"tls": True, "srtp.sdes": True, "srtp.dtls": True},
    )
    suite = await open_phone_suite(assigned, SystemClock())
    phone = BenchPhone(assigned.slot, configuration, work)
    try:
        await phone.start()
        await suite.identify_device()
        yield suite
    finally:
        await phone.stop()
        await suite.close()


async def measured(suite: PhoneSuite, procedure: str, folder: Path) -> dict[str, Measurement]:
    evidence = folder / "evidence"
    evidence.mkdir(exist_ok=True)
    recorder = Recorder(declared=PROCEDURES[procedure].measures, instrument=INSTRUMENT, folder=evidence)
    case = TestCase(id=procedure, title=procedure, procedure=procedure, duration_s=30.0)
    await suite.carry_out(case, recorder)
    return {found.quantity: found for found in recorder.measurements()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_ca(tmp_path / "ca", "tests", SystemClock().now())
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "ca"))
    return tmp_path


async def test_baresip_speaks_tls_and_srtp_takes_every_bad_certificate_and_no_second_key(folder: Path) -> None:
    async with secured_phone(folder) as suite:
        tls = await measured(suite, "tls-signalling", folder)
        secured = await measured(suite, "secured-audio", folder)
        again = await measured(suite, "incoming-call", folder)
    assert {quantity: found.value for quantity, found in tls.items()} == {
        "tls_1_2": True,
        "tls_1_3": True,
        "bad_certificates_rejected": False,
    }
    assert tls["bad_certificates_rejected"].note.count("TAKEN") == 4
    assert "TLS 1.0 and TLS 1.1" in tls["tls_1_3"].note
    assert {quantity: found.value for quantity, found in secured.items()} == {
        "sdes_offered": True,
        "secure_audio": True,
        "no_clear_rtp_when_mandatory": True,
        "rekeyed": False,
    }
    assert "does NOT hear the new key" in secured["rekeyed"].note
    assert again["audio_from_phone"].value is True  # the cases before left nothing behind


async def test_baresip_speaks_srtp_keyed_by_dtls_in_both_roles(folder: Path) -> None:
    async with secured_phone(folder, module="dtls_srtp") as suite:
        found = await measured(suite, "dtls-secured-audio", folder)
    assert {quantity: one.value for quantity, one in found.items()} == {
        "dtls_offered": True,
        "dtls_audio_as_caller": True,
        "dtls_audio_as_called": True,
        "dtls_fingerprint_checked": True,
        "dtls_nothing_in_clear": True,
    }
