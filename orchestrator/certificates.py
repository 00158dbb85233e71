"""What becomes of certificates: orders, expiry, the status list, the bundle. Commits, then answers."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from lab_inventory.canonical import canonical_bytes, sha256
from lab_inventory.clock import Clock
from lab_inventory.errors import Conflict, InvariantBroken, NotFound
from orchestrator.authority.impediments import took_part
from orchestrator.bundle import Bundled, bundle
from orchestrator.lifecycle.certificate import CertificateLink, CertificateStatus, StatusList
from orchestrator.lifecycle.signing_key import FormerKey
from orchestrator.pipeline.certificate_life import CertificateOrder, CertificateView, Event, expiry, moved, next_link
from orchestrator.signing import Signer
from orchestrator.signing_keys import issuer_of, published
from orchestrator.store import certificate_views, key_views, listings, review_views, views
from orchestrator.store.store import JournalHead, Reading, Store, head

STATUS_GOOD_FOR = timedelta(hours=24)
STATUS_SIGNED_AGAIN = timedelta(hours=1)
BY_ITSELF = "assay"


class SignsLinks(Protocol):
    """Puts the issuer's signature on what becomes of a certificate."""

    def sign_link(self, link: CertificateLink) -> str:
        """The signed document."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """A status list that was signed: of which state of the journal, and when."""

    journal: str
    signed_at: datetime
    document: str


class Certificates:
    """The desk for certificates that were granted; safe to be called from several threads."""

    def __init__(self, store: Store, clock: Clock, signer: Signer) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._listing = threading.Lock()
        self._listed: _Listed | None = None

    def order(self, name: str, order: CertificateOrder, by: str) -> CertificateLink:
        """Carry out an order; raises NotFound, BadInput, and Conflict where the state does not allow it."""
        with self._store.deciding() as connection:
            view = _there(certificate_views.certificate(connection, name), name)
            link = next_link(view, order, by, self._clock.now())
            if order.event is Event.CONFIRMED:
                _require_no_part(connection, view, by)
            keep_link(self._store, self._signer, link)
        return link

    def issuer(self) -> str:
        """The name of the issuer with its public key, and those before it, as JSON."""
        return issuer_of(self._store, self._signer).model_dump_json()

    def keys(self) -> dict[str, Any]:
        """Every key that signed and signs, with its times and the signed link that introduced it."""
        return published(self._store, self._signer)

    def status_list(self) -> str:
        """What holds of every certificate, signed; again when something happened, or after an hour.

        Raises Unavailable where another key signs now than this server has.
        """
        with self._listing:
            with self._store.reading() as connection:
                now = self._clock.now()
                key_views.require_signs_now(connection, self._signer.issuer.thumbprint)
                journal = head(connection)
                listed = self._listed
                if listed and listed.journal == journal.hash and now - listed.signed_at < STATUS_SIGNED_AGAIN:
                    return listed.document
                former = key_views.former(connection)
                statuses = certificate_views.statuses(connection, with_documents=bool(former))
            document = self._sign(journal, statuses, former, now)
            self._listed = _Listed(journal=journal.hash, signed_at=now, document=document)
            return document

    def _sign(
        self,
        journal: JournalHead,
        statuses: tuple[CertificateStatus, ...],
        former: tuple[FormerKey, ...],
        now: datetime,
    ) -> str:
        return self._signer.sign_status(
            StatusList(
                issuer=self._signer.name,
                number=journal.length,
                issued_at=now,
                next_update=now + STATUS_GOOD_FOR,
                journal_head=journal.hash,
                certificates=statuses,
                former_keys=former,
            )
        )

    def bundle(self, name: str, vendor: str | None = None) -> bytes:
        """Everything by which a third party verifies a certificate without this server, as a zip; raises NotFound."""
        status_list = self.status_list()
        with self._store.reading() as connection:
            view = _there(certificate_views.certificate(connection, name, vendor), name)
            document = listings.certificate_document(connection, name)
            judgement = views.judgement(connection, view.certificate.submission)
            recorded = views.submission(connection, view.certificate.submission)
            links = certificate_views.links(connection, name)
            keys = key_views.keys(connection)
        if document is None or judgement is None or recorded is None:
            raise InvariantBroken(f"certificate {name} has no document, judgement or submission")
        return bundle(
            Bundled(
                certificate=document,
                links=links,
                status_list=status_list,
                issuer=self.issuer(),
                key_links=tuple(key.link for key in keys if key.link),
                judgement=canonical_bytes(judgement),
                reports=tuple(report.report for report in recorded.reports),
                evidence=view.certificate.evidence,
                by_hand=[
                    (prompt.requirement, file)
                    for prompt in recorded.prompts
                    if prompt.answer is not None
                    for file in prompt.answer.evidence
                ],
            )
        )


def expire(store: Store, signer: SignsLinks, now: datetime) -> bool:
    """Sign and keep the end of certificates whose last day is over; True where there may be more."""
    with store.reading() as connection:
        if not certificate_views.over(connection, now.date()):
            return False
    with store.deciding() as connection:
        due = certificate_views.over(connection, now.date())
        for view in due:
            link = expiry(view, BY_ITSELF, now)
            if link is not None:
                keep_link(store, signer, link)
    return len(due) >= certificate_views.DUE_MAX


def keep_link(store: Store, signer: SignsLinks, link: CertificateLink) -> None:
    """Sign a link and commit it."""
    document = signer.sign_link(link)
    store.commit([moved(link, document, sha256(document.encode()))])


def _require_no_part(connection: Reading, view: CertificateView, by: str) -> None:
    """Raise Conflict where somebody confirms who took part in the evaluation: confirming is part of the decision."""
    submission, vendor = view.certificate.submission, view.certificate.vendor
    review = review_views.review(connection, submission)
    if review is None:
        raise InvariantBroken(f"certificate {view.certificate.certificate} is provisional, and nobody reviewed it")
    stood_for = review_views.vendors_of(connection, {by}).get(by, frozenset())
    did = took_part(review_views.parts(connection, submission), review, vendor, stood_for, by, reviewing=True)
    if did:
        raise Conflict(f"decider-took-part: {by} {', '.join(dict.fromkeys(did))}, and so cannot confirm it")


def _there(view: CertificateView | None, name: str) -> CertificateView:
    if view is None:
        raise NotFound(f"there is no certificate {name[:80]}")
    return view
