"""Facts, machines and the one question asked of them: what comes next. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from lab_inventory.errors import Conflict
from lab_inventory.noun import Noun


class Fact(Noun):
    """Something decided or seen. ``machine`` and ``entity`` say whose state it moves, where it moves one.

    ``journaled``: whether it stands in the journal; then ``journal_entry`` gives ids and digests only.
    """

    machine: ClassVar[str] = ""
    journaled: ClassVar[bool] = True

    @property
    def entity(self) -> str:
        """The id of what the fact is about."""
        raise NotImplementedError

    def journal_entry(self) -> dict[str, str | int]:
        """What the journal holds of it: ids, digests and counts, no personal data."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A named table of transitions; ``transitions[(state, fact name)]`` is the next state, from None at birth."""

    name: str
    transitions: Mapping[tuple[StrEnum | None, str], StrEnum]
    terminal: frozenset[StrEnum]

    def next(self, state: str | None, fact: Fact) -> StrEnum:
        """The state after ``fact``; raises Conflict where the machine makes no such move."""
        found = self.transitions.get((state, type(fact).__name__))  # type: ignore[arg-type]
        if found is None:
            where = state or "not yet there"
            raise Conflict(f"{self.name} {fact.entity} is {where}: {type(fact).__name__} does not follow from that")
        return found
