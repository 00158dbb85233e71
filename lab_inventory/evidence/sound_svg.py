"""A sound as a picture: its waveform above its spectrogram on one axis of time. SVG without script or style. Pure.

In a page the spectrogram is a picture of its own, drawn from the same file when it is looked at; alone it is inside.
"""

import base64
import math
from collections.abc import Iterator

import numpy as np

from lab_inventory.evidence.plot import LEFT, TITLE_HEIGHT, WIDTH, plot, safe, text, time_axis
from lab_inventory.evidence.spectrogram import FLOOR_DBFS, MEDIA_TYPE, spectrogram_png
from lab_inventory.evidence.wav import FULL_SCALE, Sound

WAVE_HEIGHT, GAP, SPECTRUM_HEIGHT, AXIS_HEIGHT = 90, 10, 128, 30


def sound_svg(sound: Sound, title: str, *, spectrogram: str = "", alone: bool = False) -> str:
    """The picture; ``spectrogram`` is where a page finds that of the same sound: alone it is drawn here."""
    top = TITLE_HEIGHT if alone else 4
    below = top + WAVE_HEIGHT + GAP
    height = below + SPECTRUM_HEIGHT + AXIS_HEIGHT
    href = _inside(sound) if alone else spectrogram
    parts = [
        text(LEFT - 8, top + 12, "+1", anchor="end"),
        text(LEFT - 8, top + WAVE_HEIGHT // 2 + 4, f"{level_dbfs(sound):.0f} dBFS", anchor="end"),
        text(LEFT - 8, top + WAVE_HEIGHT, "-1", anchor="end"),
        f'<path d="{"".join(_wave(sound, top))}" stroke="currentColor" fill="none"/>',
        text(LEFT - 8, below + 12, f"{sound.rate_hz // 2} Hz", anchor="end"),
        text(LEFT - 8, below + SPECTRUM_HEIGHT, "0 Hz", anchor="end"),
        f'<image x="{LEFT}" y="{below}" width="{WIDTH}" height="{SPECTRUM_HEIGHT}" preserveAspectRatio="none" '
        f'href="{safe(href)}"/>',
        *time_axis(0.0, sound.duration_s, below + SPECTRUM_HEIGHT),
    ]
    return plot(title, height, parts, alone=alone)


def level_dbfs(sound: Sound) -> float:
    """The level of the whole; silence, or nothing, has that of the spectrogram's floor."""
    if not sound.samples:
        return FLOOR_DBFS
    pcm = np.frombuffer(sound.samples, dtype=np.int16).astype(np.float64) / FULL_SCALE
    power = float(np.mean(pcm * pcm))
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power else FLOOR_DBFS


def _wave(sound: Sound, top: int) -> Iterator[str]:
    """For each column a line from the least to the greatest sample of its time: no peak is lost."""
    pcm = np.frombuffer(sound.samples, dtype=np.int16)
    columns = min(WIDTH, len(pcm))
    if not columns:
        return
    starts = np.arange(columns) * len(pcm) // columns
    middle, scale = top + WAVE_HEIGHT / 2, WAVE_HEIGHT / 2 / FULL_SCALE
    highest, lowest = np.maximum.reduceat(pcm, starts), np.minimum.reduceat(pcm, starts)
    for column, (high, low) in enumerate(zip(highest.tolist(), lowest.tolist(), strict=True)):
        x = LEFT + (column + 0.5) * WIDTH / columns
        yield f"M{x:.1f} {middle - high * scale - 0.3:.1f}V{middle - low * scale + 0.3:.1f}"


def _inside(sound: Sound) -> str:
    return f"data:{MEDIA_TYPE};base64,{base64.b64encode(spectrogram_png(sound)).decode()}"
