import asyncio
import os
import re
import shutil
import socket
import wave
from itertools import pairwise
from pathlib import Path

import pytest
from phone_wire import PHONES, phone_at_wire, value_of

from agents.processes import mark_of
from agents.simulated.baresip_phone import CALL_LONGEST_S, BaresipPhone
from agents.simulated.microphone import TONE_HZ, write_microphone
from lab_inventory.errors import BadInput, Unavailable
from lab_inventory.shipped import shipped_programmes
from tests.ports import free_port


def phone_in(work: Path, *, configuration: Path = PHONES / "phone-1", **values: str) -> BaresipPhone:
    given = {"registrar": "127.0.0.1:9", "outbound": "127.0.0.1:9", "control": f"127.0.0.1:{free_port()}"}
    given |= {"user": "1001", "password": "x", "sip_port": str(free_port())}
    return BaresipPhone("dut", configuration, work, given | {"rtp_first": "10000", "rtp_last": "19999"} | values)


async def _instance(work: Path) -> str:
    async with phone_at_wire(work) as at:
        said = next(seen.data for seen in at.wire.sip.seen if seen.data.startswith(b"REGISTER"))
        found = re.search(r'\+sip\.instance="(<urn:uuid:[^"]+>)"', value_of(said, "Contact"))
        assert found
        return found[1]


async def test_a_phone_has_an_identity_of_its_own_that_outlives_a_restart(tmp_path: Path) -> None:
    first = await _instance(tmp_path / "one")
    assert await _instance(tmp_path / "one") == first
    assert await _instance(tmp_path / "other") != first


async def test_stopping_a_phone_takes_its_registration_back_and_leaves_no_process(tmp_path: Path) -> None:
    async with phone_at_wire(tmp_path) as at:
        pid = at.phone.pid
        assert pid is not None
        await at.phone.stop()
        assert at.phone.pid is None
        assert mark_of(pid) is None
        await at.wire.sip.wait_for(lambda data: "expires=0" in value_of(data, "Contact"))


@pytest.mark.parametrize(
    ("kind", "codecs"), [("phone-1", "9 0 8 101"), ("phone-2", "0 8 101"), ("phone-3", "9 0 8 101")]
)
async def test_a_mode_is_what_the_phone_offers(tmp_path: Path, kind: str, codecs: str) -> None:
    async with phone_at_wire(tmp_path, kind=kind) as at:
        await at.driver.dial(f"sip:bench@{at.wire.registrar}")
        invite = await at.wire.sip.wait_for(lambda data: data.startswith(b"INVITE "))
        assert re.search(rb"m=audio \d+ RTP/AVP ([\d ]+)", invite.data)[1].decode() == codecs  # type: ignore[index]


def test_the_microphone_lasts_for_the_longest_call_of_a_programme() -> None:
    parameters = [case.parameters for one in shipped_programmes() for suite in one.suites for case in suite.cases]
    longest_s = max(float(given.get("call_s", given.get("window_s", 0))) for given in parameters)
    assert 600 <= longest_s < CALL_LONGEST_S - 30


async def test_no_program_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="baresip-core"):
        await phone_in(tmp_path).start()


async def test_a_taken_control_port_is_told_before_the_program_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        phone = phone_in(tmp_path, control=f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(Unavailable, match="taken"):
            await phone.start()
        assert phone.pid is None


async def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        phone = phone_in(tmp_path, sip_port=str(other.getsockname()[1]))
        with pytest.raises(Unavailable, match=r"ended at once.*Address already in use"):
            await phone.start()
        assert phone.pid is None


async def test_a_name_that_is_not_filled_in_is_told_with_its_file(tmp_path: Path) -> None:
    shutil.copytree(PHONES / "phone-1", tmp_path / "phone")
    (tmp_path / "phone" / "accounts").write_text("<sip:$nobody@$registrar>")
    with pytest.raises(BadInput, match=r"accounts.*nobody"):
        await phone_in(tmp_path / "work", configuration=tmp_path / "phone").start()


async def test_a_directory_without_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="config"):
        await phone_in(tmp_path / "work", configuration=tmp_path).start()


async def test_a_phone_wakes_punctually_where_the_system_allows_it(tmp_path: Path) -> None:
    phone = phone_in(tmp_path)
    assert phone.schedule is None
    await phone.start()
    try:
        assert phone.schedule == ("real-time" if _may_be_real_time() else "ordinary")
    finally:
        await phone.stop()


def _may_be_real_time() -> bool:
    """Asked of a child, so that this process keeps its schedule."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


async def test_two_stops_are_as_good_as_one(tmp_path: Path) -> None:
    phone = phone_in(tmp_path)
    await phone.start()
    await asyncio.gather(phone.stop(), phone.stop())
    await phone.stop()


def test_the_microphone_hears_a_tone_of_speech_level_for_the_whole_time(tmp_path: Path) -> None:
    write_microphone(tmp_path / "m.wav", rate_hz=8000, seconds=3)
    with wave.open(str(tmp_path / "m.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert file.getnframes() == 3 * 8000
        samples = memoryview(file.readframes(24000)).cast("h").tolist()
    rms = (sum(sample**2 for sample in samples) / len(samples)) ** 0.5
    assert 0.099 < rms / 32768 < 0.101
    crossings = sum(before < 0 <= after for before, after in pairwise(samples))
    assert abs(crossings / 3 - TONE_HZ) < 2
