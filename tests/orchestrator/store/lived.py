"""A lab that lived, and its database as SQL text: what migrations are tried on (docs/how-to/migration.md).

python -m tests.orchestrator.store.lived      writes lived/REVISION.sql for the schema that this version makes
"""

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from orchestrator.lifecycle.rights import Role
from orchestrator.lifecycle.subscription import SubscriptionAdded, Way
from orchestrator.people import People
from orchestrator.store.migrating import newest

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab_world import TTL_S, World, registration

FOLDER = Path(__file__).parent / "lived"


def live(world: World) -> None:
    """An attempt that lapsed, its late reports, a second attempt, a certificate, a run that goes on, and people."""
    world.heartbeat(registration(1))
    world.submit()
    (dispatch,) = world.tick()
    first = world.take(dispatch)
    world.clock.advance(TTL_S + 1)
    world.heartbeat(registration(1))
    (dispatch,) = world.tick()
    second = world.take(dispatch)
    world.deliver(first, *world.whole_run(first)[:3])
    world.deliver(second, *world.whole_run(second))
    world.tick()
    world.submit(key="key-2")
    world.take(*world.tick())
    people = People(world.store, world.clock)
    people.first("anna", (Role.ADMIN, Role.OPERATOR))
    people.add("acme", (Role.VENDOR,), "Acme", "anna")
    people.sign_in("anna")
    people.disable("acme", "left", "anna")
    told = SubscriptionAdded(
        subscription="chat",
        way=Way.WEBHOOK,
        target="https://chat.example/",
        events=("batch.completed",),
        secret="whsec_AAAA",
        by="anna",
        at=world.clock.now(),
    )
    world.store.commit([told])


def dump(database: Path) -> str:
    """A SQLite database as SQL text."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        live(world)
        world.store.close()
        path = FOLDER / f"{newest()}.sql"
        path.write_text(dump(Path(folder) / "assay.sqlite"), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
