"""What the bench sees of a headset and holds to it: its lamps, the coupler from ear to mouth, a talker, the bus clock.

On a real bench these are photodiodes, a coupler and a mouth simulator; here they are asked of a bench port.
"""

from dataclasses import dataclass
from typing import Protocol

from agents.bench_port import BenchPort
from agents.measure import LabError
from lab_inventory.noun import host_and_port


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a look shows. ``stretch_ms``: how long an emulated bus clock has stood still, in all; a real one never."""

    lamps: dict[str, bool]
    on_bus: bool
    attached: bool
    stretch_ms: float


class NotOnThisBench(LabError):
    """The bench has no instrument for this"""

    slug = "not-on-this-bench"


class Eye(Protocol):
    """What a bench sees of a headset and holds to it. What it does not have raises NotOnThisBench."""

    async def look(self) -> Seen:
        """Look once at the lamps."""
        ...

    async def stretch_ms(self) -> float:
        """How long an emulated bus clock has stood still, in all."""
        ...

    async def couple(self, *, left: float, right: float) -> None:
        """Hold the coupler from each ear to the mouth; linear gains, 0: no sound passes."""
        ...

    async def talk(self, *, hertz: float, peak: float) -> None:
        """Let the talker before the mouth sound: a tone of ``peak`` LSB of 16 bits; 0: silence."""
        ...

    def close(self) -> None:
        """Look no more."""
        ...


class NoEye:
    """A bench that sees no lamps and has neither coupler nor talker: descriptors, keys and plugging remain."""

    async def look(self) -> Seen:
        """Raises NotOnThisBench."""
        raise NotOnThisBench("nothing on this bench sees the headset's lamps")

    async def stretch_ms(self) -> float:
        """0: a real bus clock never stands still."""
        return 0.0

    async def couple(self, *, left: float, right: float) -> None:
        """Raises NotOnThisBench."""
        raise NotOnThisBench("this bench has no coupler from ear to mouth")

    async def talk(self, *, hertz: float, peak: float) -> None:
        """Raises NotOnThisBench, unless nobody is to talk."""
        if peak:
            raise NotOnThisBench("this bench has no talker before the mouth")

    def close(self) -> None:
        """Nothing was open."""


class BenchEye:
    """The eye, the coupler and the talker of one slot, by a bench port."""

    def __init__(self, control: str) -> None:
        self._port = BenchPort(host_and_port(control))

    async def look(self) -> Seen:
        """Look once. Raises LabError where the simulation itself has failed: then nothing it showed proves anything."""
        said = await self._port.ask("look")
        if said.get("failures"):
            raise LabError(f"the simulated headset itself failed {said['failures']} times")
        return Seen(
            lamps=dict(said["lamps"]),
            on_bus=bool(said["on_bus"]),
            attached=bool(said["attached"]),
            stretch_ms=float(said["stretch_ms"]),
        )

    async def stretch_ms(self) -> float:
        """How long an emulated bus clock has stood still, in all."""
        return (await self.look()).stretch_ms

    async def couple(self, *, left: float, right: float) -> None:
        """Hold the coupler from each ear to the mouth; linear gains, 0: no sound passes."""
        await self._port.ask("place", left_gain=left, right_gain=right)

    async def talk(self, *, hertz: float, peak: float) -> None:
        """Let the talker before the mouth sound: a tone of ``peak`` LSB of 16 bits; 0: silence."""
        await self._port.ask("place", talker_hz=hertz, talker_peak=peak)

    def close(self) -> None:
        """Look no more."""
        self._port.close()
