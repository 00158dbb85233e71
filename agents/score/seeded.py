"""Which defects are seeded, and by which requirement each must be found. Pure.

A defect with a size that shows in a measured quantity is run twice: so that the quantity is 0.8 times its limit, where
the phone must pass, and 1.2 times the limit plus its uncertainty, where it must fail. Where the limit is a lower one
it is the other way round: 1.2 times the limit passes, and 0.8 times the limit less the uncertainty fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab_inventory.errors import InvariantBroken
from lab_inventory.lab import Instrument
from lab_inventory.programme import Programme

PASSES, FAILS = 0.8, 1.2
PROFILE = "digital"


@dataclass(frozen=True, kw_only=True)
class FoundBy:
    """The requirement that must find a defect, and the profile that it stands in.

    For a defect with a size, either ``quantity``: the one whose limit says what is too much, with its value
    ``healthy`` at size 0 and its growth ``slope`` for each unit of the size, or, where it does not grow evenly,
    ``size_of``: the size that makes it so large; or one ``size`` that is too much by far, where what it does is not
    measured as a number.
    """

    requirement: str
    quantity: str | None = None
    healthy: float = 0.0
    slope: float = 1.0
    size_of: Callable[[float], float] | None = None
    size: float | None = None
    profile: str = PROFILE


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One run: a phone, with one defect or none. ``share``: of the limit, where the size is measured by one."""

    phone: str
    profile: str = PROFILE
    defect: str | None = None
    size: float | None = None
    share: float | None = None

    @property
    def must_fail(self) -> bool:
        """Whether the requirement that the defect belongs to must fail."""
        return self.defect is not None and (self.share is None or self.share > 1)

    @property
    def line(self) -> str:
        """As a phone directory's file ``defects`` names it."""
        return "" if self.defect is None else self.defect if self.size is None else f"{self.defect}={self.size:.6g}"


def subjects(
    phone: str, found_by: Mapping[str, FoundBy], programme: Programme, instrument: Instrument
) -> tuple[Subject, ...]:
    """One phone with every defect, at both sizes where it has one."""
    made: list[Subject] = []
    for defect, by in sorted(found_by.items()):
        if by.quantity is None:
            made.append(Subject(phone=phone, profile=by.profile, defect=defect, size=by.size))
            continue
        for share, target in _targets(by, programme, instrument):
            size = by.size_of(target) if by.size_of is not None else (target - by.healthy) / by.slope
            made.append(Subject(phone=phone, profile=by.profile, defect=defect, size=size, share=share))
    return tuple(made)


def _targets(by: FoundBy, programme: Programme, instrument: Instrument) -> tuple[tuple[float, float], ...]:
    """Both shares, each with the value that the quantity is to have, by the limit of the most stringent level."""
    requirement = next(r for r in programme.requirements if r.id == by.requirement)
    check = next(c for c in requirement.checks if c.quantity == by.quantity)
    limit = next(check.limits[level.id] for level in reversed(programme.levels) if level.id in check.limits)
    uncertainty = instrument.uncertainty.get(check.unit, 0.0)
    if limit.max is not None:
        return (PASSES, PASSES * limit.max), (FAILS, FAILS * (limit.max + uncertainty))
    if limit.min is None or by.size_of is None:
        raise InvariantBroken(f"{by.requirement} has no upper limit for {by.quantity}; a size is measured by one")
    return (PASSES, FAILS * limit.min), (FAILS, PASSES * (limit.min - uncertainty))
