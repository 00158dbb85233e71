"""The highest epoch of each resource that this host has seen, on disk: the fence against late assignments.

Takes the epochs of assignments; gives why one is stale. A resource cannot check epochs itself, so its host does.
"""

from pathlib import Path

from pydantic import Field

from agents.durable import write_whole
from lab_inventory.clock import Clock
from lab_inventory.messages import Epochs, ResourceId
from lab_inventory.noun import Name, Noun
from lab_inventory.reading import parse_message

LEDGER_BYTES_MAX = 4_000_000


class Seen(Noun):
    """The highest epoch of one resource, and the run it was granted to."""

    epoch: int = Field(ge=1)
    run: Name


class _Ledger(Noun):
    resources: dict[ResourceId, Seen] = Field(default_factory=dict)


class EpochLedger:
    """The epochs seen on one host. Raises BadInput where its file is broken: then nothing may be taken."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        try:
            self._ledger = parse_message(path.read_bytes(), _Ledger, source=str(path), bytes_max=LEDGER_BYTES_MAX)
        except FileNotFoundError:
            self._ledger = _Ledger()

    def why_stale(self, run: str, epochs: Epochs) -> str | None:
        """Why a run may not have its resources, or None. An epoch is granted once: an equal one is another's."""
        for resource, epoch in sorted(epochs.items()):
            seen = self._ledger.resources.get(resource)
            if seen is not None and (epoch < seen.epoch or (epoch == seen.epoch and run != seen.run)):
                return f"{resource} was seen here under epoch {seen.epoch} of run {seen.run}; this one is {epoch}"
        return None

    def record(self, run: str, epochs: Epochs) -> None:
        """Note the epochs of a run, on disk before this returns. Raises OSError; nothing is noted then."""
        new = {resource: Seen(epoch=epoch, run=run) for resource, epoch in epochs.items()}
        ledger = _Ledger(resources={**self._ledger.resources, **new})
        write_whole(self._path, ledger.model_dump_json().encode(), self._clock)
        self._ledger = ledger
