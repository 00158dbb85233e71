"""Calls whose sound is known by construction, and what is measured of them.

``python -m tests.agents.instruments.sound.truth`` prints the summary that stands in docs/how-to/sound-measurements.md.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.instruments.sound.channel import ideal
from agents.instruments.sound.dropouts import DropOut
from agents.instruments.sound.samples import Samples, at_positions, delayed, level_dbov, scaled_to
from agents.instruments.sound.score import Heard, SoundScore, score_recording
from agents.instruments.sound.speech import load_clip, make_material

CODECS = {"PCMU": 8_000, "PCMA": 8_000, "G722": 16_000}
G722_DELAY_MS = 1.375
"""The two filters of 24 taps at 16 kHz, of 11 samples each."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of one call: what was built, what was measured, and by how much they may differ."""

    codec: str
    quantity: str
    unit: str
    truth: float
    measured: float | None
    uncertainty: float

    @property
    def holds(self) -> bool:
        return self.measured is not None and abs(self.measured - self.truth) <= self.uncertainty


@dataclass(frozen=True)
class Call:
    """One codec with its speech, a second of silence behind it for what comes late."""

    codec: str
    rate_hz: int
    speech: Samples

    @property
    def long(self) -> Samples:
        return np.pad(self.speech, (0, self.rate_hz))

    def of(self, *values: float) -> tuple[float, ...]:
        """All of them for one codec, the last two for the others: what is the same for each is built once in full."""
        return values if self.codec == "PCMU" else values[-2:]

    def score(self, sound: Samples, returned: Samples | None = None, *, coded: bool = True) -> SoundScore:
        received = ideal(sound, self.codec, self.rate_hz) if coded else sound
        return score_recording(self.speech, received, rate_hz=self.rate_hz, codec=self.codec, returned=returned)

    def heard(self, sound: Samples, *, coded: bool = True) -> Heard:
        heard = self.score(sound, coded=coded).heard
        assert heard is not None
        return heard

    def row(self, quantity: str, unit: str, truth: float, measured: float | None, uncertainty: float) -> Row:
        return Row(
            codec=self.codec, quantity=quantity, unit=unit, truth=truth, measured=measured, uncertainty=uncertainty
        )


def rows(material: Path) -> Iterator[Row]:
    """Every quantity for every codec."""
    for codec, rate_hz in CODECS.items():
        path = Call(codec, rate_hz, load_clip(material, "short-a" if codec == "PCMA" else "short-b", rate_hz).samples)
        every = (delays, drifts, levels, noises, losses, clips, echoes, responses, ratios)
        for kind in (levels, noises, clips) if codec == "PCMA" else every:  # else as PCMU
            yield from kind(path)


def delays(path: Call) -> Iterator[Row]:
    own = G722_DELAY_MS if path.codec == "G722" else 0.0
    for delay_ms in path.of(0.0, 0.31, 37.26, 300.0):
        heard = path.heard(delayed(path.long, delay_ms * path.rate_hz / 1000))
        yield path.row("delay", "ms", delay_ms + own, heard.delay_ms, 0.02)
    step = round(0.04 * path.rate_hz)  # a jitter buffer that grows by 40 ms in the middle
    half = path.speech.size // 2
    stepped = np.concatenate((path.long[:half], np.zeros(step), path.long[half:]))
    heard = path.heard(stepped)
    yield path.row("growth of delay in the call", "ms", 40.0, heard.delay_ms_max - heard.delay_ms_min, 0.1)


def drifts(path: Call) -> Iterator[Row]:
    at = np.arange(path.long.size, dtype=np.float64)
    for ppm in path.of(50.0, 500.0, -100.0):
        heard = path.heard(at_positions(path.long, at / (1 + ppm * 1e-6)))
        yield path.row("clock drift", "ppm", ppm, heard.drift_ppm, 3 + 0.01 * abs(ppm))


def levels(path: Call) -> Iterator[Row]:
    for gain_db in path.of(-12.0, 6.0):
        score = path.score(scaled_to(path.speech, gain_db))
        assert score.heard is not None
        yield path.row("gain", "dB", gain_db, score.heard.gain_db, 0.1)
        yield path.row("active speech level", "dBov", -26.0 + gain_db, score.active_dbov, 0.2)


def noises(path: Call) -> Iterator[Row]:
    noise = np.random.default_rng(7).normal(size=path.long.size)
    for level in (-40.0, -65.0):
        heard = path.heard(path.long + scaled_to(noise, level - level_dbov(noise)), coded=False)
        yield path.row("noise in pauses", "dBov", level, heard.noise_dbov, 0.5)


