"""The terms a programme is run under, beside what it tests: whose mark it names, its dates, designations, benefits, how
it stands to other programmes, and until when platforms are certified. Data, checked when it is loaded. Pure.
"""

from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from lab_inventory.errors import Contradictions
from lab_inventory.noun import Label, Name, Noun, Text


class Mark(StrEnum):
    """How a source is known."""

    READ = "read"
    KNOWN = "known"
    OUR_CHOICE = "our-choice"


class Source(Noun):
    """Where a limit or a date comes from: standard and clause, document, or why it was chosen."""

    text: Text
    mark: Mark


class OwnedMark(Noun):
    """A name or logo that belongs to somebody else, and who alone may grant it."""

    name: Label
    owner: Label
    statement: Text = Field(min_length=1)


class LifecycleState(StrEnum):
    """Where a version of a programme stands on a day."""

    ANNOUNCED = "announced"
    AVAILABLE = "available"
    MANDATORY = "mandatory"
    DEPRECATED = "deprecated"
    WITHDRAWN = "withdrawn"


class Lifecycle(Noun):
    """The days from which a version may be used, must be used, should not be used any more, and is not taken any more.

    Days are UTC. ``mandatory_from``: from then on no older version is taken.
    """

    available_from: date
    mandatory_from: date | None = None
    deprecated_from: date | None = None
    withdrawn_from: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        given = [(name, day) for name in type(self).model_fields if (day := getattr(self, name)) is not None]
        found = [
            ((name,), f"{day} lies before {before} {earlier}", f"{earlier} or later")
            for (before, earlier), (name, day) in pairwise(given)
            if day < earlier
        ]
        if found:
            raise Contradictions(found)
        return self

    def on(self, day: date) -> LifecycleState:
        """Where the version stands on a day."""
        reached = LifecycleState.ANNOUNCED
        for state, since in (
            (LifecycleState.AVAILABLE, self.available_from),
            (LifecycleState.MANDATORY, self.mandatory_from),
            (LifecycleState.DEPRECATED, self.deprecated_from),
            (LifecycleState.WITHDRAWN, self.withdrawn_from),
        ):
            if since is not None and since <= day:
                reached = state
        return reached


class Designation(Noun):
    """What is said of a product beside its level: where all of these requirements pass."""

    id: Name
    title: Label
    statement: Text
    requirements: tuple[Name, ...] = Field(min_length=1)


class Benefit(Noun):
    """What a user has from products of one type. ``categories``: those that the type is certified in."""

    device_type: Name
    title: Label
    categories: tuple[Name, ...] = Field(min_length=1)
    benefits: tuple[Text, ...] = Field(min_length=1)


class Relation(Noun):
    """Whether the holders of another programme count as holders of this one. ``programme``: an id, or a package's.

    ``categories`` empty: in every one.
    """

    programme: Name
    count: bool
    categories: tuple[Name, ...] = ()
    because: Text = Field(min_length=1)


class PlatformEnd(Noun):
    """Until when products on a platform are certified, as it was decided once.

    ``decided_on`` None: the day of the decision is not known.
    """

    day: date
    decided_on: date | None = None
    reason: Text = Field(min_length=1)
    source: Source


class Platform(Noun):
    """A version of what products run on. ``ends``: as decided one after another, never computed; the last one holds."""

    id: Name
    title: Label
    released: date
    ends: tuple[PlatformEnd, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_history(self) -> Self:
        found = []
        for number, end in enumerate(self.ends):
            if end.day < self.released:
                wrong = f"{end.day} lies before the release {self.released}"
                found.append((("ends", number, "day"), wrong, f"{self.released} or later"))
        decided = [(number, end.decided_on) for number, end in enumerate(self.ends) if end.decided_on is not None]
        for (_, earlier), (number, later) in pairwise(decided):
            if later < earlier:
                wrong = f"{later} lies before the decision above it, {earlier}"
                found.append((("ends", number, "decided_on"), wrong, "decisions in the order in which they were taken"))
        for number, (before, after) in enumerate(pairwise(self.ends), 1):
            if before.day == after.day:
                wrong = f"{after.day} is the end that was decided before"
                found.append((("ends", number, "day"), wrong, "another day, or no such entry"))
        if found:
            raise Contradictions(found)
        return self

    @property
    def end(self) -> PlatformEnd:
        """The end that holds now: the one decided last."""
        return self.ends[-1]


class Stipulation(Noun):
    """A rule of the programme in words, which people keep."""

    id: Name
    title: Label
    text: Text = Field(min_length=1)


class Terms(Noun):
    """All of it. ``mark`` only where the mark belongs to somebody else than whoever runs the programme."""

    mark: OwnedMark | None = Field(default=None, exclude_if=lambda given: given is None)
    lifecycle: Lifecycle | None = Field(default=None, exclude_if=lambda given: given is None)
    designations: tuple[Designation, ...] = Field(default=(), exclude_if=lambda given: not given)
    benefits: tuple[Benefit, ...] = Field(default=(), exclude_if=lambda given: not given)
    holders_of: tuple[Relation, ...] = Field(default=(), exclude_if=lambda given: not given)
    platforms: tuple[Platform, ...] = Field(default=(), exclude_if=lambda given: not given)
    stipulations: tuple[Stipulation, ...] = Field(default=(), exclude_if=lambda given: not given)
