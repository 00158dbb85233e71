"""The estimate of speech at the handset socket of the reference phone: healthy, and with what only speech shows."""

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT
from reference_bench import reference_on_bench

from agents.measure import LabError, Recorder
from agents.sound_scores.asking import ScoresHere
from agents.sound_scores.joining import Unscored, scored
from agents.suites.ip_phone import PROCEDURES
from lab_inventory.clock import SystemClock
from lab_inventory.measurement import Measurement
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.programme import TestCase

pytestmark = pytest.mark.skipif(
    find_spec("visqol") is None or shutil.which("espeak-ng") is None,
    reason="needs visqol-python and espeak-ng: make score, apt-get install espeak-ng",
)


def a_case(procedure: str, parameters: Mapping[str, str]) -> TestCase:
    asked: dict[str, int | str] = {"sentences": 1, **parameters}
    return TestCase(id="TC-MED-06", title="Speech", procedure=procedure, duration_s=12, parameters=asked)


BOTH_WAYS = a_case("speech-quality", {})
BAD_NETWORK = a_case("speech-over-bad-network", {"network": "poor-call"})


async def fallen(folder: Path, case: TestCase, *defects: str) -> dict[str, Measurement]:
    """What the case measures, once its recordings are scored."""
    evidence = folder / "evidence"
    evidence.mkdir()
    recorder = Recorder(declared=PROCEDURES[case.procedure].measures, instrument=INSTRUMENT, folder=evidence)
    async with reference_on_bench(folder, defects=defects, wired=True) as suite:
        await suite.carry_out(case, recorder)
    scores = ScoresHere(evidence, SystemClock())
    for wanted in recorder.to_score():
        scores.ask(wanted.sound)
    ended = CaseEnded(case=case.id, repeat=1, status=CaseStatus.MEASURED, duration_s=1)
    whole = scored(Unscored(ended=ended, recorder=recorder), await scores.answers(float("inf")))
    assert whole.status is CaseStatus.MEASURED, whole.reason
    return {found.quantity: found for found in whole.measurements}


async def test_a_healthy_phone_is_near_the_codec_alone_both_ways_and_the_tool_is_named(tmp_path: Path) -> None:
    found = await fallen(tmp_path, BOTH_WAYS)

    assert set(found) == {"send_speech_fall", "receive_speech_fall"}
    for measured in found.values():
        assert abs(measured.value) < 0.2  # type: ignore[arg-type]
        assert measured.uncertainty == 0.2
        assert len(measured.evidence) == 2
        for words in ("2 sentences of two voices", "an estimate", "visqol-python", "16 kHz", "MOS-LQO"):
            assert words in measured.note


async def test_a_gate_that_cuts_the_ends_of_words_is_heard_in_its_direction(tmp_path: Path) -> None:
    found = await fallen(tmp_path, BOTH_WAYS, "earpiece-gated=30")

    assert found["receive_speech_fall"].value > 0.9  # type: ignore[operator]
    assert abs(found["send_speech_fall"].value) < 0.2  # type: ignore[arg-type]


async def test_what_crackles_over_a_bad_network_falls(tmp_path: Path) -> None:
    found = await fallen(tmp_path, BAD_NETWORK, "playout-crackles")

    assert found["impaired_speech_fall"].value > 0.9  # type: ignore[operator]


async def test_a_network_that_nobody_knows_is_the_labs_fault(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no network that is known: perfect; known are clean"):
        await fallen(tmp_path, a_case("speech-over-bad-network", {"network": "perfect"}))
