"""What the suite sees of the reference phone's packets: healthy, and with each defect of its media."""

from pathlib import Path
from typing import Any

import pytest
from reference_bench import measurements_of, reference_on_bench, values_of

from agents.instruments.host_pace import HostPace
from agents.measure import LabError
from agents.suites.ip_phone.qos import code_points, marked_percent
from lab_inventory.measurement import Value
from lab_inventory.programme import TestCase

MARKS = TestCase(
    id="TC-NET-01",
    title="Marks",
    procedure="qos-marks",
    duration_s=5,
    parameters={"window_s": 0.2, "media": "EF", "signalling": "CS3 CS5 AF31"},
)

SKEW = TestCase(id="TC-MED-04", title="Skew", procedure="clock-skew", duration_s=6, parameters={"window_s": 4})
STREAM = TestCase(
    id="TC-MED-11",
    title="Stream",
    procedure="rtp-stream",
    duration_s=14,
    parameters={"window_s": 1.0, "loss_percent": 10},
)
FIRST_REPORT_S = 2.7
"""With what comes before and after the window, the 3.1 s in which the first report comes (RFC 3550, 6.3.1)."""
RIGHT = {
    "packets_missing": 0,
    "ssrc_constant": True,
    "sequence_orderly": True,
    "timestamp_steps_wrong": 0,
    "markers_misplaced": 0,
    "events_in_sequence": True,
    "rtcp_source_right": True,
    "rtcp_packets_difference": 0,
}
NUMBERS = ("jitter_ms", "gap_ms", "rtcp_first_s", "rtcp_interval_s", "rtcp_loss_error_percent")


@pytest.mark.parametrize(
    ("defects", "expected"),
    [
        ((), {"media_marked_percent": 100.0, "signalling_marked_percent": 100.0}),
        (("media-unmarked",), {"media_marked_percent": 0.0, "signalling_marked_percent": 100.0}),
        (("signalling-unmarked",), {"media_marked_percent": 100.0, "signalling_marked_percent": 0.0}),
    ],
)
async def test_the_marks_of_a_phone_are_seen(
    tmp_path: Path, defects: tuple[str, ...], expected: dict[str, Value]
) -> None:
    async with reference_on_bench(tmp_path, defects=defects) as suite:
        assert await values_of(suite, MARKS, tmp_path) == expected


def test_the_share_of_marked_packets_names_every_mark_that_was_seen() -> None:
    assert marked_percent([46, 46, 0, 11], code_points("EF")) == (50.0, "2 x EF (46), 1 x CS0 (0), 1 x DSCP (11)")


@pytest.mark.parametrize("text", ["", "EF XX"])
def test_a_mark_that_no_standard_names_is_an_error_of_the_programme(text: str) -> None:
    with pytest.raises(LabError, match="expected some of CS0, CS1"):
        code_points(text)


@pytest.mark.alone
async def test_a_slow_clock_of_the_audio_is_measured(tmp_path: Path) -> None:
    size = 800
    async with reference_on_bench(tmp_path, defects=(f"audio-clock-slow={size}",)) as suite:
        (found,) = await measurements_of(suite, SKEW, tmp_path)

    assert isinstance(found.value, float)
    assert found.uncertainty is not None
    # The window has 5 s, and a busy host moves what goes through it by tenths of a millisecond: 100 ppm of that.
    assert abs(found.value - size) <= found.uncertainty + 100
    assert found.uncertainty < 500


async def seen_of(folder: Path, window_s: float, *defects: str) -> dict[str, Any]:
    case = STREAM.model_copy(update={"parameters": {"window_s": window_s, "loss_percent": 10}})
    async with reference_on_bench(folder, defects=defects) as suite:
        return await values_of(suite, case, folder)


async def test_the_stream_and_the_reports_of_a_healthy_phone_are_seen_as_they_are(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, FIRST_REPORT_S)

    jitter_ms, gap_ms, first_s, interval_s, loss_error_percent = (seen.pop(quantity) for quantity in NUMBERS)
    assert seen == RIGHT
    assert 0 < jitter_ms < 20
    assert 15 < gap_ms < 500
    assert 1 < first_s < 3.2
    assert interval_s > 0  # of one report alone it is how long none came since
    assert loss_error_percent < 1


