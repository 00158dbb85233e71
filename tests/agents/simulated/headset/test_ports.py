"""The bench's port and the hidden control port, and the program that opens them."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.simulated.headset.program import Addresses, VirtualHeadset
from tests.agents.simulated.headset.conftest import LOCAL
from tests.agents.simulated.headset.usbip_host import WAIT_S, Host, attach


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def say(self, said: object) -> dict:
        raw = said if isinstance(said, bytes) else json.dumps(said).encode() + b"\n"
        self.writer.write(raw)
        return json.loads(await asyncio.wait_for(self._reader.readline(), WAIT_S))


@pytest.fixture
async def bench(addresses: Addresses) -> AsyncIterator[Line]:
    line = Line(*await asyncio.open_connection(*addresses.bench))
    yield line
    line.writer.close()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Line]:
    headset = VirtualHeadset("VH0001")
    path = tmp_path / "control"
    await headset.open(LOCAL, LOCAL, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    line = Line(*await asyncio.open_unix_connection(path))
    yield line
    line.writer.close()
    await headset.close()


async def test_the_bench_presses_and_looks(host: Host, bench: Line) -> None:
    assert await bench.say({"do": "press", "key": "hook"}) == {"ok": True}
    assert (await asyncio.wait_for(host.poll()[1], WAIT_S)).data == bytes((1, 1))
    seen = await bench.say({"do": "look"})
    assert (seen["on_bus"], seen["attached"], seen["lamps"]["ring"]) == (True, True, False)
    assert seen["stretch_ms"] == 0


async def test_the_bench_can_neither_set_nor_read_defects(bench: Line) -> None:
    for verb in ("defects", "truth"):
        answer = await bench.say({"do": verb, "sizes": {}})
        assert answer["ok"] is False
        assert verb not in answer["why"]


async def test_the_bench_places_coupler_and_talker_within_bounds(bench: Line) -> None:
    placed = await bench.say({"do": "place", "left_gain": 0.5, "talker_peak": 1000})
    assert placed["acoustics"]["left_gain"] == 0.5
    for wrong in ({"left_gain": 9}, {"left_gain": True}, {"echo_share": 1}, {"talker_hz": "x"}):
        assert (await bench.say({"do": "place", **wrong}))["ok"] is False
    assert (await bench.say({"do": "place"}))["acoustics"]["left_gain"] == 0.5


async def test_the_bench_unplugs_and_plugs(bench: Line, headset: VirtualHeadset) -> None:
    await bench.say({"do": "unplug"})
    assert (await bench.say({"do": "look"}))["on_bus"] is False
    await bench.say({"do": "plug"})
    assert (await bench.say({"do": "look"}))["on_bus"] is True


@pytest.mark.parametrize(
    "said", [b"\n", b"[]\n", b"nonsense\n", b'{"do": []}\n', b'{"do": "press", "key": []}\n', b"[" * 9_000 + b"\n"]
)
async def test_what_is_no_verb_is_answered_with_what_is_expected(bench: Line, said: bytes) -> None:
    answer = await bench.say(said)
    assert answer["ok"] is False and answer["why"]
    assert (await bench.say({"do": "look"}))["ok"] is True


async def test_a_line_without_end_ends_the_connection(bench: Line) -> None:
    bench.writer.write(b"x" * 20_000)
    assert await asyncio.wait_for(bench._reader.read(), WAIT_S) == b""


async def test_the_control_port_switches_defects_as_a_whole_set(control: Line) -> None:
    assert await control.say({"do": "defects", "sizes": {"echo": 3, "hook-stuck": 1}}) == {
        "ok": True,
        "defects": ["echo", "hook-stuck"],
    }
    refused = await control.say({"do": "defects", "sizes": {"no-such": 1}})
    assert "no defect 'no-such'" in refused["why"]
    assert (await control.say({"do": "defects", "sizes": {"echo": "3"}}))["ok"] is False
    assert (await control.say({"do": "truth"}))["mixer"]["mic_muted"] == 0


async def test_the_program_serves_until_it_is_asked_to_end(tmp_path: Path) -> None:
    path = tmp_path / "control"
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.simulated.headset", "--control", str(path), "--defect", "release-missing",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    told = json.loads(await asyncio.wait_for(program.stdout.readline(), 30))
    status, about, host = await attach(tuple(told["usbip"]))
    assert status == 0
    assert about[304:306] == bytes(2)
    await host.disconnect()
    os.kill(told["pid"], signal.SIGTERM)
    assert await asyncio.wait_for(program.wait(), 30) == 0
    assert not path.exists()


async def test_the_program_names_an_unknown_defect_and_ends() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.simulated.headset", "--defect", "no-such", stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(program.communicate(), 30)
    assert program.returncode == 2
    assert said.startswith(b"no defect 'no-such'; expected one of ")
