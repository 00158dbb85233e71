"""The packets of a sound interface, without a card."""

import struct

import numpy as np
import pytest

from agents.instruments.audio_port import FRAME_SAMPLES as FRAME
from agents.sound_interface.jack import KEPT, LEAD, UNPLUGGED_AFTER, Frames, Jack

BENCH, OTHER = ("127.0.0.1", 4000), ("127.0.0.1", 4001)
FIRST = 0xFFFF_FF00
"""A time stamp that turns over within a packet."""


def packet(number: int, level: int = 1000, payload_type: int = 96, size: int = FRAME) -> bytes:
    header = struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, FIRST + FRAME * number & 0xFFFF_FFFF, 7)
    return header + np.full(size, level, dtype=">i2").tobytes()


def a_jack(gain_out: float = 1.0, gain_in: float = 1.0, late: int = 0) -> Jack:
    return Jack(source=9, gain_out=gain_out, gain_in=gain_in, late=late)


SOUND: Frames = np.arange(FRAME, dtype=np.int16)


def test_the_first_packet_is_played_after_the_lead_and_the_others_where_their_time_stamps_say() -> None:
    jack = a_jack()
    for number, level in ((0, 100), (2, 300), (1, 200)):
        jack.take(packet(number, level), BENCH, now=50)

    whole = jack.spoken(50, LEAD + 4 * FRAME)

    assert not whole[:LEAD].any()
    assert [int(level) for level in whole[LEAD::FRAME]] == [100, 200, 300, 0]
    assert not jack.spoken(50, LEAD + 4 * FRAME).any()  # once


def test_what_is_heard_goes_back_with_its_place_on_the_benchs_own_clock() -> None:
    jack = a_jack()
    jack.take(packet(0), BENCH, now=50)

    sent = jack.heard(SOUND, 50 + LEAD + 640)

    assert sent is not None
    data, peer = sent
    assert peer == BENCH
    assert struct.unpack_from("!BBHII", data) == (0x80, 96, 1, FIRST + 640 & 0xFFFF_FFFF, 9)
    assert np.array_equal(np.frombuffer(data[12:], dtype=">i2"), SOUND)


def test_nobody_is_told_before_somebody_plugs_in_nor_after_the_plug_is_out() -> None:
    jack = a_jack()
    assert jack.heard(SOUND, 0) is None
    jack.take(packet(0), BENCH, now=0)
    end = LEAD + FRAME

    assert jack.heard(SOUND, end + UNPLUGGED_AFTER - 1) is not None
    assert jack.heard(SOUND, end + UNPLUGGED_AFTER) is None


def test_whoever_plugs_in_next_begins_anew() -> None:
    jack = a_jack()
    jack.take(packet(0), BENCH, now=0)
    jack.take(packet(100, 500), OTHER, now=1000)

    whole = jack.spoken(0, 1000 + LEAD + FRAME)

    assert not whole[: 1000 + LEAD].any()
    assert set(whole[1000 + LEAD :].tolist()) == {500}
    sent = jack.heard(SOUND, 2000)
    assert sent is not None
    assert sent[1] == OTHER


@pytest.mark.parametrize(
    "data",
    [b"", packet(1)[:-2], packet(1, payload_type=0), b"\x90" + packet(1)[1:], packet(1, size=FRAME + 1)],
)
def test_what_is_no_packet_of_the_bench_plugs_nobody_in(data: bytes) -> None:
    jack = a_jack()
    jack.take(data, BENCH, now=0)

    assert jack.heard(SOUND, 0) is None


@pytest.mark.parametrize("number", [-20, KEPT // FRAME])
def test_what_is_too_late_or_much_too_early_is_not_played(number: int) -> None:
    jack = a_jack()
    jack.take(packet(0, 0), BENCH, now=0)
    jack.take(packet(number), BENCH, now=LEAD)

    assert not jack.spoken(0, KEPT).any()


def test_gains_are_applied_each_in_its_direction_and_cut_at_full_scale() -> None:
    jack = a_jack(gain_out=2.0, gain_in=0.5)
    jack.take(packet(0, 20_000), BENCH, now=0)

    assert set(jack.spoken(LEAD, FRAME).tolist()) == {32_767}
    sent = jack.heard(SOUND, LEAD)
    assert sent is not None
    assert np.frombuffer(sent[0][12:], dtype=">i2")[100] == 50


def test_the_delay_of_the_card_itself_is_taken_off_where_it_is_known() -> None:
    jack = a_jack(late=80)
    jack.take(packet(0), BENCH, now=0)

    sent = jack.heard(SOUND, LEAD + 80)

    assert sent is not None
    assert struct.unpack_from("!BBHII", sent[0])[3] == FIRST
