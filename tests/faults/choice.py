"""Which faults come, and when: drawn from a seed, so that a run can be repeated with the same ones. Pure.

Every kind comes before any comes again: kinds are dealt from a shuffled deck.
"""

import random  # noqa: TID251 - the choice of faults is seeded
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KILLS = ("server", "dispatcher", "agent", "run", "actor", "raylet", "head")
STOPS = ("agent stopped", "run stopped", "agent and run stopped")
DISKS = ("server's disk full", "agent's disk full", "server's directory read-only", "agent's directory read-only")
CLOCKS = ("server's clock jumps", "agent's clock jumps")
OUTAGE = "server away"
OTHERS = (*STOPS, *DISKS, *CLOCKS, OUTAGE)
KILLS_PER_OTHER = 5
WAIT_MAX_S = 4.0
JUMPS_S = (-90_000, -3_700, -61, 61, 3_700, 90_000)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One fault. ``wait_s``: before it. ``within``: a kill in the middle of another fault, or nothing.

    ``draw`` decides what is left open: which run it hits, who wakes first, how far a clock jumps.
    """

    fault: str
    wait_s: float
    within: str = ""
    draw: float = 0.0

    @property
    def kills(self) -> int:
        """How many processes it kills."""
        return (self.fault in KILLS) + bool(self.within)


def choose(seed: int, kills: int, others: Sequence[str] = OTHERS) -> tuple[Step, ...]:
    """Steps with at least ``kills`` kills; for each five of them one of ``others``, and each of those at least once."""
    chance = random.Random(seed)
    kill, other = _dealt(chance, KILLS), _dealt(chance, others)
    wanted = max(len(others), kills // KILLS_PER_OTHER) if others else 0
    steps: list[Step] = []
    for _ in range(wanted):
        within = next(kill) if chance.random() < 0.5 else ""
        steps.append(_step(chance, next(other), within))
    left = kills - sum(step.kills for step in steps)
    steps += [_step(chance, next(kill), "") for _ in range(max(0, left))]
    chance.shuffle(steps)
    return tuple(steps)


def spares(seed: int) -> Iterator[Step]:
    """Kills without end, for those of a choice that met nothing to kill."""
    chance = random.Random(f"{seed} spares")
    for kind in _dealt(chance, KILLS):
        yield _step(chance, kind, "")


def _step(chance: random.Random, fault: str, within: str) -> Step:
    return Step(fault=fault, wait_s=chance.uniform(0.0, WAIT_MAX_S), within=within, draw=chance.random())


def _dealt(chance: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    while kinds:
        deck = list(kinds)
        chance.shuffle(deck)
        yield from deck
