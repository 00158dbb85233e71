"""A third party's phone program at a virtual sound card: what it plays is heard behind its jitter buffer."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.instruments.sound.playout import SoundCard, sound_card
from agents.measure import LabError, Recorder
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import PROCEDURES, open_phone_suite
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind, Product, Registration
from lab_inventory.lab import Account, Calibration, Instrument, Slot, UnitLabel
from lab_inventory.measurement import Value
from lab_inventory.messages import Assignment, DeviceUnderTest
from lab_inventory.programme import TestCase
from tests.ports import free_ports
from tests.virtual_card import needs_card

PHONE = Path(__file__).parents[2] / "deploy" / "demo" / "phones" / "phone-1"
INSTRUMENT = Instrument(name="sip-endpoint", kind="sip-rtp", calibration=Calibration(method="own check"))
BOTH_WAYS = TestCase(
    id="TC-MED-05", title="Sound", procedure="handset-sound", duration_s=15, parameters={"tone_s": 2.5, "window_s": 3}
)
BAD_NETWORK = TestCase(
    id="TC-MED-18",
    title="Bad network",
    procedure="impaired-sound",
    duration_s=20,
    parameters={"window_s": 3, "seeds": 2, "network": "poor-call"},
)
TRIES = 3
"""A machine that is too busy for the card breaks what is heard: that is the lab's, and is measured again."""


def an_assignment() -> Assignment:
    registrar, control, audio = (f"127.0.0.1:{port}" for port in free_ports(3))
    slot = Slot(
        name="slot-1",
        category="ip-phone",
        registrar=registrar,
        account=Account(user="1001", password="quiet-secret"),
        control=control,
        audio=audio,
        unit=UnitLabel(hardware_revision="A", mode="wideband"),
    )
    unit = Registration(
        identity=Identity(kind=IdentityKind.SIP_INSTANCE, value="urn:uuid:b7430ca5-0000-4000-8000-000000000001"),
        product=Product(maker="baresip", model="baresip", firmware="1.0.0"),
        category="ip-phone",
        hardware_revision="A",
        mode="wideband",
        slot=slot.name,
        driver="baresip",
        user_agent="baresip v1.0.0 (x86_64/linux)",
        seen_at=SystemClock().now(),
    )
    return Assignment(
        run="run-1", attempt=1, submission="submission-1", host="host-a", bench="bench-a", slot=slot,
        instruments=(INSTRUMENT,), dut=DeviceUnderTest(device="device-1", registration=unit),
        programme="skype-for-business.ip-phone", programme_digest="sha256:" + "0" * 64, suite="signalling-and-media",
        cases=(BOTH_WAYS, BAD_NETWORK), ics={"codec.g722": True}, ixit={},
        epochs={"device:device-1": 1, "slot:slot-1": 1}, ttl_s=900.0, deadline_s=600.0,
    )  # fmt: skip


@asynccontextmanager
async def at_the_card(folder: Path, card: SoundCard) -> AsyncIterator[PhoneSuite]:
    """The phone program plays to the card and records from it, and the bench is at its other side."""
    assigned = an_assignment()
    configuration, work = folder / "configuration", folder / "phone"
    shutil.copytree(PHONE, configuration)
    config = (configuration / "config").read_text()
    for was, becomes in (
        ("aufile,$microphone", "alsa,mouth"), ("aubridge,$name", "alsa,ear"), ("aubridge.so", "alsa.so"),
    ):  # fmt: skip
        assert was in config
        config = config.replace(was, becomes)
    (configuration / "config").write_text(config)
    command = ["agents.cli", "bench", "sound", assigned.slot.audio or "", "--playback", "spoken", "--capture", "heard"]
    interface = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, env=os.environ | card.environment)
    phone = BenchPhone(assigned.slot.model_copy(update={"audio": None}), configuration, work)
    suite = await open_phone_suite(assigned, SystemClock())
    try:
        await phone.start()
        await suite.identify_device()  # waits until it has registered
        yield suite
    finally:
        await phone.stop()
        await suite.close()
        interface.terminate()
        await interface.wait()


async def values(suite: PhoneSuite, case: TestCase, folder: Path) -> dict[str, Value | None]:
    for left in reversed(range(TRIES)):
        recorder = Recorder(declared=PROCEDURES[case.procedure].measures, instrument=INSTRUMENT, folder=folder)
        try:
            await suite.carry_out(case, recorder)
        except LabError:
            if not left:
                raise
            continue
        found = {one.quantity: one.value for one in recorder.measurements()}
        if None not in found.values() or not left:
            break
    return found


@needs_card
async def test_a_phone_program_is_heard_behind_its_jitter_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not its delay: a sound server does not tell when its monitor hears (docs/how-to/audio-port.md)."""
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    with sound_card(tmp_path, rate_hz=16_000) as card:
        for name, value in card.environment.items():
            monkeypatch.setenv(name, value)
        async with at_the_card(tmp_path, card) as suite:
            heard = await values(suite, BOTH_WAYS, evidence)
            bad = await values(suite, BAD_NETWORK, evidence)

    assert heard["receive_level_error_db"] < 0.5  # type: ignore[operator]
    assert heard["receive_harmonics_percent"] < 1  # type: ignore[operator]
    assert heard["receive_noise_percent"] < 2  # type: ignore[operator]
    for way in ("send", "receive"):
        assert heard[f"{way}_upper_band_loss_db"] < 3  # type: ignore[operator]
    assert (heard["heard_after_hold"], heard["sent_after_hold"]) == (True, True)
    assert bad["impaired_interruption_ms"] < 100  # type: ignore[operator]
    assert bad["impaired_snr_fall_db"] > 0.5  # type: ignore[operator]
