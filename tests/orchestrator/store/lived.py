"""A lab that lived, and its database as SQL text: what migrations are tried on (docs/how-to/migration.md).

python -m tests.orchestrator.store.lived      writes lived/REVISION.sql for the schema that this version makes
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select

from lab_inventory.programme import Programme
from orchestrator.certificates import Certificates
from orchestrator.issuing import Issuing
from orchestrator.lifecycle.rights import Role
from orchestrator.lifecycle.sample import Origin
from orchestrator.lifecycle.subscription import SubscriptionAdded, Way
from orchestrator.offering import Offering
from orchestrator.people import People
from orchestrator.pipeline.certificate_life import CertificateOrder, Event
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.reviewing import Reviewing
from orchestrator.samples import Announcement, HandOver, Receipt, Samples
from orchestrator.store import listings, views
from orchestrator.store import tables as t
from orchestrator.store.migrating import newest

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab_world import TTL_S, World, basic, lab, registration, submission
from reports.on_record import LABORATORY, SHEET

FOLDER = Path(__file__).parent / "lived"


def live(world: World) -> None:
    """An attempt that lapsed, its late reports, a second attempt, a certificate with its history, reports, people."""
    world.desk.apply_lab(lab().model_copy(update={"laboratory": LABORATORY}), "admin")
    world.heartbeat(registration(1))
    (submission,) = world.submit().submissions
    (dispatch,) = world.tick()
    first = world.take(dispatch)
    world.clock.advance(TTL_S + 1)
    world.heartbeat(registration(1))
    (dispatch,) = world.tick()
    second = world.take(dispatch)
    world.deliver(first, *world.whole_run(first)[:3])
    world.deliver(second, *world.whole_run(second))
    world.tick()
    issuing = Issuing(world.store, world.clock)
    report = issuing.issue(submission, SHEET, "anna")
    issuing.amend(report.number, "The condition of the item was noted wrongly.", SHEET, "anna")
    with world.store.reading() as connection:
        (row,) = listings.certificates(connection)
    suspended = CertificateOrder(event=Event.SUSPENDED, reason="The firmware that is sold is another.")
    Certificates(world.store, world.clock, world.signer).order(row["certificate"], suspended, "dora")
    _reviews(world)
    world.submit(key="key-2")
    world.take(*world.tick())
    _samples(world)
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


def _reviews(world: World) -> None:
    """Of a programme that grants: one that was asked about, recommended and decided, and one that waits."""
    fields = json.loads(basic().model_dump_json())
    granting = Programme.model_validate(fields | {"id": "granting", "demonstration": False})
    offering = Offering(world.store, world.clock)
    offering.offer(granting, "dora")
    former = Programme.model_validate(fields | {"id": "granting", "demonstration": False, "version": "0.9"})
    offering.offer(former, "dora")
    offering.withdraw(former.id, former.version, "Version 1.0 takes its place.", "dora")
    reviewing = Reviewing(world.desk, world.signer)
    submissions = []
    for key in ("key-decided", "key-waits"):
        request = BatchRequest(title="a batch", programme="granting", submissions=(submission(),))
        submissions += world.desk.submit("opal", request, key).submissions
        (dispatch,) = world.tick()
        world.deliver(taken := world.take(dispatch), *world.whole_run(taken))
        world.tick()
    decided, _ = submissions
    reviewing.ask(decided, "rita", "Which headset was used?")
    reviewing.answer(decided, "acme", "The one of the box.", None)
    reviewing.recommend(decided, "rita", "certified", "Everything passed, and the answer is plausible.")
    reviewing.decide(decided, "dora", "certified", "As recommended.")


def _samples(world: World) -> None:
    """One on a bench, for a submission and known as a unit; one that never arrived."""
    samples = Samples(world.store, world.clock)
    told = Announcement(vendor="Acme", maker="Acme", model="One", hardware_revision="A", serial="S-1")
    first, second = samples.announce(told, "anna"), samples.announce(told.model_copy(update={"serial": None}), "anna")
    hands = {"handed_by": "the carrier", "handed_to": "anna"}
    world.clock.advance(60)
    samples.receive(
        first,
        Receipt(serial="S-1", origin=Origin.RETAIL, condition="unopened", seal="none", place="shelf 1", **hands),
        "anna",
    )
    samples.bring_to_bench(first, HandOver(place="bench-1", **hands), "anna")
    with world.store.reading() as connection:
        (device,) = views.devices(connection)
        submission = connection.execute(select(t.submissions.c.submission).limit(1)).scalar_one()
    samples.link(first, submission, "anna")
    samples.name_unit(first, device.device, "anna")
    samples.lose(second, "the carrier knows nothing of it", "anna")


def dump(database: Path) -> str:
    """A SQLite database as SQL text."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        live(world)
        with world.store.administering() as connection:
            # The shipped programmes that nothing here is bound to would be most of the text.
            bound = select(t.batches.c.programme_digest).union(select(t.offerings.c.digest))
            connection.execute(delete(t.programmes).where(t.programmes.c.digest.not_in(bound)))
        world.store.close()
        path = FOLDER / f"{newest()}.sql"
        path.write_text(dump(Path(folder) / "assay.sqlite"), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
