"""The hands at a headset: they press its keys and pull and put its plug, and nothing else.

What the headset did is for the instruments to see: its reports, its lamps, its sound.
"""

from enum import StrEnum
from typing import ClassVar, Protocol

from agents.bench_port import BenchPort
from lab_inventory.noun import host_and_port


class HeadsetKey(StrEnum):
    """The keys that a headset for calls has."""

    HOOK = "hook"
    MUTE = "mute"
    VOLUME_UP = "volume-up"
    VOLUME_DOWN = "volume-down"


class HeadsetHands(Protocol):
    """Presses the keys of one headset. Each verb returns when it was done, and raises LabError where it was not."""

    name: ClassVar[str]

    async def press(self, key: HeadsetKey) -> None:
        """Press a key once and let go of it."""
        ...

    async def unplug(self) -> None:
        """Pull its plug."""
        ...

    async def plug(self) -> None:
        """Put its plug in."""
        ...

    async def close(self) -> None:
        """Let go; the headset stays as it is."""
        ...


class BenchPortHands:
    """Hands that are a bench port: those of the virtual headset, or of an actuator that speaks as it does."""

    name: ClassVar[str] = "bench-port"

    def __init__(self, control: str) -> None:
        self._port = BenchPort(host_and_port(control))

    async def press(self, key: HeadsetKey) -> None:
        """As the hands say."""
        await self._port.ask("press", key=str(key))

    async def unplug(self) -> None:
        """As the hands say."""
        await self._port.ask("unplug")

    async def plug(self) -> None:
        """As the hands say."""
        await self._port.ask("plug")

    async def close(self) -> None:
        """As the hands say."""
        self._port.close()
