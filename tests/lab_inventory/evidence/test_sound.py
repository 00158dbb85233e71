"""Pictures of sound and the files they are drawn of: the tone stands where it is, and what is foreign is refused."""

import math
import struct
import zlib
from array import array
from xml.etree import ElementTree

import numpy as np
import pytest

from lab_inventory.errors import BadInput
from lab_inventory.evidence.sound_svg import level_dbfs, sound_svg
from lab_inventory.evidence.spectrogram import ROWS, levels_dbfs, spectrogram_png
from lab_inventory.evidence.wav import Sound, read_wav, write_wav

RATE_HZ = 8000


def tone(frequency_hz: float, seconds: float, amplitude: float = 0.5) -> Sound:
    step = 2 * math.pi * frequency_hz / RATE_HZ
    pcm = (round(32_767 * amplitude * math.sin(step * at)) for at in range(round(seconds * RATE_HZ)))
    return Sound(rate_hz=RATE_HZ, samples=array("h", pcm))


def pixels(png: bytes) -> list[bytes]:
    """The rows of an 8-bit grey picture without filters, its checksums looked at."""
    at, found = 8, {}
    while at < len(png):
        (length,) = struct.unpack_from("!I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from("!I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        found[kind] = data
        at += 12 + length
    width, height = struct.unpack_from("!II", found[b"IHDR"])
    rows = zlib.decompress(found[b"IDAT"])
    assert len(rows) == height * (width + 1)
    return [rows[row * (width + 1) + 1 : (row + 1) * (width + 1)] for row in range(height)]


def test_a_sound_is_the_same_after_its_file_was_read() -> None:
    sound = tone(440, 0.3)

    assert read_wav(write_wav(RATE_HZ, sound.samples)) == sound


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"<svg/>",
        write_wav(192_000, [0, 1]),
        write_wav(RATE_HZ, [0, 1]).replace(b"\x01\x00\x40", b"\2\0@"),
    ],
)
def test_what_is_no_wav_file_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="WAV file"):
        read_wav(data)


def test_a_tone_is_dark_in_the_row_of_its_frequency_and_nowhere_far_from_it() -> None:
    rows = pixels(spectrogram_png(tone(1000, 1.0)))

    darkness = [255 - sum(row) / len(row) for row in rows]
    darkest = max(range(ROWS), key=darkness.__getitem__)
    assert abs((ROWS - 0.5 - darkest) / ROWS * RATE_HZ / 2 - 1000) < RATE_HZ / ROWS
    assert max(darkness[: ROWS // 2]) < 5


def test_the_level_of_a_tone_is_that_of_its_amplitude_in_both_pictures() -> None:
    sound = tone(1000, 1.0, amplitude=0.5)

    assert level_dbfs(sound) == pytest.approx(-9.03, abs=0.02)
    assert float(np.median(levels_dbfs(sound).max(axis=1))) == pytest.approx(-9.03, abs=0.5)


def test_a_picture_alone_holds_its_spectrogram_and_one_in_a_page_names_it() -> None:
    sound = tone(1000, 0.5)

    alone, within = sound_svg(sound, "heard <b>", alone=True), sound_svg(sound, "heard <b>", spectrogram="/here?a&b")

    for drawn in (alone, within):
        ElementTree.fromstring(drawn)  # noqa: S314
        assert "<b>" not in drawn
    assert "data:image/png;base64," in alone
    assert 'href="/here?a&amp;b"' in within


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_hardly_any_sound_has_a_picture_too(samples: int) -> None:
    drawn = sound_svg(Sound(rate_hz=RATE_HZ, samples=array("h", [0] * samples)), "none", alone=True)

    ElementTree.fromstring(drawn)  # noqa: S314
