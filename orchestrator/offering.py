"""Programmes of a lab's own: offered and withdrawn while the server runs."""

from lab_inventory.canonical import canonical_bytes
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, NotFound, Problem
from lab_inventory.noun import says_nothing
from lab_inventory.programme import Programme
from orchestrator.lifecycle.offering import OfferingState, ProgrammeOffered, ProgrammeWithdrawn, named
from orchestrator.store import programme_views
from orchestrator.store.store import Store


class Offering:
    """Which programmes a lab takes submissions for; safe to be called from several threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def offer(self, programme: Programme, by: str) -> bool:
        """Open a version of a programme to submissions; False where it is open already.

        Raises Conflict where that version is known with another content: what was accepted under it names it.
        """
        with self._store.deciding() as connection:
            for kept in programme_views.versions(connection, programme.id):
                if kept.version != programme.version:
                    continue
                if kept.digest == programme.digest and kept.offered:
                    return False
                if kept.digest != programme.digest and (kept.own or kept.offered):
                    raise Conflict(
                        f"{named(programme.id, programme.version)} is known with another content ({kept.digest}): "
                        "a programme that was changed needs another version"
                    )
            offered = ProgrammeOffered(
                programme=programme.id,
                version=programme.version,
                digest=programme.digest,
                document=canonical_bytes(programme).decode(),
                by=by,
                at=self._clock.now(),
            )
            self._store.commit([offered])
        return True

    def withdraw(self, programme: str, version: str, reason: str, by: str) -> None:
        """Close a version to new submissions; those that are in go on. Raises NotFound, Conflict, BadInput."""
        if says_nothing(reason):
            wrong = Problem(path="reason", wrong=f"says {reason!r}", expected="why, in a sentence")
            raise BadInput("the programme is not withdrawn", problems=(wrong,))
        with self._store.deciding() as connection:
            kept = programme_views.versions(connection, programme)
            found = [one for one in kept if one.version == version and (one.own or one.offered)]
            if not found:
                known = (
                    ", ".join(named(programme, one.version) for one in kept if one.own) or "none of it was added here"
                )
                raise NotFound(f"there is no programme {named(programme, version)[:80]}; there is {known}")
            if not found[0].own:
                raise Conflict(f"{named(programme, version)} comes with the product and is not this lab's to withdraw")
            if found[0].state is not OfferingState.OFFERED:
                raise Conflict(f"{named(programme, version)} is withdrawn already")
            at = self._clock.now()
            self._store.commit([ProgrammeWithdrawn(programme=programme, version=version, by=by, reason=reason, at=at)])
