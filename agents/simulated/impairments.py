"""What a network between phone and bench can do to the phone's audio, each with its size, for the proxy. Pure but for
what each remembers. Audio alone: events and SIP pass as they come.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agents.simulated.defects import AT_ONCE, DEFECTS, TELEPHONE_EVENT, Defect, Fate
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput

STALLS_EVERY_S = 2.0
HELD_BACK_S = 0.03
"""A packet that is overtaken comes so much later: one that follows it has gone by then, and one more may have."""
APART_S = 0.0002
IN_ORDER_S = 0.05
"""A way that stands still lets nothing overtake: what comes so soon after a stall waits behind what was held, so far
apart. A timer that is late for the one is as late for the other.
"""


class _Impairment(Defect):
    """The base: one number that says how much, and a count that makes a share without chance."""

    def __init__(self, clock: Clock, size: float) -> None:
        super().__init__(clock)
        self._size = size
        self._owed: dict[bytes, float] = {}

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Leave events alone."""
        return [(AT_ONCE, packet)] if packet[1] & 0x7F == TELEPHONE_EVENT else self._audio(call, packet)

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        raise NotImplementedError

    def _is_its_turn(self, call: bytes) -> bool:
        """So often as the size in percent says, evenly."""
        owed = self._owed.get(call, 0.0) + self._size / 100
        turn = owed >= 1
        self._owed[call] = owed - turn
        return turn


class Loses(_Impairment):
    """Packets that never come."""

    slug = "network-loses"
    wrong = "a share of the audio packets is lost on the way (RFC 3550, 5.1)"

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        return [] if self._is_its_turn(call) else [(AT_ONCE, packet)]


class Duplicates(_Impairment):
    """Packets that come twice."""

    slug = "network-duplicates"
    wrong = "a share of the audio packets comes twice (RFC 3550, A.1)"

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        return [(AT_ONCE, packet)] * (2 if self._is_its_turn(call) else 1)


class Reorders(_Impairment):
    """Packets that are overtaken."""

    slug = "network-reorders"
    wrong = "a share of the audio packets is overtaken by the next (RFC 3550, 5.1)"

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        return [(HELD_BACK_S if self._is_its_turn(call) else AT_ONCE, packet)]


class Jitters(_Impairment):
    """Packets that are late by another time each."""

    slug = "network-jitters"
    wrong = "audio packets are late by a time that is evenly spread up to the size (RFC 3550, 6.4.1)"

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        return [(self._clock.uniform(0.0, self._size / 1000), packet)]


class Stalls(_Impairment):
    """A way that stands still for a while, and lets all go at once then."""

    slug = "network-stalls"
    wrong = "once in two seconds nothing comes through for so long, and then all at once (RFC 3550, 6.4.1)"

    def __init__(self, clock: Clock, size: float) -> None:
        super().__init__(clock, size)
        self._began_s: float | None = None
        self._last_goes_s = float("-inf")

    def _audio(self, call: bytes, packet: bytes) -> Fate:
        now_s = self._clock.boottime_s()
        if self._began_s is None:
            self._began_s = now_s
        into_s = (now_s - self._began_s) % STALLS_EVERY_S - STALLS_EVERY_S / 2
        left_s = self._size / 1000 - into_s
        behind_s = self._last_goes_s + APART_S - now_s
        if into_s >= 0 and left_s > 0:
            delay_s = max(left_s, behind_s)
            self._last_goes_s = now_s + delay_s
        else:
            delay_s = max(APART_S, behind_s) if behind_s > -IN_ORDER_S else AT_ONCE
        return [(delay_s, packet)]


@dataclass(frozen=True, kw_only=True)
class SizedDefect:
    """One impairment: what is wrong, the unit of its size, and how it is made."""

    wrong: str
    size_unit: str
    make: Callable[[Clock, float], Defect]


IMPAIRMENTS: dict[str, SizedDefect] = {
    kind.slug: SizedDefect(wrong=kind.wrong, size_unit=unit, make=kind)
    for kind, unit in (
        (Loses, "percent"),
        (Duplicates, "percent"),
        (Reorders, "percent"),
        (Jitters, "ms"),
        (Stalls, "ms"),
    )
}


def made(lines: list[str], clock: Clock) -> list[Defect]:
    """The defects of a phone's file ``defects``: ``SLUG``, or ``SLUG=SIZE`` for an impairment. Raises BadInput."""
    return [_made(line, clock) for line in lines]


def _made(line: str, clock: Clock) -> Defect:
    slug, _, size = line.partition("=")
    sized = IMPAIRMENTS.get(slug)
    if line not in DEFECTS and sized is None:
        raise BadInput(f"unknown defect {line}; known are {', '.join(sorted((*DEFECTS, *IMPAIRMENTS)))}")
    if sized is None:
        return DEFECTS[line](clock)
    try:
        return sized.make(clock, float(size))
    except ValueError:
        raise BadInput(f"{slug} needs a size in {sized.size_unit}, as {slug}=SIZE; there is {size or 'none'}") from None