@pytest.mark.parametrize(
    ("defect", "quantity"),
    [("rtp-timestamp-steps=8", "timestamp_steps_wrong"), ("rtp-marker-always", "markers_misplaced")],
)
async def test_a_defect_of_every_packet_is_counted(tmp_path: Path, defect: str, quantity: str) -> None:
    assert (await seen_of(tmp_path, 0.5, defect))[quantity] > 20


async def test_another_source_in_the_call_is_seen(tmp_path: Path) -> None:
    assert (await seen_of(tmp_path, 0.5, "rtp-source-changes=20"))["ssrc_constant"] is False


async def test_reports_that_tell_wrong_counts_and_no_loss_are_seen(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, FIRST_REPORT_S, "rtcp-count-wrong=6", "rtcp-loss-untold")
    assert seen["rtcp_packets_difference"] == 6
    assert seen["rtcp_loss_error_percent"] > 8


async def test_reports_that_come_too_often_are_seen(tmp_path: Path) -> None:
    assert (await seen_of(tmp_path, 2.0, "rtcp-too-often"))["rtcp_interval_s"] < 1.3


async def test_a_phone_that_never_reports_is_seen(tmp_path: Path) -> None:
    seen = await seen_of(tmp_path, FIRST_REPORT_S, "rtcp-absent")
    assert {quantity for quantity, value in seen.items() if value is None} == {
        "rtcp_first_s",
        "rtcp_interval_s",
        "rtcp_source_right",
        "rtcp_packets_difference",
        "rtcp_loss_error_percent",
    }


async def test_the_longest_interval_over_several_calls_is_measured(tmp_path: Path) -> None:
    parameters = {"window_s": 2.0, "call_s": 1.0}
    case = TestCase(id="TC-MED-10", title="Hour", procedure="long-pacing", duration_s=6, parameters=parameters)
    async with reference_on_bench(tmp_path, defects=("rtp-pauses=800",)) as suite:
        seen = await values_of(suite, case, tmp_path)

    assert isinstance(seen["interval_max_ms"], float)
    assert 300 < seen["interval_max_ms"] < 1500
    assert seen["packets_missing"] == 0


@pytest.mark.parametrize(
    ("stalls_ms", "packets", "stall_ms", "told"),
    [
        ([30.0, 2.0, 1.0], 100, 2.0, "calls made again because the bench's host stalled: 1"),
        ([30.0] * 5, 100, 30.0, "calls made again because the bench's host stalled: 3"),
        ([9.0, 3.0], 100, 9.0, ""),
    ],
)
async def test_a_call_in_which_the_host_stalled_is_made_again_and_not_the_whole_hour(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stalls_ms: list[float],
    packets: int,
    stall_ms: float,
    told: str,
) -> None:
    found = iter(stalls_ms)
    monkeypatch.setattr(HostPace, "latest_ms", lambda _: next(found))
    parameters = {"window_s": 2.0, "call_s": 1.0}
    case = TestCase(id="TC-MED-10", title="Hour", procedure="long-pacing", duration_s=6, parameters=parameters)
    async with reference_on_bench(tmp_path) as suite:
        longest, missing = await measurements_of(suite, case, tmp_path)

    assert next(found, None) is None
    assert longest.bench_stall == stall_ms
    assert abs(int(longest.note.split()[0]) - packets) <= 6
    assert longest.note.partition("; ")[2] == told
    assert missing.value == 0


async def test_a_soak_counts_the_calls_that_fail_in_each_direction(tmp_path: Path) -> None:
    parameters = {"calls": 4, "spread_s": 2.0}
    case = TestCase(id="TC-LIF-01", title="Soak", procedure="soak", duration_s=20, parameters=parameters)
    async with reference_on_bench(tmp_path, defects=("dial-fails-at-times=2",)) as suite:
        failed, restarted = await measurements_of(suite, case, tmp_path)

    assert (failed.value, restarted.value) == (250.0, 0)
    assert "1 of 4 calls failed; call 4 from the phone: no INVITE came" in failed.note
