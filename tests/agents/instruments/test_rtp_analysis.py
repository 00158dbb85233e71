"""What is read from a stream is what was built into it; and what tshark reads from the same capture."""

import random  # noqa: TID251 - seeded trains
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agents.evidence.pcapng import CapturedPacket, pcapng
from agents.instruments.rtp import RtpPacket, build_rtp
from agents.instruments.rtp_analysis import (
    disorder,
    jitter_ticks,
    longest_gap_ms,
    misplaced_markers,
    missing,
    timestamp_faults,
)
from agents.instruments.sender.impairment import Impairment, bursts
from agents.instruments.sender.plan import plan

EVENT = 101
START_NS = 1_790_000_000_000_000_000


def stream(number: int, *, first: int = 65_500, octets: int = 160) -> list[RtpPacket]:
    return [
        RtpPacket(
            at_ns=START_NS + index * 20_000_000,
            payload_type=0,
            marker=index == 0,
            sequence=(first + index) & 0xFFFF,
            timestamp=(0xFFFF_FF00 + index * octets) & 0xFFFF_FFFF,
            ssrc=0xABCD,
            payload=bytes(octets),
        )
        for index in range(number)
    ]


def test_a_right_stream_over_both_wraps_has_no_fault() -> None:
    packets = stream(100)
    assert missing(packets) == 0
    assert disorder(packets) == (0, 0)
    assert timestamp_faults(packets, 0) == ()
    assert misplaced_markers(packets, 0) == 0
    assert max(jitter_ticks(packets, 0)) == 0
    assert longest_gap_ms(packets, packets[0].at_ns, packets[-1].at_ns + 1) == 20


def test_a_wrong_step_is_told_and_one_over_a_lost_packet_is_not() -> None:
    packets = stream(10)
    packets[5] = replace(packets[5], timestamp=packets[5].timestamp + 8)
    assert timestamp_faults(packets, 0) == ("168 ticks after 160 octets", "152 ticks after 160 octets")
    assert timestamp_faults([*packets[:5], *packets[6:]], 0) == ()


def test_time_that_passes_before_a_marker_is_silence_and_no_fault() -> None:
    packets = stream(4)
    later = [replace(packet, timestamp=(packet.timestamp + 8000) & 0xFFFF_FFFF) for packet in packets[2:]]
    assert timestamp_faults([*packets[:2], replace(later[0], marker=True), later[1]], 0) == ()
    assert len(timestamp_faults([*packets[:2], *later], 0)) == 1


def test_a_marker_without_silence_before_it_is_misplaced_and_one_after_an_event_is_not() -> None:
    packets = stream(6)
    packets[2] = replace(packets[2], marker=True)
    packets[3] = replace(packets[3], payload_type=EVENT, payload=bytes(4))
    packets[4] = replace(packets[4], marker=True)
    assert misplaced_markers(packets, 0) == 1


def test_events_use_up_numbers_so_that_they_are_no_loss() -> None:
    packets = stream(10)
    packets[4] = replace(packets[4], payload_type=EVENT, payload=bytes(4))
    assert missing(packets) == 0
    assert missing([*packets[:4], *packets[5:]]) == 1


def test_what_overtakes_and_what_comes_twice_is_counted() -> None:
    packets = stream(6)
    swapped = [packets[0], packets[2], packets[1], packets[3], packets[3], packets[4]]
    assert disorder(swapped) == (1, 1)


