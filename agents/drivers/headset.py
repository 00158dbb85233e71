"""The hands at a headset: they press its keys and pull and put its plug, and nothing else.

What the headset did is for the instruments to see: its reports, its lamps, its sound.
"""

from enum import StrEnum
from typing import ClassVar, Protocol

from agents.bench_port import BenchPort
from agents.drivers import DriverRefused, DriverUnreachable
from agents.drivers.operator_page import OperatorPage
from lab_inventory.device import Product
from lab_inventory.noun import host_and_port


class HeadsetKey(StrEnum):
    """The keys that a headset for calls has."""

    HOOK = "hook"
    MUTE = "mute"
    VOLUME_UP = "volume-up"
    VOLUME_DOWN = "volume-down"


class HeadsetHands(Protocol):
    """Presses the keys of one headset. Each verb returns when it was done, and raises LabError where it was not.

    ``at_the_call``: whether it is done at the call of a verb, so that a delay can be counted from there on.
    """

    name: ClassVar[str]
    at_the_call: ClassVar[bool]

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
    """Hands that are a bench port: those of the virtual headset, or of an actuator that speaks as it does.

    As a driver it belongs to the bench and to no maker's product: the lab file names it.
    """

    name: ClassVar[str] = "bench-port"
    version: ClassVar[str] = "1.0"
    tried_on: ClassVar[tuple[str, ...]] = ("Virtual Lab Virtual Headset 1.23, 2026-11-26",)
    at_the_call: ClassVar[bool] = True

    def __init__(self, control: str) -> None:
        self._port = BenchPort(host_and_port(control))

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """None: an actuator knows no product."""
        return None

    async def open(self) -> None:
        """The connection is made with the first press."""

    async def reset(self) -> None:
        """Put the plug in, should a run have ended with it pulled."""
        await self.plug()

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


class OperatorHands:
    """Asks the person beside the headset, on a page that the lab host serves at ``control`` while a run lasts.

    A person says "done" some time after the key went down, so no delay is counted from there.
    """

    name: ClassVar[str] = "operator"
    at_the_call: ClassVar[bool] = False

    def __init__(self, control: str, title: str, *, timeout_s: float = 120.0) -> None:
        self._control = control
        self._page = OperatorPage(control, title)
        self._timeout_s = timeout_s

    async def press(self, key: HeadsetKey) -> None:
        """As the hands say."""
        await self._ask(f"Press the key {key} of the headset once")

    async def unplug(self) -> None:
        """As the hands say."""
        await self._ask("Pull the plug of the headset")

    async def plug(self) -> None:
        """As the hands say."""
        await self._ask("Put the plug of the headset in again, where it was")

    async def close(self) -> None:
        """As the hands say."""
        await self._page.close()

    async def _ask(self, words: str) -> None:
        try:
            await self._page.open()
        except OSError as error:
            raise DriverUnreachable(f"{self._control} cannot be listened at: {error.strerror or error}") from error
        said = await self._page.ask(words, self._timeout_s)
        if said is None:
            raise DriverUnreachable(f"nobody said within {self._timeout_s:g} s that it was done: {words}")
        if said == "cannot":
            raise DriverRefused(f"the person at the headset says that it cannot be done: {words}")
