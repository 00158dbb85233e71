"""Part of the audit: that what the tables hold as a body is what the journal holds as a digest. Reads only.

A body that cannot be read any more is a finding like one that was changed.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, select

from lab_inventory.canonical import digest, sha256
from lab_inventory.device import Registration
from lab_inventory.messages import RunReport
from lab_inventory.programme import Programme
from orchestrator.authority.review import ENTRIES
from orchestrator.lifecycle import prompt as pr
from orchestrator.lifecycle import sample as sm
from orchestrator.lifecycle import waiver as w
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.certificate import CertificateState, DecisionMade
from orchestrator.lifecycle.lease import LeaseState
from orchestrator.lifecycle.offering import OfferingState, named
from orchestrator.lifecycle.signing_key import KeyLink
from orchestrator.lifecycle.verdict import Judgement
from orchestrator.pipeline.record import reports_digest
from orchestrator.pipeline.submit import BatchRequest
from orchestrator.store import tables as t
from orchestrator.store.journal import GENESIS, JournalRow, body_of

N = TypeVar("N", bound=BaseModel)


def wrong_bodies(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Everything whose content is not what was journaled, in words."""
    yield from _devices(connection, rows)
    yield from _programmes(connection)
    yield from _batches(connection, rows)
    yield from _leases(connection, rows)
    yield from _reports(connection, rows)
    yield from _quarantined(connection, rows)
    yield from _judgements(connection)
    yield from _decisions(connection, rows)
    yield from _reviews(connection, rows)
    yield from _prompts(connection, rows)
    yield from _certificates(connection, rows)
    yield from _links(connection, rows)
    yield from _signing_keys(connection)
    yield from _test_reports(connection)
    yield from _samples(connection, rows)
    yield from _waivers(connection, rows)
    yield from _drifts(connection)


def _read(noun: type[N], text: str) -> N | None:
    """The noun that ``text`` holds, or None where it no longer holds one."""
    try:
        return noun.model_validate_json(text)
    except ValidationError:
        return None


def _digest_of(noun: type[BaseModel], text: str) -> str:
    found = _read(noun, text)
    return "" if found is None else digest(found)


