"""The control chart of one quantity: individual values, their moving range, and when a point is out of control. Pure.

Shewhart's chart of individuals. The baseline's centre is the mean of its values, its standard deviation the mean
moving range over d2 = 1.128 (of ranges of two), which a slow drift within the baseline does not widen.
Two rules are asked, because each further rule makes more false alarms: of the Western Electric handbook (1956) rule 1,
one point beyond three standard deviations, and rule 4, eight points in a row on one side of the centre. For normal
values with a known baseline both together raise a false alarm once in 152.7 points on average (Champ and Woodall,
Technometrics 29, 1987). The ranges themselves are drawn and raise none: they say little that the values do not, and
lab work would stand still for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import fmean

BASELINE_POINTS = 20
LIMIT_SDS = 3.0
IN_A_ROW = 8
D2 = 1.128
_EQUAL = 1e-9
"""Values nearer to the centre than this share of it lie on it: arithmetic, and no spread."""


class ChartRule(StrEnum):
    """What a point broke."""

    BEYOND = "beyond three standard deviations"
    ROW = "eight in a row on one side of the centre"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What the process is when nothing is wrong: ``centre`` and ``sd`` in the unit of the quantity."""

    centre: float
    sd: float

    @property
    def limits(self) -> tuple[float, float]:
        """The lower and the upper control limit."""
        return self.centre - LIMIT_SDS * self.sd, self.centre + LIMIT_SDS * self.sd

    def side(self, value: float) -> int:
        """On which side of the centre a value lies: 1, -1, or 0 on it."""
        away = value - self.centre
        if abs(away) <= _EQUAL * max(1.0, abs(self.centre)):
            return 0
        return 1 if away > 0 else -1


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A point that is out of control: its place in the series, and what it broke."""

    at: int
    rule: ChartRule


def moving_ranges(values: Sequence[float]) -> tuple[float, ...]:
    """The differences of each two values that follow each other, without sign."""
    return tuple(abs(after - before) for before, after in pairwise(values))


def baseline(values: Sequence[float]) -> Baseline | None:
    """The baseline by the first 20 values; None while there are fewer."""
    first = values[:BASELINE_POINTS]
    if len(first) < BASELINE_POINTS:
        return None
    return Baseline(centre=fmean(first), sd=fmean(moving_ranges(first)) / D2)


def signals(values: Sequence[float], known: Baseline) -> tuple[Signal, ...]:
    """Every point of a series that is out of control. After a row of eight the next one begins anew."""
    found = []
    row, row_side = 0, 0
    low, high = known.limits
    for at, value in enumerate(values):
        side = known.side(value)
        row = row + 1 if side and side == row_side else abs(side)
        row_side = side
        if side and not low <= value <= high:
            found.append(Signal(at=at, rule=ChartRule.BEYOND))
        elif row >= IN_A_ROW:
            found.append(Signal(at=at, rule=ChartRule.ROW))
        if row >= IN_A_ROW:
            row = 0
    return tuple(found)
