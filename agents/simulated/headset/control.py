"""The bench's hand on the headset, and the hidden switch of its defects: one JSON object a line, one line of answer.

Two ports. The bench port is what a finger, an eye and a coupler are to a real headset: a suite may use it. The control
port changes the behaviour; it listens on a socket file of the host, so nothing in a guest can see it.

``{"do": "press", "key": "hook"}``, answered ``{"ok": true}`` or ``{"ok": false, "why": ...}``.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any

from agents.simulated.headset.defects import behaviour_with
from agents.simulated.headset.device import Headset
from agents.simulated.headset.keys import KEYS
from lab_inventory.errors import BadInput

LINE_BYTES_MAX = 10_000
GAIN_MAX = 4.0
PEAK_MAX = 32_767.0
Said = Mapping[str, Any]
Verb = Callable[[Said], dict[str, Any]]
Stretch = Callable[[], tuple[float, int]]

_BOUNDS = {
    "left_gain": (-GAIN_MAX, GAIN_MAX),
    "right_gain": (-GAIN_MAX, GAIN_MAX),
    "coupler_delay_s": (0.0, 1.0),
    "talker_hz": (0.0, 24_000.0),
    "talker_peak": (0.0, PEAK_MAX),
}


def bench_verbs(device: Headset, stretch: Stretch) -> dict[str, Verb]:
    """What the bench may do: press, look, plug, unplug, and place coupler and talker."""

    def press(said: Said) -> dict[str, Any]:
        if said.get("key") not in KEYS:
            raise BadInput(f"no key {said.get('key')!r}; expected one of {', '.join(KEYS)}")
        device.press(said["key"])
        return {}

    def look(_: Said) -> dict[str, Any]:
        ms, stops = stretch()
        return {
            "on_bus": device.on_bus,
            "attached": device.attached,
            "lamps": dict(device.keys.lamps),
            "failures": device.failures,
            "stretch_ms": round(ms, 3),
            "stretch_count": stops,
        }

    def place(said: Said) -> dict[str, Any]:
        wanted = {name: value for name, value in said.items() if name != "do"}
        for name, value in wanted.items():
            low, high = _BOUNDS.get(name, (0.0, 0.0))
            right = name in _BOUNDS and isinstance(value, int | float) and not isinstance(value, bool)
            if not right or not isfinite(value) or not low <= value <= high:
                names = ", ".join(_BOUNDS)
                raise BadInput(f"{name} is {value!r}; expected a number of {low:g} to {high:g} for one of {names}")
        device.acoustics = replace(device.acoustics, **wanted)
        return {"acoustics": asdict(device.acoustics)}

    def plug(_: Said) -> dict[str, Any]:
        device.plug()
        return {}

    def unplug(_: Said) -> dict[str, Any]:
        device.unplug()
        return {}

    return {"press": press, "look": look, "place": place, "plug": plug, "unplug": unplug}


def control_verbs(device: Headset, stretch: Stretch) -> dict[str, Verb]:
    """What only the owner of the simulation may do besides: set the defects, and read the truth."""

    def defects(said: Said) -> dict[str, Any]:
        sizes = said.get("sizes")
        numbers = isinstance(sizes, dict) and all(
            isinstance(size, int | float) and not isinstance(size, bool) for size in sizes.values()
        )
        if not numbers:
            raise BadInput("no sizes; expected an object of defect to size")
        device.behaviour = behaviour_with(said["sizes"])
        return {"defects": sorted(said["sizes"])}

    def truth(_: Said) -> dict[str, Any]:
        events = [{"at_s": round(at, 4), "kind": kind, "value": value} for at, kind, value in device.events]
        return {"mixer": device.mixer.levels(), "off_hook": device.keys.off_hook, "events": events}

    return {**bench_verbs(device, stretch), "defects": defects, "truth": truth}


def _private_socket(path: Path) -> socket.socket:
    """A socket file that was never open to others, not even between making and guarding it."""
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


class Port:
    """Listens for verbs on TCP or on a socket file."""

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen on TCP, and give the address; raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=LINE_BYTES_MAX)
        name, number, *_ = self._server.sockets[0].getsockname()
        return name, number

    async def open_file(self, path: Path) -> None:
        """Listen on a socket file that only its owner may open; raises OSError."""
        self._server = await asyncio.start_unix_server(self._serve, sock=_private_socket(path), limit=LINE_BYTES_MAX)

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        for writer in tuple(self._writers):
            writer.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, ValueError, asyncio.CancelledError):  # ValueError: a line longer than the limit
                while line := await reader.readline():
                    writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return {"ok": False, "why": "not JSON"}
        if not isinstance(said, dict) or not isinstance(said.get("do"), str) or said["do"] not in self._verbs:
            return {"ok": False, "why": f'expected {{"do": ...}} with one of {", ".join(sorted(self._verbs))}'}
        try:
            return {"ok": True, **self._verbs[said["do"]](said)}
        except BadInput as error:
            return {"ok": False, "why": error.detail}
