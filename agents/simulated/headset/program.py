"""One virtual headset with its ports, put together: what the program runs and what a test starts. Owns the sockets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.simulated.headset.control import Port, bench_verbs, control_verbs
from agents.simulated.headset.device import Headset
from agents.simulated.headset.server import UsbIpServer

BUSID = "1-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """Where the headset listens: USB/IP, and the bench's port."""

    usbip: tuple[str, int]
    bench: tuple[str, int]


class VirtualHeadset:
    """A headset that is plugged in, its USB/IP server, its bench port and, where a path is given, its control port."""

    def __init__(self, serial: str) -> None:
        loop = asyncio.get_running_loop()

        def later(seconds: float, what: Callable[[], None]) -> None:
            if seconds <= 0:
                what()
            else:
                loop.call_later(seconds, what)

        self.device = Headset(serial, later, loop.time)
        self.server = UsbIpServer({BUSID: self.device})
        self._bench = Port(bench_verbs(self.device, self.stretch))
        self._control = Port(control_verbs(self.device, self.stretch))

    def stretch(self) -> tuple[float, int]:
        """Milliseconds that the bus clock has stood still, and how often."""
        return self.server.stretch(BUSID)

    async def open(self, usbip: tuple[str, int], bench: tuple[str, int], control: Path | None) -> Addresses:
        """Listen everywhere and plug in; raises OSError."""
        addresses = Addresses(usbip=await self.server.open(*usbip), bench=await self._bench.open(*bench))
        if control is not None:
            await self._control.open_file(control)
        self.device.plug()
        return addresses

    async def close(self) -> None:
        """End everything."""
        self.device.unplug()
        await self._bench.close()
        await self._control.close()
        await self.server.close()
