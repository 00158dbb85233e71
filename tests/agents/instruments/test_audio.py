from array import array

import pytest

from agents.instruments.audio import (
    SILENCE_DBFS,
    decode,
    encode,
    level_dbfs,
    sample_rate_hz,
    tone,
    tone_share,
)
from lab_inventory.errors import InvariantBroken


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "G722"])
def test_a_tone_survives_every_codec_with_its_level(encoding: str) -> None:
    pcm = tone(encoding, seconds=1.0, level_dbfs=-20.0)

    frames = encode(encoding, pcm)
    heard = decode(encoding, frames)

    assert {len(frame) for frame in frames} == {160}
    assert len(frames) == 50
    assert level_dbfs(heard) == pytest.approx(-20.0, abs=0.5)
    assert tone_share(heard, rate_hz=sample_rate_hz(encoding)) > 0.95


@pytest.mark.parametrize(
    ("encoding", "code", "sample"),
    [
        ("PCMU", 0xFF, 0),  # ITU-T G.711, table 2a and 2b: the ends and the zero of mu-law, 14 bit times 4
        ("PCMU", 0x80, 32124),
        ("PCMU", 0x00, -32124),
        ("PCMA", 0xD5, 8),  # table 1a and 1b: A-law has no zero; 13 bit times 8
        ("PCMA", 0xAA, 32256),
        ("PCMA", 0x2A, -32256),
    ],
)
def test_g711_decodes_the_corner_values_of_the_recommendation(encoding: str, code: int, sample: int) -> None:
    assert list(decode(encoding, [bytes([code])])) == [sample]


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA"])
def test_every_level_of_g711_is_encoded_to_a_code_of_the_same_level(encoding: str) -> None:
    codes = bytes(range(256))
    levels = decode(encoding, [codes])
    padded = array("h", [*levels, *levels[: 320 - 256]])

    again = decode(encoding, encode(encoding, padded))

    assert list(again) == list(padded)


def test_silence_has_the_lowest_level_and_no_tone() -> None:
    assert level_dbfs(array("h", [0] * 160)) == SILENCE_DBFS
    assert level_dbfs(array("h")) == SILENCE_DBFS
    assert tone_share(array("h", [0] * 160), rate_hz=8000) == 0.0


def test_a_sine_of_full_scale_has_minus_three_decibels() -> None:
    assert level_dbfs(tone("PCMU", seconds=0.1, level_dbfs=-3.0104)) == pytest.approx(-3.01, abs=0.01)


def test_another_frequency_is_not_taken_for_the_tone() -> None:
    assert tone_share(tone("PCMU", seconds=0.5, frequency_hz=700), rate_hz=8000) < 0.01


def test_an_unknown_codec_is_a_mistake_of_the_program() -> None:
    with pytest.raises(InvariantBroken):
        decode("SPEEX", [b"x"])
