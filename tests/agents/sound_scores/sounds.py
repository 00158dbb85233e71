"""A sound to score, seeded: bursts of noise as speech has them, and what came of it 50 ms later and 6 dB lower."""

import numpy as np

from lab_inventory.canonical import sha256
from lab_inventory.evidence.wav import write_wav
from lab_inventory.messages import SoundToScore

RATE_HZ = 8000
LATE_MS = 50.0


def reference(seconds: float = 4.0, seed: int = 1) -> list[int]:
    noise = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    bursts = np.repeat(noise.random(count // 1600) > 0.35, 1600)
    made = np.convolve(noise.normal(size=len(bursts)), np.ones(4) / 4, "same") * bursts * 4000
    return [int(sample) for sample in made]


def received(sent: list[int]) -> list[int]:
    return [0] * round(RATE_HZ * LATE_MS / 1000) + [round(sample / 2) for sample in sent]


def files(seconds: float = 4.0) -> list[bytes]:
    sent = reference(seconds)
    return [write_wav(RATE_HZ, sent), write_wav(RATE_HZ, received(sent))]


def sound_of(contents: list[bytes]) -> SoundToScore:
    return SoundToScore(reference=sha256(contents[0]), received=sha256(contents[1]), codec="PCMU")
