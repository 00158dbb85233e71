from array import array
from collections.abc import Iterable

import pytest

from agents.instruments import self_check
from agents.instruments.audio import decode
from agents.instruments.packets import Packet, PacketPort
from agents.instruments.registrar import Registrar
from agents.instruments.rtp import RtpPort
from agents.instruments.self_check import LIMITS, SelfCheck, check_bench
from lab_inventory.clock import SystemClock


async def a_check() -> SelfCheck:
    return await check_bench("127.0.0.1", clock=SystemClock(), instrument="sip-endpoint")


async def test_a_sound_bench_measures_everything_it_has_a_limit_for() -> None:
    check = await a_check()

    assert [measured.quantity for measured in check.measurements] == list(LIMITS)
    assert all(measured.value is not None for measured in check.measurements)
    # Not `passed`: on a loaded machine the bench may honestly be outside its timing limits.
    slow = ("pacing_sd_ms", "loop_lateness_ms", "timer_error_ms", "receive_time_error_ms")
    assert [fault for fault in check.faults if not fault.startswith(slow)] == []


async def test_a_bench_that_loses_packets_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RtpPort._on_packet

    def lossy(port: RtpPort, packet: Packet) -> None:
        if packet.data[3] % 8:
            whole(port, packet)

    monkeypatch.setattr(RtpPort, "_on_packet", lossy)
    check = await a_check()

    assert any(fault.startswith("packets_missing") for fault in check.faults)


async def test_a_bench_whose_receive_times_are_wrong_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PacketPort._receive_time_ns
    monkeypatch.setattr(PacketPort, "_receive_time_ns", lambda port, ancillary: right(port, ancillary) + 5_000_000)
    check = await a_check()

    assert any(fault.startswith("receive_time_error_ms") for fault in check.faults)


async def test_a_bench_that_takes_every_password_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.instruments.digest.hmac.compare_digest", lambda *_: True)
    check = await a_check()

    assert "wrong_password_refused is False bool, asked is yes" in check.faults


async def test_a_bench_whose_codec_is_too_quiet_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    right = decode

    def too_quiet(encoding: str, frames: Iterable[bytes]) -> "array[int]":
        return array("h", (sample // 2 for sample in right(encoding, frames)))

    monkeypatch.setattr(self_check, "decode", too_quiet)
    check = await a_check()

    assert any(fault.startswith("tone_level_error_db") for fault in check.faults)


async def test_a_bench_whose_registrar_does_not_answer_leaves_values_open_and_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(*_: object) -> tuple[int, bytes]:
        raise OSError("no")

    monkeypatch.setattr(Registrar, "bindings", silent)
    check = await a_check()

    assert "call_works could not be measured" in check.faults
    assert any(fault.startswith("check signalling") for fault in check.faults)


async def test_a_host_address_that_is_not_ours_is_a_fault_and_no_crash() -> None:
    check = await check_bench("192.0.2.1", clock=SystemClock(), instrument="sip-endpoint")

    assert not check.passed
    assert any("192.0.2.1" in fault for fault in check.faults)
