"""Opus by the system's library: what is encoded comes back, what is no Opus is told, and the length is read twice."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import libopus
from agents.instruments.audio import decode, encode, level_dbfs, tone, tone_share
from agents.instruments.opus import decode_opus, encode_opus, opus_bit_rate, opus_ticks
from agents.libopus import MalformedOpus, OpusDecoder, OpusMissing
from tests.agents.instruments.garbled import fuzzed

RATE_HZ = 48_000


def test_a_tone_survives_opus_with_its_level() -> None:
    frames = encode("OPUS", tone("OPUS", seconds=1.0, level_dbfs=-20.0))

    heard = decode("OPUS", frames)[RATE_HZ // 10 :]

    assert len(frames) == 50
    assert level_dbfs(heard) == pytest.approx(-20.0, abs=0.5)
    assert tone_share(heard, rate_hz=RATE_HZ) > 0.95


def test_the_length_by_the_first_bytes_is_what_the_library_decodes() -> None:
    silence = b"\xff\xfe"
    for configuration in range(32):
        for code in (0, 3):
            packet = bytes([configuration << 3 | code]) + (b"\x01" if code == 3 else b"") + silence
            assert opus_ticks(packet) == len(OpusDecoder().decode(packet)), (configuration, code)


@pytest.mark.parametrize(
    ("payload", "ticks"),
    [
        (b"", None),
        (b"\x03", None),  # the count of frames is missing
        (b"\x03\x00", None),  # no frame at all
        (b"\x1b\x03", None),  # three frames of 60 ms are longer than a packet may be
        (b"\x1b\x02", 5760),
        (b"\xe0", 120),  # 2.5 ms, the shortest
        (b"\xf9", 1920),
    ],
)
def test_a_length_that_no_packet_has_is_none(payload: bytes, ticks: int | None) -> None:
    assert opus_ticks(payload) == ticks


@pytest.mark.parametrize("payload", [b"", b"\x03", b"\x03\x00", b"\xff" * 3])
def test_bytes_that_are_no_packet_are_told_and_heard_as_silence(payload: bytes) -> None:
    with pytest.raises(MalformedOpus):
        OpusDecoder().decode(payload)
    assert decode_opus([payload]) == array("h", [0] * 960)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    libopus._library.cache_clear()
    monkeypatch.setattr(libopus, "_NAME", "libopus-that-is-not-there.so.0")
    try:
        with pytest.raises(OpusMissing, match="apt-get install libopus0"):
            encode("OPUS", tone("OPUS", seconds=0.02))
    finally:
        libopus._library.cache_clear()


@fuzzed
@given(st.binary(max_size=60))
def test_whatever_comes_is_decoded_to_as_much_as_its_first_bytes_tell_or_is_no_packet(payload: bytes) -> None:
    ticks = opus_ticks(payload)
    try:
        decoded = len(OpusDecoder().decode(payload))
    except MalformedOpus:
        return
    assert decoded == ticks


@pytest.mark.parametrize(
    ("parameters", "bit_rate"),
    [
        ("", 32_000),
        ("stereo=0; maxaveragebitrate=20000", 20_000),
        ("MaxAverageBitRate=510000;cbr=1", 32_000),
        ("maxaveragebitrate=1", 6_000),
        ("maxaveragebitrate=", 32_000),
        ("xmaxaveragebitrate=20000", 32_000),
        ("maxaveragebitrate=99999999999999", 32_000),
    ],
)
def test_no_more_is_sent_than_the_other_side_wants_at_most(parameters: str, bit_rate: int) -> None:
    assert opus_bit_rate(parameters) == bit_rate


def test_a_lower_bit_rate_is_what_is_sent() -> None:
    frames = encode_opus(tone("OPUS", seconds=1.0), bit_rate=12_000)

    assert 8 * sum(map(len, frames)) == pytest.approx(12_000, rel=0.2)


@fuzzed
@given(st.text(max_size=60) | st.from_regex(r"maxaveragebitrate=[0-9]{0,12}.{0,3}", fullmatch=True))
def test_whatever_parameters_are_told_a_rate_is_one_that_opus_has(parameters: str) -> None:
    assert 6_000 <= opus_bit_rate(parameters) <= 32_000
