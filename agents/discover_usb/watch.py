"""What is plugged in on this host and whether it answers, kept up to date by looking often; shared by all USB slots.

A device is asked whether it is alive in a thread of its own, for which a look waits no longer than ``ANSWERS_S``.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Protocol

from agents.discover_usb.alive import why_silent
from agents.discover_usb.losses import HubWatch
from agents.discover_usb.records import UsbRecord
from agents.discover_usb.units import PluggedIn, UsbUnit, plugged_in
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

QUIET_S = 0.2
"""A device comes and goes in many events; what is there is looked at when none came for this long,"""
PATIENCE_S = 2.0
"""or when they have been coming for this long,"""
LOOK_AGAIN_S = 10.0
"""or after this long without any, should one have been missed. So often every unit is asked whether it is alive."""
BECOMES_WHOLE_S = 2.0
"""After this long a unit without all its drivers is taken as it is: that may be what is wrong with it."""


ANSWERS_S = 0.05
"""Most answer within milliseconds: who was just plugged in is then known with the same look."""


class Bus(Protocol):
    """Where records come from: :class:`agents.discover_usb.bus.UsbBus`."""

    def changed(self) -> bool:
        """Whether anything came or went since the last call."""
        ...

    def records(self) -> tuple[UsbRecord, ...]:
        """Everything that is there."""
        ...


Ask = Callable[[str], str]
"""As :func:`agents.discover_usb.alive.why_silent`."""


@dataclass(kw_only=True)
class _Asked:
    """What is known of one unit since it was plugged in. ``answer`` None: it was never answered for yet."""

    since_s: float
    asked_at_s: float
    pending: "Future[str] | None"
    answer: str | None = None


class UsbWatch:
    """The units of this host. ``bus_for`` is called once, when somebody looks first."""

    def __init__(self, bus_for: Callable[[], Bus], clock: Clock, ask: Ask = why_silent) -> None:
        self._bus_for = bus_for
        self._clock = clock
        self._ask = ask
        self._bus: Bus | None = None
        self._now = PluggedIn()
        self._hubs = HubWatch()
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._looked_at_s = float("-inf")
        self._stirred_at_s: float | None = None
        self._quiet_since_s = 0.0

    def look(self) -> PluggedIn:
        """What is plugged in; raises Unavailable where udev is not to be had."""
        now_s = self._clock.boottime_s()
        if self._bus is None:
            try:
                self._bus = self._bus_for()
            except (ImportError, OSError) as error:
                raise Unavailable(f"udev is not to be had on this host: {error}") from error
        if self._bus.changed():
            self._quiet_since_s = now_s
            self._stirred_at_s = now_s if self._stirred_at_s is None else self._stirred_at_s
        stirred = self._stirred_at_s is not None and (
            now_s - self._quiet_since_s >= QUIET_S or now_s - self._stirred_at_s >= PATIENCE_S
        )
        if stirred or now_s - self._looked_at_s >= LOOK_AGAIN_S:
            self._stirred_at_s, self._looked_at_s = None, now_s
            self._now = plugged_in(self._bus.records())
            self._hubs.note(self._now, now_s)
            self._ask_all(now_s)
        return self._now

    def why_gone(self, place: str) -> str:
        """The hub that lost what hung at this port or below it, in words; empty where none did."""
        return self._hubs.why_gone(place)

    def is_ready(self, unit: UsbUnit) -> bool:
        """Whether the unit has answered once, and has all its drivers or had the time for them."""
        asked = self._asked.get((unit.paths[0], unit.node))
        if asked is None or self._answer(asked) is None:
            return False
        return unit.whole or self._clock.boottime_s() - asked.since_s >= BECOMES_WHOLE_S

    def why_silent(self, unit: UsbUnit) -> str:
        """Why the unit counts as a ghost, in words; empty where it answers, or was not asked yet."""
        asked = self._asked.get((unit.paths[0], unit.node))
        return (self._answer(asked) or "") if asked is not None else ""

    @property
    def restless(self) -> bool:
        """Whether something is being plugged in or out, or has not answered yet for the first time, or not wholly."""
        return self._stirred_at_s is not None or not all(map(self.is_ready, self._now.units))

    def idle(self) -> bool:
        """Whether no unit is being asked just now."""
        return not any(asked.pending is not None and not asked.pending.done() for asked in self._asked.values())

    def _ask_all(self, now_s: float) -> None:
        """Ask every unit that is new, and from time to time each again."""
        here = {(unit.paths[0], unit.node): unit for unit in self._now.units}
        self._asked = {key: asked for key, asked in self._asked.items() if key in here}
        for key, unit in here.items():
            asked = self._asked.get(key)
            if asked is None:
                pending = self._start(unit.node)
                wait((pending,), ANSWERS_S)
                self._asked[key] = _Asked(since_s=now_s, asked_at_s=now_s, pending=pending)
            elif self._answer(asked) is not None and now_s - asked.asked_at_s >= LOOK_AGAIN_S:
                asked.asked_at_s, asked.pending = now_s, self._start(unit.node)

    def _start(self, node: str) -> "Future[str]":
        told: Future[str] = Future()

        def ask() -> None:
            try:
                told.set_result(self._ask(node))
            except FileNotFoundError:
                told.set_result("it was gone before it was asked")
            except OSError as error:
                told.set_result(f"it cannot be asked: {error.strerror} ({node})")
            except Exception as error:
                told.set_exception(error)

        Thread(target=ask, daemon=True, name=f"ask {node}").start()
        return told

    @staticmethod
    def _answer(asked: _Asked) -> str | None:
        """The last answer: words for silence, empty for life, None where none has come yet."""
        if asked.pending is not None and asked.pending.done():
            asked.answer, asked.pending = asked.pending.result(), None
        return asked.answer