def _devices(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    said: dict[str, dict[str, Any]] = {}
    for entry in rows:
        if entry.fact in ("DeviceRegistered", "DeviceChanged"):
            said.setdefault(entry.entity, {}).update(body_of(entry))
    for row in connection.execute(select(t.devices.c.device, t.devices.c.registration)):
        product = registration.product if (registration := _read(Registration, row.registration)) else None
        last = said.get(row.device, {})
        # A change names no maker and model, so those are known only of a unit that never changed.
        names = ("firmware",) if "changed" in last else ("firmware", "maker", "model")
        if product is None or any(getattr(product, name) != last.get(name) for name in names):
            yield f"the registration of {row.device} is not the one that was journaled"


def _programmes(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(t.programmes.c.digest, t.programmes.c.body)):
        if _digest_of(Programme, row.body) != row.digest:
            yield f"programme {row.digest} was changed"
    p, o = t.programmes.c, t.offerings.c
    own = select(o.programme, o.state, p.offered, p.id, p.version).join(t.programmes, p.digest == o.digest)
    for offer in connection.execute(own):
        if offer.programme != named(offer.id, offer.version):
            yield f"the offer of {offer.programme} is of {named(offer.id, offer.version)}"
        if offer.offered != (offer.state == OfferingState.OFFERED):
            said = "open" if offer.offered else "closed"
            yield f"programme {offer.programme} is {offer.state}, and {said} to submissions"


def _batches(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Each batch with its submissions has the digest it was accepted with."""
    submissions: dict[str, list[Submission | None]] = {}
    for row in connection.execute(select(t.submissions).order_by(t.submissions.c.batch, t.submissions.c.place)):
        content = _read(Submission, row.content)
        submissions.setdefault(row.batch, []).append(content)
        if content is not None and not _found_by(row, content):
            yield f"submission {row.submission} is looked up by another product than it is about"
    accepted = {row.entity: body_of(row) for row in rows if row.fact == "BatchAccepted"}
    said = {batch: body.get("content_digest") for batch, body in accepted.items()}
    for row in connection.execute(select(t.batches)):
        # Of batches from before there were reviews the journal does not say who queued them.
        if accepted.get(row.batch, {}).get("by", row.by) != row.by:
            yield f"batch {row.batch} was queued by somebody else than {row.by}"
        contents = submissions.get(row.batch, [])
        # Whoever submitted it may or may not have named the version.
        if (
            not contents
            or None in contents
            or said.get(row.batch)
            not in {digest(_request(row, contents, version)) for version in (None, row.programme_version)}
        ):
            yield f"batch {row.batch} is not as it was accepted"


def _request(row: Any, contents: list[Submission | None], version: str | None) -> BatchRequest:
    return BatchRequest.model_construct(
        title=row.title,
        programme=row.programme,
        programme_version=version,
        priority=row.priority,
        submissions=tuple(content for content in contents if content is not None),
    )


def _found_by(row: Any, content: Submission) -> bool:
    product = content.product
    said = (product.maker, product.model, product.firmware, content.hardware_revision, content.mode)
    return said == (row.maker, row.model, row.firmware, row.hardware_revision, row.mode)


def _leases(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """The epochs of each lease, the last epoch of each resource, and which resources are held."""
    said: dict[str, dict[str, int]] = {}
    for entry in rows:
        if entry.fact == "LeaseGranted":
            said[entry.entity] = {name: epoch for name, epoch in body_of(entry).items() if ":" in name}
    held: dict[str, str] = {}
    for row in connection.execute(select(t.leases.c.lease, t.leases.c.epochs, t.leases.c.state)):
        epochs = said.get(row.lease, {})
        if row.epochs != json.dumps(epochs, sort_keys=True):
            yield f"lease {row.lease} has other epochs than those it was granted"
        if row.state == LeaseState.LIVE.value:
            held.update(dict.fromkeys(epochs, row.lease))
    last: dict[str, int] = {}
    for epochs in said.values():
        last.update({name: max(epoch, last.get(name, 0)) for name, epoch in epochs.items()})
    kept = {row.resource: row.epoch for row in connection.execute(select(t.resources))}
    for name in sorted(last.keys() | kept.keys()):
        if last.get(name) != kept.get(name):
            yield f"{name} is at epoch {kept.get(name)}; the journal says {last.get(name)}"
    holders = {row.resource: row.lease for row in connection.execute(select(t.held_resources))}
    for name in sorted(held.keys() | holders.keys()):
        if held.get(name) != holders.get(name):
            yield f"{name} is held by {holders.get(name)}; of the live leases it is {held.get(name)}'s"


def _reports(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Each report has its digest, and the reports of a completed run have the digest that was journaled."""
    digests: dict[str, dict[int, str]] = {}
    for row in connection.execute(select(t.reports.c.run, t.reports.c.seq, t.reports.c.digest, t.reports.c.body)):
        digests.setdefault(row.run, {})[row.seq] = row.digest
        if _digest_of(RunReport, row.body) != row.digest:
            yield f"report {row.seq} of {row.run} was changed"
    for run, kept in sorted(digests.items()):
        if sorted(kept) != list(range(1, len(kept) + 1)):
            yield f"the reports of {run} have a gap"
    for entry in rows:
        if entry.fact == "RunCompleted":
            kept = digests.get(entry.entity, {})
            if reports_digest(kept) != body_of(entry).get("reports_digest"):
                yield f"the reports of {entry.entity} are not those it was completed with"


def _quarantined(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    said = {(row.entity, body_of(row).get("digest")) for row in rows if row.fact == "ReportQuarantined"}
    q = t.quarantined_reports.c
    kept = {(row.run, row.digest): row.body for row in connection.execute(select(q.run, q.digest, q.body))}
    for run, address in sorted(said - kept.keys()):
        yield f"a quarantined report of {run} is missing: {address}"
    for (run, address), body in sorted(kept.items()):
        if (run, address) not in said or _digest_of(RunReport, body) != address:
            yield f"a quarantined report of {run} was changed: {address}"


def _judgements(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(t.judgements.c.submission, t.judgements.c.digest, t.judgements.c.body)):
        if _digest_of(Judgement, row.body) != row.digest:
            yield f"the judgement of {row.submission} was changed"


def _decisions(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    said = {row.entity: body_of(row) for row in rows if row.fact == "DecisionMade"}
    for row in connection.execute(select(t.decisions.c.decision, t.decisions.c.body)):
        decision = _read(DecisionMade, row.body)
        if decision is None or decision.entity != row.decision or decision.journal_entry() != said.get(row.decision):
            yield f"decision {row.decision} is not the one that was journaled"


def _reviews(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Each thing that was said in a review, by whom, in its order and in the words of then."""
    said: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in rows:
        if entry.machine == "review" and entry.fact in ENTRIES:
            said.setdefault(entry.entity, []).append((entry.fact, body_of(entry)))
    e = t.review_entries.c
    kept: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in connection.execute(select(t.review_entries).order_by(e.submission, e.place)):
        found = _read(ENTRIES[row.kind], row.body) if row.kind in ENTRIES else None
        right = found is not None and (found.entry, found.submission) == (row.entry, row.submission)
        kept.setdefault(row.submission, []).append((row.kind, dict(found.journal_entry()) if found and right else {}))
    for submission in sorted(said.keys() | kept.keys()):
        if said.get(submission) != kept.get(submission):
            yield f"what was said in the review of {submission} is not what was journaled"


def _prompts(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """Everything that became of each prompt, by whom, in its order and with the values of then."""
    said: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for entry in rows:
        if entry.machine == pr.MACHINE.name and entry.fact in pr.ENTRIES:
            said.setdefault(entry.entity, []).append((entry.fact, body_of(entry)))
    e = t.prompt_entries.c
    kept: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in connection.execute(select(t.prompt_entries).order_by(e.prompt, e.place)):
        found = _read(pr.ENTRIES[row.kind], row.body) if row.kind in pr.ENTRIES else None
        right = found is not None and (found.entry, found.prompt) == (row.entry, row.prompt)
        kept.setdefault(row.prompt, []).append((row.kind, dict(found.journal_entry()) if found and right else {}))
    for prompt in sorted(said.keys() | kept.keys()):
        if said.get(prompt) != kept.get(prompt):
            yield f"what became of prompt {prompt} is not what was journaled"


def _certificates(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    heads = {0: GENESIS, **{row.seq: row.hash for row in rows}}
    c = t.certificates.c
    for row in connection.execute(select(c.certificate, c.document, c.document_digest)):
        if sha256(row.document.encode()) != row.document_digest:
            yield f"certificate {row.certificate} was changed"
            continue
        content = json.loads(row.document)["certificate"]
        if heads.get(content["journal_length"]) != content["journal_head"]:
            yield f"certificate {row.certificate} was granted on a journal that this is not"


_GRANTS = frozenset({"CertificateGranted", "CertificateProvisionallyGranted"})


def _links(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """The links of each certificate are those that were journaled, one follows on the other, and the newest holds."""
    said: dict[str, list[str]] = {}
    for entry in rows:
        if entry.machine == "certificate" and entry.fact not in _GRANTS:
            said.setdefault(entry.entity, []).append(str(body_of(entry).get("document_digest")))
    li, c = t.certificate_links.c, t.certificates.c
    kept: dict[str, list[Any]] = {}
    for link in connection.execute(select(t.certificate_links).order_by(li.certificate, li.number)):
        kept.setdefault(link.certificate, []).append(link)
    columns = (c.certificate, c.state, c.ends_on, c.limits, c.conditions, c.granted_as, c.links, c.head, c.document)
    for row in connection.execute(select(*columns)):
        there = kept.get(row.certificate, [])
        if [sha256(link.document.encode()) for link in there] != said.get(row.certificate, []):
            yield f"the links of certificate {row.certificate} are not those that were journaled"
            continue
        given = _given_provisionally(row.document)
        state = CertificateState.PROVISIONAL if given else CertificateState.GRANTED
        ends_on, conditions = (given["ends_on"], given["conditions"]) if given else (None, "")
        if row.granted_as != state:
            yield f"certificate {row.certificate} was granted otherwise than as {row.granted_as}"
        now = state.value, ends_on, "", conditions, 0, sha256(row.document.encode())
        for link in there:
            content = json.loads(link.document)["link"]
            if content["previous"] != now[-1] or not content["number"] == link.number == now[-2] + 1:
                yield f"link {link.number} of certificate {row.certificate} does not follow on what was before"
            if (link.state, link.ends_on, link.limits) != (content["state"], content["ends_on"], content["limits"]):
                yield f"link {link.number} of certificate {row.certificate} is listed otherwise than it says"
            said_now = content["state"], content["ends_on"], content["limits"], content.get("conditions", "")
            now = *said_now, link.number, link.document_digest
        if (row.state, row.ends_on, row.limits, row.conditions, row.links, row.head) != now:
            yield f"certificate {row.certificate} stands otherwise than its newest link says"


def _given_provisionally(document: str) -> Any:
    """What a certificate says of being provisional, or None; a document that cannot be read is told by its digest."""
    try:
        return json.loads(document)["certificate"].get("provisional")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _signing_keys(connection: Connection) -> Iterator[str]:
    k = t.signing_keys.c
    for row in connection.execute(select(k.number, k.document, k.document_digest, k.x, k.valid_from)):
        if sha256(row.document.encode()) != row.document_digest:
            yield f"key link {row.number} was changed"
        elif row.document and not _as_linked(row):
            yield f"key {row.number} stands otherwise than its link says"


def _as_linked(row: Any) -> bool:
    said = KeyLink.model_validate(json.loads(row.document)["key_link"])
    return (said.number, said.x, said.valid_from.isoformat()) == (row.number, row.x, row.valid_from)


def _test_reports(connection: Connection) -> Iterator[str]:
    r = t.test_reports.c
    for row in connection.execute(select(r.number, r.document, r.document_digest)):
        if sha256(row.document.encode()) != row.document_digest:
            yield f"test report {row.number} was changed"


def _samples(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """What happened to each sample is what was journaled in this order, and a sample stands as that leaves it."""
    said: dict[str, list[tuple[str, Any]]] = {}
    for entry in rows:
        if entry.machine == sm.MACHINE.name:
            said.setdefault(entry.entity, []).append((entry.fact, body_of(entry).get("digest")))
    kept: dict[str, list[Any]] = {}
    for row in connection.execute(select(t.custody).order_by(t.custody.c.sample, t.custody.c.number)):
        kept.setdefault(row.sample, []).append(row)
    links: dict[str, set[str]] = {}
    for row in connection.execute(select(t.sample_submissions)):
        links.setdefault(row.sample, set()).add(row.submission)
    stand = {row.sample: row._mapping for row in connection.execute(select(t.samples))}
    for sample in sorted(said.keys() | kept.keys() | links.keys() | stand.keys()):
        happened = kept.get(sample, [])
        if [(row.fact, row.digest) for row in happened] != said.get(sample, []):
            yield f"the custody of {sample} is not the one that was journaled"
        known: dict[str, str | None] = {}
        linked: set[str] = set()
        for row in happened:
            fact = _read(_CUSTODY[row.fact], row.body) if row.fact in _CUSTODY else None
            if fact is None or digest(fact) != row.digest:
                yield f"entry {row.number} in the custody of {sample} was changed"
                continue
            known |= fact.columns()
            linked |= {fact.submission} if isinstance(fact, sm.SampleLinked) else set()
        for column, value in known.items():
            if sample in stand and stand[sample][column] != value:
                yield f"sample {sample}: {column} is {stand[sample][column]}; its custody says {value}"
        if linked != links.get(sample, set()):
            yield f"sample {sample} is linked to other submissions than its custody says"


def _waivers(connection: Connection, rows: list[JournalRow]) -> Iterator[str]:
    """What happened to each waiver is what was journaled in this order, and it is looked up by what was proposed."""
    said: dict[str, list[tuple[str, Any]]] = {}
    for entry in rows:
        if entry.machine == w.MACHINE.name:
            said.setdefault(entry.entity, []).append((entry.fact, body_of(entry).get("digest")))
    e = t.waiver_entries.c
    kept: dict[str, list[Any]] = {}
    for row in connection.execute(select(t.waiver_entries).order_by(e.waiver, e.number)):
        kept.setdefault(row.waiver, []).append(row)
    stand = {row.waiver: row._mapping for row in connection.execute(select(t.waivers))}
    for waiver in sorted(said.keys() | kept.keys()):
        happened = kept.get(waiver, [])
        if [(row.fact, row.digest) for row in happened] != said.get(waiver, []):
            yield f"what happened to the waiver {waiver} is not what was journaled"
        for row in happened:
            fact = _read(w.FACTS[row.fact], row.body) if row.fact in w.FACTS else None
            if fact is None or fact.entity != waiver or digest(fact) != row.digest:
                yield f"entry {row.number} of the waiver {waiver} was changed"
            elif isinstance(fact, w.WaiverProposed) and waiver in stand:
                for column, value in fact.columns().items():
                    if stand[waiver][column] != value:
                        yield f"waiver {waiver}: {column} is {stand[waiver][column]}; it was proposed with {value}"


_CUSTODY = {
    of.__name__: of
    for of in (
        sm.SampleAnnounced,
        sm.SampleReceived,
        sm.SampleStored,
        sm.SampleBroughtToBench,
        sm.SampleReturned,
        sm.SampleDisposed,
        sm.SampleLost,
        sm.SampleLinked,
        sm.SampleUnitNamed,
    )
}


def _drifts(connection: Connection) -> Iterator[str]:
    """Explanations of drifts that are not what was said; the journal has the digest."""
    d = t.drifts.c
    for row in connection.execute(select(d.drift, d.explanation, d.explanation_digest).order_by(d.drift)):
        if row.explanation_digest is not None and sha256(row.explanation.encode()) != row.explanation_digest:
            yield f"the explanation of drift {row.drift} is not what was said"
