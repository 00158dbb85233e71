"""The audit: everything that somebody changes by hand, behind the orchestrator's back, is found and said in words."""

from dataclasses import asdict

import pytest
from lab_world import World, registration
from sqlalchemy import insert, select, text, update

from lab_inventory.canonical import digest
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.store import tables as t
from orchestrator.store.audit import Audit, audit
from orchestrator.store.journal import JournalRow, next_row
from tests.orchestrator.store.lived import live


@pytest.fixture
def lived(world: World) -> World:
    """A lab that lived: an attempt that lapsed, its late reports, a second attempt, a certificate, a run going on."""
    live(world)
    return world


def findings(world: World) -> str:
    with world.store.reading() as connection:
        return "\n".join(audit(connection).findings)


DISARM = {
    "sqlite": ("DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete", "PRAGMA defer_foreign_keys=ON"),
    "postgresql": ("SET LOCAL session_replication_role = replica",),
}


def corrupt(world: World, statement: str) -> None:
    with world.store.administering() as connection:
        for step in DISARM[connection.dialect.name]:
            connection.execute(text(step))
        for step in statement.split("; "):
            assert connection.execute(text(step)).rowcount > 0


def test_a_lab_that_only_lived_has_no_findings(lived: World) -> None:
    with lived.store.reading() as connection:
        found = audit(connection)
    assert found == Audit(rows=found.rows, head=found.head, findings=())
    assert found.rows > 20


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        # states
        ("UPDATE devices SET intent='held'", "is held; the journal says in-service"),
        ("UPDATE batches SET state='cancelled'", "is cancelled; the journal says"),
        ("UPDATE submissions SET state='open'", "is open; the journal says judged"),
        ("UPDATE runs SET state='completed' WHERE state='lapsed'", "is completed; the journal says lapsed"),
        ("UPDATE leases SET state='live' WHERE state='released'", "is live; the journal says released"),
        ("UPDATE certificates SET state='revoked'", "is revoked; the journal says suspended"),
        ("DELETE FROM certificate_links; DELETE FROM certificates", "is missing; the journal says suspended"),
        ("DELETE FROM certificate_links", "are not those that were journaled"),
        # what the tables say beside states
        ("UPDATE submissions SET earned='works-with' WHERE earned='certified'", "earned is works-with"),
        ("UPDATE runs SET device='dev-x' WHERE state='completed'", "device is dev-x"),
        ("UPDATE runs SET attempt=7 WHERE attempt=2", "attempt is 7"),
        ("UPDATE runs SET ray_node='node-x' WHERE ray_node='node-1'", "ray_node is node-x"),
        ("UPDATE runs SET reports_digest='x' WHERE state='completed'", "reports_digest is x"),
        ("UPDATE certificates SET level='works-with'", "level is works-with"),
        ("UPDATE devices SET slot='slot-2'", "slot is slot-2"),
        ("UPDATE leases SET epochs='{}'", "has other epochs"),
        ("UPDATE resources SET epoch=9", "is at epoch 9; the journal says"),
        ("DELETE FROM resources", "is at epoch None"),
        ("DELETE FROM held_resources", "is held by None"),
        # bodies
        ("UPDATE programmes SET body=replace(body,'Basic','Other')", "programme sha256:"),
        ("UPDATE batches SET priority=99", "is not as it was accepted"),
        ("UPDATE submissions SET content=replace(content,'Acme','Acne')", "is not as it was accepted"),
        ("UPDATE submissions SET content='nonsense'", "is not as it was accepted"),
        ("UPDATE submissions SET firmware='9'", "is looked up by another product"),
        ("UPDATE devices SET registration=replace(registration,'Acme','Acne')", "the registration of dev-"),
        ("UPDATE devices SET registration=''", "the registration of dev-"),
        ("UPDATE reports SET body=replace(body,'measured','error') WHERE seq=4", "report 4 of"),
        ("UPDATE reports SET body='{}' WHERE seq=2", "report 2 of"),
        ("DELETE FROM reports WHERE seq=2", "have a gap"),
        ("DELETE FROM reports", "are not those it was completed with"),
        ("UPDATE quarantined_reports SET body='{}'", "a quarantined report of"),
        ("DELETE FROM quarantined_reports", "a quarantined report of"),
        ("UPDATE judgements SET body=replace(body,'pass','fail')", "the judgement of"),
        ("UPDATE judgements SET body='[', digest='x'", "the judgement of"),
        ("DELETE FROM judgements", "is missing; the journal has it"),
        ("UPDATE reviews SET decision=NULL; DELETE FROM decisions", "is missing; the journal has it"),
        ("UPDATE decisions SET body=replace(body,'automatic (','somebody (')", "is not the one that was journaled"),
        ("UPDATE certificates SET document=replace(document,'Acme','Acne')", "was changed"),
        ("UPDATE certificates SET document='x', document_digest='y'", "document_digest is y"),
        ("UPDATE certificates SET granted_as='provisional'", "was granted otherwise than as provisional"),
        ("UPDATE certificate_links SET state='granted'", "is listed otherwise than it says"),
        # a lab's own programmes
        ("UPDATE offerings SET state='offered'", "the journal says withdrawn"),
        ("UPDATE offerings SET \"by\"='berta' WHERE state='offered'", "by is berta"),
        ("UPDATE programmes SET offered=true WHERE version='0.9'", "is withdrawn, and open to submissions"),
        ("UPDATE programmes SET id='ip-phone' WHERE version='0.9'", "the offer of granting@0.9 is of ip-phone@0.9"),
        # samples
        ("UPDATE samples SET state='stored' WHERE state='lost'", "is stored; the journal says lost"),
        ("UPDATE samples SET serial='S-2' WHERE state='at-bench'", "serial is S-2; its custody says S-1"),
        ("UPDATE samples SET condition='scratched' WHERE state='at-bench'", "its custody says unopened"),
        ("UPDATE samples SET holder='berta' WHERE state='at-bench'", "holder is berta; its custody says anna"),
        ("UPDATE custody SET body=replace(body,'the carrier','berta') WHERE number=2", "in the custody of"),
        ("UPDATE custody SET fact='SampleStored' WHERE number=3", "is not the one that was journaled"),
        ("DELETE FROM custody WHERE number=3", "is not the one that was journaled"),
        ("DELETE FROM sample_submissions", "is linked to other submissions"),
        # the journal
        ("UPDATE journal SET body='{}' WHERE fact='RunPlaced'", "(RunPlaced run-"),
        ("UPDATE journal SET body='not json'", "was changed"),
        ("UPDATE journal SET at='2020-01-01' WHERE seq=3", "journal row 3"),
        ("DELETE FROM journal WHERE seq=5", "journal row 5 is missing"),
        ("UPDATE journal SET seq=1000+seq WHERE seq=5", "journal row 5 is missing"),
    ],
)
def test_what_was_changed_by_hand_is_found(lived: World, statement: str, words: str) -> None:
    corrupt(lived, statement)
    assert words in findings(lived)


