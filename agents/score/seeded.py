"""Which defects are seeded, and by which requirement each must be found. Pure.

A defect with a size is run twice: at 0.8 times the limit plus its uncertainty, where the phone must pass, and at 1.2
times that, where it must fail. Beyond two sizes nothing is known of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lab_inventory.lab import Instrument
from lab_inventory.programme import Programme

SHARES = (0.8, 1.2)


@dataclass(frozen=True, kw_only=True)
class FoundBy:
    """The requirement that must find a defect; for one with a size, the quantity whose limit it is measured by.

    ``also``: requirements that the same defect cannot but fail, because their cases rest on what it breaks.
    """

    requirement: str
    quantity: str | None = None
    also: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One run: a phone, with one defect or none. ``size`` and ``share`` are None for a defect without a size."""

    phone: str
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
            made.append(Subject(phone=phone, defect=defect))
            continue
        base = limit_with_uncertainty(by, programme, instrument)
        made += [Subject(phone=phone, defect=defect, size=share * base, share=share) for share in SHARES]
    return tuple(made)


def limit_with_uncertainty(by: FoundBy, programme: Programme, instrument: Instrument) -> float:
    """The upper limit of the most stringent level that has one, plus the uncertainty of the instrument; in its unit."""
    requirement = next(r for r in programme.requirements if r.id == by.requirement)
    check = next(c for c in requirement.checks if c.quantity == by.quantity)
    limit = next(check.limits[level.id] for level in reversed(programme.levels) if level.id in check.limits)
    if limit.max is None:
        raise ValueError(f"{by.requirement} has no upper limit for {by.quantity}; a size is measured by one")
    return limit.max + instrument.uncertainty.get(check.unit, 0.0)
