"""What can be wrong with the reference phone: each defect changes one point of its :class:`Behaviour`. Pure.

A defect with a size is linear in it, and nothing is wrong at size 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agents.simulated.reference_phone.behaviour import HEALTHY, Behaviour
from lab_inventory.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ReferenceDefect:
    """One defect: ``wrong`` is a sentence with its clause; ``size_unit`` None: it has no size."""

    slug: str
    wrong: str
    change: Callable[[Behaviour, float], Behaviour]
    size_unit: str | None = None
    size_usual: float = 1.0
    """A size that shows it clearly, where none is chosen."""


def _plain(slug: str, wrong: str, **changes: object) -> ReferenceDefect:
    return ReferenceDefect(slug=slug, wrong=wrong, change=lambda behaviour, _: replace(behaviour, **changes))  # type: ignore[arg-type]


def _sized(slug: str, unit: str, usual: float, wrong: str, field: str, slope: float) -> ReferenceDefect:
    """``field`` grows from its right value by ``slope`` for each unit of the size."""

    def change(behaviour: Behaviour, size: float) -> Behaviour:
        return replace(behaviour, **{field: getattr(HEALTHY, field) + slope * size})

    return ReferenceDefect(slug=slug, wrong=wrong, change=change, size_unit=unit, size_usual=usual)


_ALL = (
    _plain("ringing-never", "180 is never sent (RFC 3261, 13.3.1.1)", rings=False),
    _sized("ringing-late", "ms", 2000, "180 comes late (RFC 3261, 13.3.1.1)", "ringing_delay_s", 0.001),
)
DEFECTS: dict[str, ReferenceDefect] = {defect.slug: defect for defect in _ALL}


def parse_defect(text: str) -> tuple[str, float]:
    """``SLUG`` or ``SLUG=SIZE``. Raises BadInput in words."""
    slug, equals, size = text.partition("=")
    defect = DEFECTS.get(slug)
    if defect is None:
        raise BadInput(f"there is no defect {slug}: choose from {', '.join(sorted(DEFECTS))}")
    if bool(equals) != (defect.size_unit is not None):
        needs = f"needs a size in {defect.size_unit}, as {slug}=SIZE" if defect.size_unit else "has no size"
        raise BadInput(f"the defect {slug} {needs}")
    try:
        return slug, float(size) if equals else 0.0
    except ValueError:
        raise BadInput(f"the size of {slug} is no number: {size}") from None


def behaviour_with(chosen: Mapping[str, float]) -> Behaviour:
    """The behaviour of a phone with these defects, each with its size (any number where it has none)."""
    behaviour = HEALTHY
    for slug, size in chosen.items():
        behaviour = DEFECTS[slug].change(behaviour, size)
    return behaviour
