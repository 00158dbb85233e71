"""Keys that a person presses: a person who says "done" too late must fail no phone.

Until the person says it, the bench waits; what the phone sent meanwhile lies unanswered, and a phone whose request lies
long enough repeats it and gives it up, as it should. So the bench keeps when each press was asked for and confirmed,
and a case in which a request of the phone came well before that is the lab's error.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from agents.drivers import KeyGoesDown, PhoneDriver, traits_of
from agents.instruments.sip_transport import Direction, TraceEntry
from lab_inventory.clock import boottime_ns

DONE_WITHIN_S = 4.0
"""So soon after the phone has acted its person has to say "done"."""

_TIMED = ("dial", "hang_up", "hold", "resume", "press_keys", "transfer", "consult", "complete_transfer")
_ASKS = (b"INVITE ", b"REFER ", b"BYE ", b"CANCEL ")


@dataclass(frozen=True, kw_only=True)
class Press:
    """A key press: the verb of the driver was called at ``called_ns`` and came back at ``returned_ns`` (boot time)."""

    called_ns: int
    returned_ns: int


class SlowKeys:
    """A driver whose presses are kept in ``presses``; everything else of it is as it is."""

    def __init__(self, driver: PhoneDriver) -> None:
        self._driver = driver
        self.presses: list[Press] = []

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._driver, name)
        return self._timed(member) if name in _TIMED else member

    def _timed(self, verb: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def press(*arguments: str) -> None:
            called_ns = boottime_ns()
            await verb(*arguments)
            self.presses.append(Press(called_ns=called_ns, returned_ns=boottime_ns()))

        return press


def with_its_pace(driver: PhoneDriver) -> PhoneDriver:
    """The driver itself, or with its presses kept where nobody knows when its keys go down."""
    if traits_of(driver).key_goes_down is not KeyGoesDown.UNKNOWN:
        return driver
    return cast("PhoneDriver", SlowKeys(driver))


def presses_of(driver: PhoneDriver) -> list[Press]:
    """The presses that were kept; none of a driver that is quick."""
    return driver.presses if isinstance(driver, SlowKeys) else []


def said_too_late(presses: Iterable[Press], seen: Iterable[TraceEntry]) -> str:
    """In words, which request of the phone lay unanswered because a press was confirmed late; empty where none did."""
    asked = [entry for entry in seen if entry.direction is Direction.IN and entry.raw.startswith(_ASKS)]
    for press in presses:
        for entry in asked:
            waited_s = (press.returned_ns - entry.at_ns) / 1e9
            if press.called_ns <= entry.at_ns and waited_s > DONE_WITHIN_S:
                method = entry.raw.split(b" ", 1)[0].decode()
                return f"a press was said to be done {waited_s:.1f} s after the phone had sent its {method}"
    return ""
