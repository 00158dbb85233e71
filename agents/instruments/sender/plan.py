"""Which packet of a stream is sent when: computed before the first is sent, the same for the same seed. Pure.

Takes how many packets there are, their time and an :class:`Impairment`; gives the times, and what was done, so that
what is measured of the stream can be held against the truth. Nothing here knows what is in a packet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agents.instruments.sender.impairment import CLEAN, GilbertElliott, Impairment
from lab_inventory.clock import seeded_chance

FRAME_NS = 20_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """One packet on its way: how long after the stream's begin (ns), and which one of the stream, from 0."""

    offset_ns: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A stream of ``packets`` packets, each standing for ``interval_ns`` of sound, as it is sent.

    ``sendings`` are in order of time. ``lost``, ``held_back`` and ``duplicated`` have the numbers of the packets to
    which it was done; one that is lost is neither of the others. ``drift_ppm`` is that of the impairment.
    """

    packets: int
    interval_ns: int
    sendings: tuple[Sending, ...]
    lost: tuple[int, ...]
    held_back: tuple[int, ...]
    duplicated: tuple[int, ...]
    drift_ppm: float

    @property
    def duration_ns(self) -> int:
        """From the stream's begin until a packet after its last would be due."""
        return _due_ns(self.packets, self.interval_ns, self.drift_ppm)

    @property
    def ends_ns(self) -> int:
        """From the stream's begin until all of it is sent and the time of its last packet is over."""
        return max([self.duration_ns, *(sending.offset_ns for sending in self.sendings[-1:])])

    @property
    def loss(self) -> float:
        """The share of packets that is not sent."""
        return len(self.lost) / self.packets if self.packets else 0.0

    def jitter_ms(self) -> tuple[float, ...]:
        """The interarrival jitter in ms (RFC 3550, 6.4.1) after each sending but the first, where the way adds none."""
        estimates: list[float] = []
        jitter_ns = 0.0
        for before, after in pairwise(self.sendings):
            sent_ns = (after.number - before.number) * self.interval_ns
            jitter_ns += (abs(after.offset_ns - before.offset_ns - sent_ns) - jitter_ns) / 16
            estimates.append(jitter_ns / 1e6)
        return tuple(estimates)


def plan(packets: int, impairment: Impairment = CLEAN, *, seed: int = 0, interval_ns: int = FRAME_NS) -> Plan:
    """The plan of a stream. Each impairment draws from a chance of its own, so that none changes what another does."""
    lost = _lost(packets, impairment, seed)
    held_back = _held_back(packets, impairment, lost, seed)
    copied = _chosen(packets, impairment.duplicate, f"{seed} duplicate") - lost
    due_ns = _times(packets, impairment, seed, interval_ns)
    # One that is held back goes right behind the one it waits for; what is due together goes in order of numbers.
    ordered = sorted(
        (due_ns[held_back.get(number, number)], held_back.get(number, number), number in held_back, number)
        for number in range(packets)
        if number not in lost
    )
    sendings = [
        Sending(offset_ns=offset_ns, number=number)
        for offset_ns, _, _, number in ordered
        for _ in range(2 if number in copied else 1)
    ]
    return Plan(
        packets=packets,
        interval_ns=interval_ns,
        sendings=tuple(sendings),
        lost=tuple(sorted(lost)),
        held_back=tuple(sorted(held_back)),
        duplicated=tuple(sorted(copied)),
        drift_ppm=impairment.drift_ppm,
    )


def _due_ns(number: int, interval_ns: int, drift_ppm: float) -> int:
    """When a packet is due by a clock that runs fast by ``drift_ppm``."""
    return round(number * interval_ns / (1 + drift_ppm / 1e6))


def _times(packets: int, impairment: Impairment, seed: int, interval_ns: int) -> Sequence[int]:
    """When each packet would be sent that is neither lost nor held back; never before the one before it."""
    chance = seeded_chance(f"{seed} jitter")
    times: list[int] = []
    for number in range(packets):
        delayed = _due_ns(number, interval_ns, impairment.drift_ppm) + round(chance() * impairment.jitter_ms * 1e6)
        times.append(max(delayed, times[-1]) if times else delayed)
    return times


def _chosen(packets: int, share: float, seed: str) -> set[int]:
    chance = seeded_chance(seed)
    return {number for number in range(packets) if chance() < share}


def _lost(packets: int, impairment: Impairment, seed: int) -> set[int]:
    return _lost_alone(packets, impairment, seed) | _lost_in_bursts(packets, impairment.burst, seed)


def _lost_alone(packets: int, impairment: Impairment, seed: int) -> set[int]:
    """Losses of which each but the last has at least ``loss_spacing`` - 1 packets that are not lost behind it.

    Where p is the chance of a packet that may be lost, one loss comes in spacing - 1 + 1/p packets in the mean.
    """
    if not impairment.loss:
        return set()
    chance = seeded_chance(f"{seed} loss")
    share = 1 / (1 / impairment.loss - (impairment.loss_spacing - 1))
    lost: set[int] = set()
    last = -impairment.loss_spacing
    for number in range(packets):
        if chance() < share and number - last >= impairment.loss_spacing:
            lost.add(number)
            last = number
    return lost


def _lost_in_bursts(packets: int, line: GilbertElliott | None, seed: int) -> set[int]:
    """Begins in the state the line is in with the chance that it has in the long run."""
    if line is None:
        return set()
    state, loss = seeded_chance(f"{seed} burst state"), seeded_chance(f"{seed} burst loss")
    bad = state() < line.to_bad / (line.to_bad + line.to_good)
    lost: set[int] = set()
    for number in range(packets):
        if loss() < (line.loss_bad if bad else line.loss_good):
            lost.add(number)
        bad = state() >= line.to_good if bad else state() < line.to_bad
    return lost


def _held_back(packets: int, impairment: Impairment, lost: set[int], seed: int) -> dict[int, int]:
    """The packets that are held back, each with the one it goes behind; none where no other is left to overtake it."""
    chosen = _chosen(packets, impairment.reorder, f"{seed} reorder") - lost
    behind: dict[int, int] = {}
    for number in sorted(chosen):
        first = number + impairment.reorder_by
        after = next((at for at in range(first, packets) if at not in lost and at not in chosen), None)
        if after is not None:
            behind[number] = after
    return behind