def journal_of(world: World) -> list[JournalRow]:
    with world.store.reading() as connection:
        return [JournalRow(**row._mapping) for row in connection.execute(select(t.journal).order_by(t.journal.c.seq))]


def rewrite(world: World, rows: list[JournalRow]) -> None:
    """Put another journal in its place, with every hash made right again."""
    end = (0, rows[0].previous)
    written = []
    for row in rows:
        content = {name: getattr(row, name) for name in ("at", "fact", "machine", "entity", "state", "body")}
        made = next_row(end, **content)
        written.append(asdict(made))
        end = (made.seq, made.hash)
    corrupt(world, "DELETE FROM journal")
    with world.store.administering() as connection:
        connection.execute(insert(t.journal), written)


def test_a_cut_tail_shows_in_the_certificate_that_was_granted_on_it(lived: World) -> None:
    rows = journal_of(lived)
    granted = next(row.seq for row in rows if row.fact == "CertificateGranted")
    corrupt(lived, f"DELETE FROM journal WHERE seq >= {granted - 3}")  # noqa: S608
    assert "was granted on a journal that this is not" in findings(lived)


def test_a_journal_written_anew_with_right_hashes_shows_in_the_certificate(lived: World) -> None:
    rows = journal_of(lived)
    rewrite(lived, [*rows[:2], *rows[3:]])
    said = findings(lived)
    assert "does not continue" not in said
    assert "was granted on a journal that this is not" in said


def test_a_move_that_no_machine_makes_is_found_though_hashes_and_states_agree(lived: World) -> None:
    rows = journal_of(lived)
    rewrite(lived, [row for row in rows if row.fact != "RunPlaced"])
    said = findings(lived)
    assert "does not continue" not in said
    assert "was waiting, and RunTaken does not make it taken" in said


def test_a_judgement_and_its_digest_changed_together_are_found(lived: World) -> None:
    with lived.store.reading() as connection:
        judgement = Judgement.model_validate_json(connection.execute(select(t.judgements.c.body).limit(1)).scalar_one())
    forged = judgement.model_copy(update={"earned": "works-with"})
    with lived.store.administering() as connection:
        of_it = update(t.judgements).where(t.judgements.c.digest == digest(judgement))
        connection.execute(of_it.values(body=forged.model_dump_json(), digest=digest(forged)))
    assert f"digest is {digest(forged)}; the journal says {digest(judgement)}" in findings(lived)


def test_a_held_unit_with_reasons_and_changed_firmware_is_not_a_finding(lived: World) -> None:
    with lived.store.reading() as connection:
        device = connection.execute(select(t.devices.c.device)).scalar_one()
    lived.desk.hold_device(device, "operator", "cable")
    changed = registration(1)
    product = changed.product.model_copy(update={"firmware": "2.0"})
    lived.heartbeat(changed.model_copy(update={"product": product}))
    lived.desk.release_device(device, "operator")
    assert findings(lived) == ""


def test_an_audit_of_a_new_database_has_nothing_to_say(world: World) -> None:
    with world.store.reading() as connection:
        assert audit(connection).findings == ()
