"""Units, limits, measurements and evidence: what an instrument saw, and what a level asks of it. Pure.

A measurement never knows its limit; the outcome is made where both meet (``lab_inventory.outcome``).
"""

from enum import StrEnum
from typing import Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from lab_inventory.noun import Label, Name, Noun, Sha256, Text

Value = StrictBool | StrictInt | StrictFloat


class Unit(StrEnum):
    """The units measurements come in. ``bool`` is the unit of an observation that holds or does not; MOS is a score
    whose scale the name of its quantity tells, because no two scales can be compared.
    """

    BOOL = "bool"
    COUNT = "count"
    MILLISECOND = "ms"
    SECOND = "s"
    RATIO = "ratio"
    PERCENT = "%"
    DECIBEL = "dB"
    DBFS = "dBFS"
    DBM0 = "dBm0"
    DBM0P = "dBm0p"
    DBPA_A = "dBPa(A)"
    DBA = "dB(A)"
    MILLIAMPERE = "mA"
    WATT = "W"
    PPM = "ppm"
    DAY = "d"
    METRE = "m"
    MOS = "MOS"


class Limit(Noun):
    """An inclusive limit: ``equals``, or ``min`` and/or ``max``, in the unit of the quantity it limits."""

    min: float | None = None
    max: float | None = None
    equals: StrictBool | None = None

    @model_validator(mode="after")
    def _is_a_limit(self) -> Self:
        ends = self.min is not None or self.max is not None
        if ends == (self.equals is not None):
            raise ValueError("is no limit; expected either equals, or min and/or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} lies above max {self.max:g}; expected min <= max")
        return self

    def admits(self, value: Value, *, guard: float = 0.0) -> bool:
        """Whether ``value`` lies inside the limit, drawn in by ``guard`` (same unit, >= 0) on each side."""
        if self.equals is not None:
            return isinstance(value, bool) and value is self.equals
        if isinstance(value, bool):
            return False
        above = self.min is None or value >= self.min + guard
        below = self.max is None or value <= self.max - guard
        return above and below

    def at_least_as_strict_as(self, other: "Limit") -> bool:
        """Whether every value that this limit admits is admitted by ``other``."""
        if self.equals is not None or other.equals is not None:
            return self.equals == other.equals
        low = other.min is None or (self.min is not None and self.min >= other.min)
        high = other.max is None or (self.max is not None and self.max <= other.max)
        return low and high

    @property
    def tolerance(self) -> float | None:
        """Half the width of a two-sided limit, the size of a one-sided one; None for ``equals``. Same unit."""
        if self.min is not None and self.max is not None:
            return (self.max - self.min) / 2
        end = self.max if self.max is not None else self.min
        return None if end is None else abs(end)

    def __str__(self) -> str:
        if self.equals is not None:
            return "yes" if self.equals else "no"
        if self.min is not None and self.max is not None:
            return f"{self.min:g}" if self.min == self.max else f"{self.min:g} to {self.max:g}"
        return f"at most {self.max:g}" if self.max is not None else f"at least {self.min:g}"


class Evidence(Noun):
    """A file that an instrument kept, by its content address."""

    digest: Sha256
    name: Label
    media_type: Label
    size_bytes: int = Field(ge=0)


class Measurement(Noun):
    """One value of one quantity, as an instrument saw it.

    ``value`` None: the instrument looked and the quantity could not be had (it never passes). ``uncertainty`` is the
    expanded uncertainty (k = 2). ``bench_stall`` is what the bench itself suffered in the same window, expressed in
    the same unit, so that a judge can tell a late phone from a late bench. All three are in ``unit``.
    """

    quantity: Name
    unit: Unit
    value: Value | None
    uncertainty: float | None = Field(default=None, ge=0)
    bench_stall: float | None = Field(default=None, ge=0)
    instrument: Name
    note: Text = ""
    evidence: tuple[Sha256, ...] = Field(default=(), max_length=16)
