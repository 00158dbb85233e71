"""The phone's lamps: what a person beside it would see, written down as it changes, for whatever stands for a light
sensor (see ``agents/simulated/lamp_sensor.py``).
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from agents.simulated.reference_phone.behaviour import Behaviour
from lab_inventory.clock import boottime_ns

RING, MESSAGE = "ring", "message"


class Lamps:
    """``spawn`` runs what switches a lamp later. ``path`` None: nobody looks."""

    def __init__(
        self, path: Path | None, behaviour: Behaviour, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._path = path
        self._spawn = spawn
        self._delay_s = {RING: behaviour.ring_lamp_delay_s, MESSAGE: behaviour.message_lamp_delay_s}
        self._works = {RING: behaviour.lights_ring_lamp, MESSAGE: behaviour.lights_message_lamp}
        self._wanted = {RING: False, MESSAGE: False}
        if path is not None and path.exists():  # a phone that starts again is dark
            for lamp in self._wanted:
                self._write(lamp, False)

    def show(self, lamp: str, lit: bool) -> None:
        """Switch a lamp, where it is not so yet."""
        if self._path is None or not self._works[lamp] or self._wanted[lamp] is lit:
            return
        self._wanted[lamp] = lit
        self._spawn(self._switch(lamp, lit))

    async def _switch(self, lamp: str, lit: bool) -> None:
        await asyncio.sleep(self._delay_s[lamp] if lit else 0.0)
        if self._wanted[lamp] is lit:
            self._write(lamp, lit)

    def _write(self, lamp: str, lit: bool) -> None:
        if self._path is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"lamp": lamp, "lit": lit, "at_ns": boottime_ns()}) + "\n")
