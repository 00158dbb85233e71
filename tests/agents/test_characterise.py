"""The bench measures itself: what comes of it is near to what was really done, and is kept."""

from pathlib import Path

import pytest
from agent_nouns import host
from typer.testing import CliRunner

from agents.bench_record import keep_record, record_of, records_of
from agents.cli import app
from agents.instruments import own_loop
from agents.instruments.own_loop import QUANTITIES, OwnLoop
from agents.instruments.rtp import RtpPacket, RtpPort
from agents.version import instruments_version
from lab_inventory.clock import ManualClock, SystemClock
from lab_inventory.errors import Unavailable
from tests.made_up_record import made_up_record

CODECS = 3


@pytest.mark.alone
async def test_a_run_finds_delay_level_loss_and_times_near_to_what_was_done_in_every_codec() -> None:
    with OwnLoop("127.0.0.1", SystemClock()) as loop:
        runs = [await loop.run(number) for number in range(CODECS)]
    for run in runs:
        assert set(run) == set(QUANTITIES)
        assert run["packets_lost"] == 0
        assert abs(run["tone_level"]) < 0.5
        assert -0.01 < run["tone_share"] <= 0
        assert run["response_time"] > 0
        assert run["receive_time"] > 0
    # G.711 delays nothing; the filters of G.722 take 22 samples of 16 kHz (ITU-T G.722, 1.3: about 1.4 ms in all)
    assert [round(run["audio_delay"], 3) for run in runs] == [0, 0, pytest.approx(1.375, abs=0.13)]


def packets(port: RtpPort, late_ns: list[int]) -> tuple[RtpPacket, ...]:
    """Packets of an even stream with the times at which they came; the port is told when they were sent."""
    made = []
    for number, late in enumerate(late_ns):
        port.sent_ns[number] = number * 20_000_000
        port._stream.packets_sent += 1
        made.append(
            RtpPacket(
                at_ns=number * 20_000_000 + late,
                payload_type=0,
                marker=False,
                sequence=number,
                timestamp=160 * number,
                ssrc=1,
                payload=b"",
            )
        )
    return tuple(made)


def test_a_receiver_that_takes_its_times_unevenly_shows_as_an_error_in_each_quantity() -> None:
    port = RtpPort(clock=ManualClock())
    found = own_loop._packet_errors(port, packets(port, [0, 4_000_000] * 12), 0)
    assert found["receive_time"] == 4.0
    assert found["packet_gap"] == 4.0
    assert found["packet_interval_sd"] == pytest.approx(4.0, rel=0.05)
    assert found["jitter"] > 2


def test_a_loop_that_loses_packets_gives_no_errors_but_breaks() -> None:
    port = RtpPort(clock=ManualClock())
    heard = packets(port, [0] * 24)
    with pytest.raises(Unavailable, match="of 24 packets of the bench to itself 23 came"):
        own_loop._packet_errors(port, heard[:-1], 0)


def test_fewer_than_thirty_runs_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"SERVER_URL": "http://127.0.0.1:1", "HOST": "host-a", "WORK_DIR": str(tmp_path)}
    for name, value in told.items():
        monkeypatch.setenv(f"ASSAY_AGENT_{name}", value)
    (tmp_path / "bench.json").write_text(host().model_dump_json(), encoding="utf-8")
    ended = CliRunner().invoke(app, ["bench", "characterise", "--runs", "29"])
    assert "29 runs are not enough; expected at least 30" in str(ended.exception)
    assert not (tmp_path / "characterisation").exists()


def test_the_newest_record_counts_and_the_earlier_ones_stay(tmp_path: Path) -> None:
    bench, clock = host().benches[0], ManualClock()
    assert record_of(tmp_path, "bench-a", "host-a", 90) is None
    for number in ("cha-1", "cha-2"):
        path = keep_record(tmp_path, made_up_record("bench-a", "host-a", record=number), clock)
    (found,) = records_of(tmp_path, host())
    assert (found.record.record, found.valid_days) == ("cha-2", bench.characterisation_valid_days)
    assert found.software == instruments_version()
    assert len(list(path.parent.iterdir())) == 3


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    path = keep_record(tmp_path, made_up_record("bench-a", "host-a"), ManualClock())
    path.write_text(path.read_text(encoding="utf-8").replace('"runs": 30', '"runs": 3'), encoding="utf-8")
    assert record_of(tmp_path, "bench-a", "host-a", 90) is None
