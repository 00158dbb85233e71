"""The score of one recording: what Ray carries to a node, and what is done here where there is no lab. Pure.

Text in, text out: nothing of ours is raised over Ray, and the same files give the same bytes anywhere.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from agents.instruments.sound.samples import from_pcm
from agents.instruments.sound.score import score_recording
from agents.words import as_text, describe
from lab_inventory.errors import AssayError, BadInput
from lab_inventory.evidence.wav import read_wav
from lab_inventory.messages import SCORE_BYTES_MAX, SoundToScore


def score_files(sound_json: str, files: Sequence[bytes]) -> str:
    """JSON text: ``score``, an object, or ``refused`` and why. ``files``: the contents of ``SoundToScore.files``."""
    try:
        told: dict[str, Any] = {"score": _score(SoundToScore.model_validate_json(sound_json), files)}
    except (AssayError, ValueError) as error:
        told = {"refused": as_text(describe(error))}
    text = json.dumps(told, sort_keys=True, allow_nan=False)
    if len(text.encode()) > SCORE_BYTES_MAX:
        return json.dumps({"refused": f"the score has {len(text)} characters; at most {SCORE_BYTES_MAX} are told"})
    return text


def _score(sound: SoundToScore, files: Sequence[bytes]) -> dict[str, Any]:
    sounds = [read_wav(data) for data in files]
    rates = {one.rate_hz for one in sounds}
    if len(sounds) != len(sound.files) or len(rates) != 1:
        raise BadInput(f"{len(sounds)} files at {sorted(rates)} Hz; expected {len(sound.files)} at one rate")
    rows = [from_pcm(one.samples) for one in sounds]
    further = iter(rows[2:])
    scored = score_recording(
        rows[0],
        rows[1],
        rate_hz=rates.pop(),
        codec=sound.codec,
        through=None if sound.through is None else next(further),
        returned=None if sound.returned is None else next(further),
        perceptual=sound.perceptual,
    )
    return asdict(scored)
