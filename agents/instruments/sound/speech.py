"""Speech to measure with: made once by the project from espeak-ng, kept with its hashes, checked at every load.

Two voices; for each a clip of 8 s (two sentences, for whole quality) and one of 3.5 s (one sentence), at 8 and 16 kHz,
16 bit, active level -26 dBov (ITU-T P.56). The repository holds no audio. Which sentences are spoken follows from the
seed alone, so that two labs with the same version of espeak-ng have the same files, byte for byte.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.instruments.sound.level import scaled_to_active
from agents.instruments.sound.samples import Samples, from_pcm, resampled, scaled_to, to_pcm
from lab_inventory.errors import BadInput, InvariantBroken, Unavailable

ACTIVE_DBOV = -26.0
RATES_HZ = (8_000, 16_000)
VOICES = {"a": "en-us", "b": "en-gb+f3"}
"""The voices of espeak-ng: one low, one high."""
CLIPS = {"long": (8.0, 2), "short": (3.5, 1)}
"""Length in s and number of sentences of each clip."""
SEED = 1
RECORD = "material.json"
SENTENCES = (
    "Seven grey pigeons watched the baker close his shop.",
    "The ferry leaves at noon, whether or not it is full.",
    "She kept the spare key under a chipped blue pot.",
    "Heavy rain had washed the chalk marks off the wall.",
    "A thin bridge of rope joined the two villages.",
    "He measured the shelf twice and cut the board once.",
    "Fresh bread and sharp cheese make a good breakfast.",
    "Their youngest cousin plays chess with both hands.",
)

FLOOR_DBOV = -62.0
"""Of the noise under sentences for a perceptual estimate: 36 dB under speech, as in a quiet room. Beside pauses that
are digitally silent a tool finds any noise conspicuous, and loss within them of more weight than loss within words.
"""

_SPEED_WPM = 175
_LEAD_S = 0.4
"""Silence before the first word, and as a rule between sentences."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip: its name (``long-a``), rate in Hz, samples, and the SHA-256 of its file."""

    name: str
    rate_hz: int
    samples: Samples
    sha256: str


def make_material(directory: Path, *, seed: int = SEED) -> None:
    """Write all clips and their record into ``directory``; what stands there is replaced.

    Raises Unavailable where espeak-ng is missing or does not speak.
    """
    version = espeak_version()
    directory.mkdir(parents=True, exist_ok=True)
    chosen = _chosen(seed)
    hashes: dict[str, str] = {}
    for voice, espeak_voice in VOICES.items():
        spoken = iter(chosen if voice == "a" else chosen[::-1])
        for kind, (length_s, count) in CLIPS.items():
            parts = [_spoken(espeak_voice, next(spoken)) for _ in range(count)]
            for rate_hz in RATES_HZ:
                name = _file_name(f"{kind}-{voice}", rate_hz)
                _write_wav(directory / name, _clip(parts, rate_hz, length_s), rate_hz)
                hashes[name] = _sha256(directory / name)
    record = {"espeak_ng": version, "seed": seed, "active_dbov": ACTIVE_DBOV, "sha256": hashes}
    (directory / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")


def load_clip(directory: Path, name: str, rate_hz: int) -> Clip:
    """One clip, checked against its record.

    Raises BadInput where it was changed, Unavailable where it was never made.
    """
    path, record_path = directory / _file_name(name, rate_hz), directory / RECORD
    try:
        record = json.loads(record_path.read_text())
        expected, version = record["sha256"][path.name], record["espeak_ng"]
        actual = _sha256(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"there is no speech clip {name} of {rate_hz} Hz in {directory}: make it with `make speech`"
        ) from error
    if actual != expected:
        raise BadInput(
            f"the speech clip {path} is not the one that was made with espeak-ng {version}: its SHA-256 is "
            f"{actual[:16]}…, recorded is {expected[:16]}…; make the speech anew with `make speech`"
        )
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return Clip(name=name, rate_hz=rate_hz, samples=from_pcm(pcm), sha256=actual)


def sentences(rate_hz: int, per_voice: int, *, seed: int = SEED) -> tuple[Samples, ...]:
    """So many sentences of each voice by turns, 3.5 s each, at the active level of the project over ``FLOOR_DBOV`` of
    noise. The same on every machine with the same espeak-ng. At most 8 of each voice.

    Raises Unavailable where espeak-ng is missing or does not speak.
    """
    if not 1 <= per_voice <= len(SENTENCES):
        raise BadInput(f"there are {len(SENTENCES)} sentences, not {per_voice}")
    espeak_version()
    length_s, _ = CLIPS["short"]
    noise, chosen = np.random.default_rng(seed), _chosen(seed)
    spoken = []
    for of_each in zip(chosen[:per_voice], chosen[::-1], strict=False):
        for voice, said in zip(VOICES.values(), of_each, strict=True):
            clip = _clip([_spoken(voice, said)], rate_hz, length_s)
            spoken.append(clip + scaled_to(noise.normal(size=clip.size), FLOOR_DBOV))
    return tuple(spoken)


def espeak_version() -> str:
    """The version of espeak-ng on this machine; raises Unavailable where there is none."""
    if shutil.which("espeak-ng") is None:
        raise Unavailable("speech is made with espeak-ng, which is not installed: apt-get install espeak-ng")
    said = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=False).stdout
    return said.partition(":")[2].split("Data")[0].strip() or "of unknown version"


def _chosen(seed: int) -> list[str]:
    return sorted(SENTENCES, key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())


def _spoken(voice: str, text: str) -> tuple[Samples, int]:
    """One sentence without the silence around it, and its rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(_SPEED_WPM), "-w", str(path), text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise Unavailable(f"espeak-ng did not speak with voice {voice}: {done.stderr.strip()}")
        with wave.open(str(path)) as file:
            samples = from_pcm(np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"))
            rate_hz = file.getframerate()
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    if not loud.size:
        raise Unavailable(f"espeak-ng was silent with voice {voice}")
    return samples[loud[0] : loud[-1] + 1], rate_hz


def _clip(parts: list[tuple[Samples, int]], rate_hz: int, length_s: float) -> Samples:
    """The sentences at equal distances in a clip of exactly ``length_s``, at the active level of the project."""
    spoken = [resampled(samples, from_hz, rate_hz) for samples, from_hz in parts]
    result = np.zeros(round(length_s * rate_hz))
    pause = (result.size - sum(part.size for part in spoken)) // (len(spoken) + 1)
    if pause < _LEAD_S * rate_hz / 2:
        raise InvariantBroken(f"the sentences chosen for a clip of {length_s} s are too long for it")
    place = pause
    for part in spoken:
        result[place : place + part.size] = part
        place += part.size + pause
    level = scaled_to_active(result, rate_hz, ACTIVE_DBOV)
    if level is None:
        raise InvariantBroken("espeak-ng gave no speech")
    return level


def _file_name(name: str, rate_hz: int) -> str:
    return f"{name}-{rate_hz}.wav"


def _write_wav(path: Path, samples: Samples, rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(to_pcm(samples).astype("<i2").tobytes())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    make_material(Path(sys.argv[1]))
