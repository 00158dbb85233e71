"""What a run may keep as evidence."""

from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT

from agents import measure
from agents.measure import LabError, Recorder


def recorder(folder: Path) -> Recorder:
    return Recorder(declared={}, instrument=INSTRUMENT, folder=folder)


def test_the_evidence_of_a_run_is_bounded_over_all_its_cases_and_what_is_kept_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "RUN_EVIDENCE_BYTES_MAX", 100)
    recorder(tmp_path).attach("first", "text/plain", b"x" * 60)
    second = recorder(tmp_path)
    with pytest.raises(LabError, match="evidence second is not kept: a run keeps at most"):
        second.attach("second", "text/plain", b"y" * 60)
    assert second.evidence() == ()
    assert [entry.stat().st_size for entry in tmp_path.iterdir()] == [60]


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "EVIDENCE_BYTES_MAX", 10)
    with pytest.raises(LabError, match="has 11 bytes; at most 10 are kept"):
        recorder(tmp_path).attach("big", "text/plain", b"x" * 11)