def test_silence_before_the_first_and_after_the_last_packet_is_a_gap() -> None:
    packets = stream(3)
    since_ns = START_NS - 50_000_000
    assert longest_gap_ms(packets, since_ns, packets[-1].at_ns + 1) == 50
    assert longest_gap_ms(packets, START_NS, packets[-1].at_ns + 500_000_000) == 500
    assert longest_gap_ms([], START_NS, START_NS + 1_000_000) == 1


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (package tshark)")
@pytest.mark.parametrize(
    ("seed", "loss", "jitter_s", "event"), [(1, 0.0, 0.002, False), (2, 0.05, 0.015, False), (3, 0.05, 0.015, True)]
)
def test_tshark_finds_the_same_loss_jitter_and_gap_in_the_same_capture(
    tmp_path: Path, seed: int, loss: float, jitter_s: float, event: bool
) -> None:
    chance = random.Random(seed)
    packets = [
        replace(packet, at_ns=packet.at_ns + round(chance.uniform(0, jitter_s) * 1e9))
        for packet in stream(500, first=100)
    ]
    if event:  # a key in the middle: eight packets with one time stamp and their own numbers
        packets[250:258] = [
            replace(packet, payload_type=EVENT, marker=packet is packets[250], timestamp=packets[250].timestamp,
                    payload=bytes((5, 0x80 if packet.sequence > packets[254].sequence else 0, 3, 232)))
            for packet in packets[250:258]
        ]  # fmt: skip
    came = [
        packet
        for number, packet in enumerate(packets)
        if number in (0, 499) or 250 <= number < 258 or chance.random() >= loss
    ]
    came.sort(key=lambda packet: packet.at_ns)

    theirs = tshark_stream(came, tmp_path)
    assert theirs["packets"] == len(came)
    assert theirs["lost"] == missing(came) == 500 - len(came)
    if not event:  # into its jitter tshark takes events in, whose time stamps stand still
        ours_ms = [ticks / 8 for ticks in jitter_ticks(came, 0)]
        assert theirs["jitter_ms_max"] == pytest.approx(max(ours_ms), abs=0.002)
        assert theirs["jitter_ms_mean"] == pytest.approx(sum(ours_ms) / len(ours_ms), abs=0.02)
    gap_ms = longest_gap_ms(came, came[0].at_ns, came[-1].at_ns + 1)
    assert theirs["gap_ms_max"] == pytest.approx(gap_ms, abs=0.002)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (package tshark)")
@pytest.mark.parametrize("drift_ppm", [0, 400])
def test_tshark_finds_in_a_planned_stream_what_the_plan_did(tmp_path: Path, drift_ppm: float) -> None:
    burst = bursts(loss=0.02, burst_packets=3)
    what = Impairment(loss=0.01, burst=burst, jitter_ms=25, reorder=0.02, duplicate=0.02, drift_ppm=drift_ppm)
    sent = plan(500, what, seed=4)
    whole = stream(500, first=100)
    came = [replace(whole[one.number], at_ns=START_NS + one.offset_ns) for one in sent.sendings]

    theirs = tshark_stream(came, tmp_path)

    assert len(sent.lost) and len(sent.held_back) and len(sent.duplicated) and not {0, 499} & set(sent.lost)
    assert theirs["packets"] == len(sent.sendings)
    assert theirs["lost"] == len(sent.lost) - len(sent.duplicated)  # it holds what came against what was expected
    assert theirs["jitter_ms_max"] == pytest.approx(max(sent.jitter_ms()), abs=0.002)
    assert theirs["jitter_ms_mean"] == pytest.approx(sum(sent.jitter_ms()) / len(sent.jitter_ms()), abs=0.02)


def tshark_stream(packets: list[RtpPacket], folder: Path) -> dict[str, float]:
    """The statistics of the one RTP stream in a capture of these packets."""
    captured = [
        CapturedPacket(
            wall_ns=packet.at_ns,
            source=("127.0.0.2", 4000),
            destination=("127.0.0.1", 5000),
            payload=build_rtp(
                payload_type=packet.payload_type,
                marker=packet.marker,
                sequence=packet.sequence,
                timestamp=packet.timestamp,
                ssrc=packet.ssrc,
                payload=packet.payload,
            ),
        )
        for packet in packets
    ]
    file = folder / "stream.pcapng"
    file.write_bytes(pcapng(captured, interface="i", application="a", comment="c"))
    # Its type of events is told by no description here, so that tshark is told.
    command = ["tshark", "-r", str(file), "-d", "udp.port==5000,rtp", "-q", "-z", "rtp,streams"]
    command += ["-o", f"rtpevent.event_payload_type_value:{EVENT}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    (line,) = [line for line in done.stdout.splitlines() if "127.0.0.2" in line]
    words = line.split()
    share = next(place for place, word in enumerate(words) if word.endswith("%)"))  # as in: 477 23 (4.6%) 6.062
    names = ("packets", "lost", "", "", "", "gap_ms_max", "", "jitter_ms_mean", "jitter_ms_max")
    numbers = [*words[share - 2 : share], "0", *words[share + 1 : share + 7]]
    return {name: float(number) for name, number in zip(names, numbers, strict=True) if name}