def losses(path: Call) -> Iterator[Row]:
    """Frames of 20 ms replaced by silence in the loudest parts of the speech, so that each is certainly speech."""
    frame = path.rate_hz // 50
    sound = ideal(path.speech, path.codec, path.rate_hz)
    power = np.mean(sound[: sound.size // frame * frame].reshape(-1, frame) ** 2, axis=1)
    loudest = sorted(int(index) for index in np.argsort(power)[-40::8])
    for index in loudest:
        sound[index * frame : (index + 1) * frame] = 0.0
    found: tuple[DropOut, ...] = path.heard(sound, coded=False).drop_outs
    yield path.row("drop-outs", "", len(loudest), len(found), 0)
    for index, out in zip(loudest, found, strict=True):
        yield path.row("start of a drop-out", "ms", index * 20.0, out.start_s * 1000, 0.5)
        yield path.row("length of a drop-out", "ms", 20.0, out.length_s * 1000, 1.0)


def clips(path: Call) -> Iterator[Row]:
    magnitude = np.abs(path.speech)
    for share in path.of(0.0, 0.05, 0.002, 0.01):
        limit = float(np.quantile(magnitude, 1 - share))
        score = path.score(scaled_to(np.clip(path.speech, -limit, limit), -3.0))
        assert score.heard is not None
        yield path.row("limited samples", "%", 100 * share, 100 * score.heard.limited, 0.05 + 15 * share)
        if path.codec != "G722":
            yield path.row("flat tops", "%", 100 * share, 100 * score.flat_tops, 0.05 + 25 * share)


def echoes(path: Call) -> Iterator[Row]:
    for delay_ms, level_db in zip((90.0, 12.0), (-25.0, -30.0), strict=True):
        late = scaled_to(delayed(path.long, delay_ms * path.rate_hz / 1000), level_db)
        echo = path.heard(path.long + late).echo
        assert echo is not None
        yield path.row("level of an echo behind the speech", "dB", level_db, echo.level_db, 1.0)
        yield path.row("delay of an echo behind the speech", "ms", delay_ms, echo.delay_ms, 0.25)
        own = G722_DELAY_MS if path.codec == "G722" else 0.0
        back = path.score(path.speech, returned=ideal(late, path.codec, path.rate_hz)).returned
        assert back is not None
        yield path.row("level of an echo to the sender", "dB", level_db, back.level_db, 1.0)
        yield path.row("delay of an echo to the sender", "ms", delay_ms + own, back.delay_ms, 0.25)


def responses(path: Call) -> Iterator[Row]:
    """A first-order low-pass of 1 kHz as a filter of known gain at every frequency."""
    spectrum = np.fft.rfft(path.long)
    frequency = np.fft.rfftfreq(path.long.size, 1 / path.rate_hz)
    filtered = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 1000) ** 2), path.long.size)
    bands = {round(band.centre_hz): band.gain_db for band in path.heard(filtered).response}
    for centre in (251, 1000, 1995, 3162):
        truth = -10 * float(np.log10(1 + (10 ** (round(10 * np.log10(centre / 1000)) / 10)) ** 2))
        yield path.row(f"response at {centre} Hz", "dB", truth, bands.get(centre), 0.5)


def ratios(path: Call) -> Iterator[Row]:
    """Noise that follows the speech 15 dB under it in every sample: the ratio is the same in all frames."""
    sound = ideal(path.speech, path.codec, path.rate_hz)
    sign = np.random.default_rng(3).choice([-1.0, 1.0], size=sound.size)
    heard = path.heard(sound + scaled_to(sound * sign, -15.0), coded=False)
    yield path.row("segmental signal-to-noise ratio", "dB", 15.0, heard.segmental_snr_db, 0.5)


def table(found: Sequence[Row]) -> str:
    """Every row, for the output of the test."""
    lines = ["| codec | quantity | built | measured | uncertainty |", "|---|---|---|---|---|"]
    for row in found:
        measured = "none" if row.measured is None else f"{row.measured:.3f}"
        mark = "" if row.holds else " **outside**"
        built = f"{row.truth:.3f} {row.unit}".strip()
        lines.append(f"| {row.codec} | {row.quantity} | {built} | {measured}{mark} | ± {row.uncertainty:g} |")
    return "\n".join(lines)


def summary(found: Sequence[Row]) -> str:
    """One line for each quantity, with the row that came nearest to its uncertainty."""
    lines = ["| quantity | built from | to | calls | nearest to its uncertainty |", "|---|---|---|---|---|"]
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.quantity, []).append(row)
    for quantity, every in groups.items():
        worst = max(every, key=lambda row: abs((row.measured or 0.0) - row.truth) / (row.uncertainty or 1.0))
        truths = [row.truth for row in every]
        low, high = (f"{value:.3g} {worst.unit}".strip() for value in (min(truths), max(truths)))
        measured = f"{worst.truth:.3f} measured as {worst.measured:.3f} (± {worst.uncertainty:g}), {worst.codec}"
        lines.append(f"| {quantity} | {low} | {high} | {len(every)} | {measured} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make_material(Path(folder))
        print(summary(list(rows(Path(folder)))))
