"""An agent whose phones are always there and whose suite needs none: ``python fake_agent.py``, settings from the
environment. Each reset through its driver is a line in the file ``resets`` of the work directory.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import ClassVar

from agents.drivers import PhoneDriver, Server
from agents.logs import JsonLog
from agents.serve import serve
from agents.settings import read_settings
from lab_inventory.clock import Clock, SystemClock
from lab_inventory.device import Product, Sighting
from lab_inventory.lab import Slot

FAKE_RUN = (sys.executable, str(Path(__file__).with_name("fake_suite.py")))


class FakeProbe:
    def __init__(self, slot: Slot, clock: Clock) -> None:
        self.slot = slot
        self.clock = clock
        self.bound = False

    def bind(self) -> None:
        self.bound = True

    def release(self) -> None:
        self.bound = False

    def sighting(self) -> Sighting | None:
        return Sighting(
            slot=self.slot.name,
            user_agent="Acme One 1.0",
            contact="sip:1001@127.0.0.1",
            sip_instance=f"urn:uuid:{self.slot.name}",
            seen_at=self.clock.now(),
        )

    def trouble(self) -> tuple[str, str] | None:
        return None

    restless = sees_at_once = False


class FakeDriver:
    name: ClassVar[str] = "fake"

    def __init__(self, control: str) -> None:
        self.control = control

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        return Product(maker="Acme", model="One", firmware="1.0")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def dial(self, uri: str) -> None: ...

    async def answer(self) -> None: ...

    async def hang_up(self) -> None: ...

    async def hold(self) -> None: ...

    async def resume(self) -> None: ...

    async def press_keys(self, digits: str) -> None: ...

    async def transfer(self, uri: str) -> None: ...

    async def consult(self, uri: str) -> None: ...

    async def complete_transfer(self) -> None: ...

    async def use_server(self, server: Server | None) -> None: ...

    async def reset(self) -> None:
        folder = os.environ.get("ASSAY_AGENT_WORK_DIR")
        if folder is None:  # nobody looks
            return
        with (Path(folder) / "resets").open("a") as file:
            file.write(self.control + "\n")


DRIVERS: dict[str, type[PhoneDriver]] = {"fake": FakeDriver}


async def main() -> None:
    clock, stop = SystemClock(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(
        read_settings(),
        clock,
        JsonLog(clock),
        stop=stop,
        drivers=DRIVERS,
        probe_for=FakeProbe,
        command=FAKE_RUN,
    )


if __name__ == "__main__":
    asyncio.run(main())
