"""Asks the person beside a phone to press its keys, so that a phone without any interface can be tested.

The control address of the slot is where the driver listens, on the lab host, while a run lasts: with a page for a
browser and for ``assay-agent operator``. A person is slower than a program and says "done" some time after the key went
down, so this driver declares that a press may take two minutes and that nobody knows its moment: no delay from a press
on is measured with it.
"""

import asyncio
from typing import ClassVar, Self

from agents.drivers import DriverRefused, DriverUnreachable, KeyGoesDown, Server
from agents.drivers.operator_page import OperatorPage
from lab_inventory.clock import boottime_ns
from lab_inventory.device import Product
from lab_inventory.lab import Slot

PRESS_TIMEOUT_S = 120.0
SHORT_RESET_S = 8.0
"""So long is waited for a reset when the run is being stopped: there is nothing left to measure."""
RESET_HOLDS_S = 2.0
"""So long after the person said that the phone is idle it is not asked again."""


class OperatorDriver:
    """Asks for one key after the other. ``title``: which phone it is, for the person."""

    name: ClassVar[str] = "operator"
    version: ClassVar[str] = "1.0"
    tried_on: ClassVar[tuple[str, ...]] = ()
    key_goes_down: ClassVar[KeyGoesDown] = KeyGoesDown.UNKNOWN
    press_timeout_s: float = PRESS_TIMEOUT_S

    def __init__(self, control: str, *, title: str = "", press_timeout_s: float = PRESS_TIMEOUT_S) -> None:
        self.press_timeout_s = press_timeout_s
        self._control = control
        self._page = OperatorPage(control, title)
        self._idle_since_ns: int | None = None
        self._other_server = False

    @classmethod
    def of_slot(cls, slot: Slot) -> Self:
        """Titled with the name of the slot."""
        if slot.control is None:
            raise DriverUnreachable(f"slot {slot.name} has no control address in the lab file")
        return cls(slot.control, title=f"The phone in {slot.name}")

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """None: it serves any phone, where the lab file says so."""
        return None

    async def open(self) -> None:
        """Listen for the person."""
        try:
            await self._page.open()
        except OSError as error:
            words = f"{self._control} cannot be listened at for the operator: {error.strerror or error}"
            raise DriverUnreachable(words) from error

    async def close(self) -> None:
        """Listen no more."""
        await self._page.close()

    async def dial(self, uri: str) -> None:
        """Ask to dial."""
        await self._ask(f"Dial {_called(uri)} and press the call key")

    async def answer(self) -> None:
        """Ask to take the call."""
        await self._ask("Answer the call")

    async def hang_up(self) -> None:
        """Ask to hang up."""
        await self._ask("Hang up")

    async def hold(self) -> None:
        """Ask to hold."""
        await self._ask("Put the call on hold")

    async def resume(self) -> None:
        """Ask to take it back."""
        await self._ask("Take the held call back")

    async def press_keys(self, digits: str) -> None:
        """Ask for digits."""
        await self._ask(f"Press {' '.join(digits)}")

    async def transfer(self, uri: str) -> None:
        """Ask to transfer blindly."""
        await self._ask(f"Transfer the call to {_called(uri)} without asking there (blind)")

    async def consult(self, uri: str) -> None:
        """Ask to hold and dial."""
        await self._ask(f"Begin a transfer with a consultation: call {_called(uri)}, the first call stays on hold")

    async def complete_transfer(self) -> None:
        """Ask to complete the transfer."""
        await self._ask("Complete the transfer")

    async def use_server(self, server: Server | None) -> None:
        """Ask to enter a server, or to take out the one that was entered. The password stands on the page alone."""
        if server is not None:
            self._other_server = True
            shown = f", password {server.password}, SRTP {server.srtp}"
            await self._ask(f"Enter the SIP server {server.uri} and use it: user {server.user}", shown=shown)
        elif self._other_server:
            await self._ask("Take the other SIP server out again: back to the phone's own account")
            self._other_server = False

    async def reset(self) -> None:
        """Ask to end everything, unless the person has just said that the phone is idle."""
        idle_ns = self._idle_since_ns
        if idle_ns is not None and boottime_ns() - idle_ns < RESET_HOLDS_S * 1e9:
            return
        task = asyncio.current_task()
        stopping = task is not None and task.cancelling() > 0
        timeout_s = min(SHORT_RESET_S, self.press_timeout_s) if stopping else self.press_timeout_s
        await self._ask("End every call: the phone is to be idle, on hook", timeout_s)
        if not stopping:
            await self.use_server(None)
        self._idle_since_ns = boottime_ns()

    async def _ask(self, words: str, timeout_s: float | None = None, shown: str = "") -> None:
        """Ask, and raise what comes of it; ``shown`` stands on the page and in no error."""
        await self.open()
        self._idle_since_ns = None
        waited_s = self.press_timeout_s if timeout_s is None else timeout_s
        said = await self._page.ask(words + shown, waited_s)
        if said is None:
            raise DriverUnreachable(f"nobody at {self._control} said within {waited_s:g} s that it was done: {words}")
        if said == "cannot":
            raise DriverRefused(f"the person at the phone says that it cannot be done: {words}")


def _called(uri: str) -> str:
    """What a person dials at a phone that is registered at the bench: the user; and the whole, where that is asked."""
    user = uri.removeprefix("sip:").partition("@")[0]
    return f"{user} ({uri})"
