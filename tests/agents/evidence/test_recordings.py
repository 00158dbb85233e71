"""The sound of calls as files: decoded, placed where its time stamps say, and bounded."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from agents.evidence.case_files import Heard
from agents.evidence.recordings import BYTES_MAX, FILES_MAX, SECONDS_MAX, recordings
from agents.instruments.audio import encode, tone
from agents.instruments.rtp import RtpPacket, SentFrame
from agents.instruments.sdp import G722, PCMA, PCMU, TELEPHONE_EVENT, AudioFormat
from lab_inventory.evidence.wav import read_wav

FORMATS = (PCMU, PCMA, G722, TELEPHONE_EVENT)
START = 2**32 - 480


def packets(frames: Sequence[bytes], format_: AudioFormat = PCMU, left_out: Sequence[int] = ()) -> list[RtpPacket]:
    return [
        RtpPacket(
            at_ns=9_000_000_000 + 20_000_000 * number,
            payload_type=format_.payload_type,
            marker=False,
            sequence=(65_534 + number) & 0xFFFF,
            timestamp=(START + 160 * number) & 0xFFFF_FFFF,
            ssrc=1,
            payload=frame,
        )
        for number, frame in enumerate(frames)
        if number not in left_out
    ]


def heard(came: Sequence[RtpPacket] = (), sent: Sequence[SentFrame] = (), **otherwise: Any) -> Heard:
    fields = {"call": "c", "address": ("127.0.0.1", 4000), "source": None, "sent_ns": (), "formats": FORMATS}
    return Heard(packets=came, sent=sent, **{**fields, **otherwise})


@pytest.mark.parametrize("format_", [PCMU, PCMA, G722], ids=lambda format_: format_.encoding)
def test_what_came_is_the_tone_that_was_sent(format_: AudioFormat) -> None:
    made = tone(format_.encoding, seconds=0.4, level_dbfs=-20)

    (file,) = recordings([heard(packets(encode(format_.encoding, made), format_))])

    sound = read_wav(file.data)
    assert file.name == f"audio received call 1 {format_.encoding}"
    assert len(sound.samples) == len(made)
    power = sum(sample * sample for sample in sound.samples) / len(sound.samples)
    assert 10 * math.log10(power / 32_768**2) == pytest.approx(-20, abs=0.7)


def test_what_was_lost_is_silence_in_its_place_also_where_the_numbers_wrap() -> None:
    frames = encode("PCMU", tone("PCMU", seconds=0.2))
    came = packets(frames, left_out=(4, 5))
    came[0], came[1] = came[1], came[0]

    (whole,) = recordings([heard(packets(frames))])
    (lossy,) = recordings([heard(came)])

    expected = read_wav(whole.data).samples
    expected[640:960] = type(expected)("h", [0] * 320)
    assert read_wav(lossy.data).samples == expected


def test_a_telephone_event_and_an_unknown_payload_are_no_sound() -> None:
    event = AudioFormat(payload_type=77, encoding="UNHEARD-OF")
    came = [*packets([bytes(4)], TELEPHONE_EVENT), *packets([bytes(160)], event)]

    assert recordings([heard(came, formats=(*FORMATS, event))]) == ()


def test_a_time_stamp_that_jumps_is_placed_by_when_it_came() -> None:
    came = packets(encode("PCMU", tone("PCMU", seconds=0.1)))
    last = came[-1]
    fields = {name: getattr(last, name) for name in RtpPacket.__slots__}
    came[-1] = RtpPacket(**fields | {"timestamp": (last.timestamp + 2**31) & 0xFFFF_FFFF})

    (file,) = recordings([heard(came)])

    assert len(read_wav(file.data).samples) == 800


def test_a_long_call_is_cut_and_says_so() -> None:
    (frame,) = encode("PCMU", tone("PCMU", seconds=0.02))
    sent = [SentFrame(20_000_000 * number, 160 * number, 0, frame) for number in range(0, 50 * 90, 10)]

    (file,) = recordings([heard(sent=sent)])

    assert file.name == "audio sent call 1 PCMU, first 60 s of 90"
    assert read_wav(file.data).duration_s == pytest.approx(SECONDS_MAX, abs=0.2)


def test_of_many_calls_so_many_are_kept_and_the_last_says_how_many_are_not() -> None:
    frames = encode("PCMU", tone("PCMU", seconds=0.4))
    calls = [heard(packets(frames[: number + 1])) for number in range(FILES_MAX + 4)]

    files = recordings(calls)

    assert len(files) == FILES_MAX
    assert files[-1].name.endswith("(4 more recordings are not kept)")
    assert sum(len(file.data) for file in files) < BYTES_MAX


def test_the_same_sound_in_two_calls_is_one_file_with_both_numbers() -> None:
    came = packets(encode("PCMU", tone("PCMU", seconds=0.1)))

    (file,) = recordings([heard(came), heard(came)])

    assert file.name == "audio received call 1 PCMU, call 2"


def test_what_was_sent_late_twice_or_out_of_order_stands_where_it_belongs() -> None:
    frames = encode("G722", tone("G722", seconds=0.1))
    sent = [SentFrame(20_000_000 * number, START + 160 * number, 9, frame) for number, frame in enumerate(frames)]
    sent = [SentFrame(one.at_ns, one.timestamp & 0xFFFF_FFFF, one.payload_type, one.payload) for one in sent]

    (plain,) = recordings([heard(sent=sent)])
    (impaired,) = recordings([heard(sent=[sent[0], sent[2], sent[1], sent[1], *sent[3:]])])

    assert impaired.data == plain.data
