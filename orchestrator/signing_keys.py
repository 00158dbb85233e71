"""The keys that sign, one after another: which is current, the change to the next, and what is published of all.

The database says which key signs now; its private half lies in the data directory. A change writes the next key beside
it, commits, and then moves it into place: what a crash leaves behind is finished or forgotten at the next start. The
private half of a key that signs no more is deleted with that, so nobody can sign with it by mistake.
"""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lab_inventory.canonical import sha256
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, NotFound
from orchestrator.envelope import signed_with
from orchestrator.key_chain import Issuer
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.signing_key import (
    KeyLink,
    SigningKeyCompromised,
    SigningKeyIntroduced,
    SigningKeyRetired,
    SigningKeyState,
)
from orchestrator.new_file import write_new
from orchestrator.pipeline.certificate_life import ENDED, CertificateOrder, Event, moved, next_link
from orchestrator.signing import Signer
from orchestrator.store import certificate_views, key_views, listings
from orchestrator.store.directory import alone
from orchestrator.store.store import Store

KEY, NEXT, ISSUER = "signing-key.json", "signing-key.next.json", "issuer.json"


def signer_at(data: Path, store: Store, *, name: str) -> Signer:
    """The key with which servers on this data directory sign, made where none ever was; its issuer file beside it.

    Raises BadInput where the database knows that another key signs.
    """
    with alone(data):
        _finish(data, store, name)
        with store.reading() as connection:
            known = key_views.keys(connection)
        current = next((key for key in known if key.state is SigningKeyState.CURRENT), None)
        if current is not None and not (data / KEY).exists():
            raise BadInput(
                f"{data / KEY} is missing: the key {current.thumbprint} signs. Put it back; where it is lost, "
                "'assay keys rotate --alone' makes another, of which everybody who verifies has to be told"
            )
        signer = Signer.at(data / KEY, name=name)
        if current is not None and current.thumbprint != signer.issuer.thumbprint:
            raise BadInput(
                f"{data / KEY} is the key {signer.issuer.thumbprint}, and {current.thumbprint} signs since it was "
                "changed: put that key there ('assay keys list' shows all)"
            )
        _write_issuer(data, store, signer)
    return signer


def issuer_of(store: Store, signer: Signer) -> Issuer:
    """What is published of who signs: the key, and those before it."""
    with store.reading() as connection:
        return signer.issuer.model_copy(update={"former": key_views.former(connection)})


def published(store: Store, signer: Signer) -> dict[str, Any]:
    """Every key with its times and the signed link that introduced it, the oldest first."""
    with store.reading() as connection:
        known = key_views.keys(connection)
    rows = [
        {
            "number": key.number,
            "thumbprint": key.thumbprint,
            "x": key.x,
            "state": key.state.value,
            "valid_from": _text(key.valid_from),
            "retired_at": _text(key.retired_at),
            "compromised_since": _text(key.compromised_since),
            "reason": key.reason,
            "link": json.loads(key.link) if key.link else None,
        }
        for key in known
    ]
    if not rows:
        only = signer.issuer
        times = {"valid_from": None, "retired_at": None, "compromised_since": None, "reason": "", "link": None}
        rows = [{"number": 0, "thumbprint": only.thumbprint, "x": only.key.x, "state": "current", **times}]
    return {"issuer": signer.name, "keys": rows}


def rotate(data: Path, store: Store, clock: Clock, *, name: str, introduced: bool = True) -> KeyLink:
    """Make a new key sign from now on; the one before it introduces it unless not ``introduced``.

    No server may run meanwhile. Raises BadInput where the key before it is not here.
    """
    with alone(data):
        _finish(data, store, name)
        if introduced and not (data / KEY).exists():
            raise BadInput(f"{data / KEY}: there is no key here that could introduce another")
        old = Signer.at(data / KEY, name=name) if (data / KEY).exists() else None
        new = Signer.new(name=name)
        write_new(data / NEXT, new.private_jwk())
        link = _commit_next(store, clock, old, new, introduced=introduced)
        _move_into_place(data)
        _write_issuer(data, store, new)
    return link


def _commit_next(store: Store, clock: Clock, old: Signer | None, new: Signer, *, introduced: bool) -> KeyLink:
    with store.deciding() as connection:
        known = key_views.keys(connection)
        current = known[-1].thumbprint if known else old.issuer.thumbprint if old else None
        if introduced and (old is None or current != old.issuer.thumbprint):
            raise BadInput(f"the key {current} signs, and the one in the data directory is another; put that one there")
        last = key_views.last_signed_at(connection)
        at = max(clock.now(), last + timedelta(microseconds=1)) if last else clock.now()
        link = KeyLink(
            issuer=new.name,
            number=known[-1].number + 1 if known else 1,
            previous=current if introduced else None,
            thumbprint=new.issuer.thumbprint,
            x=new.issuer.key.x,
            valid_from=at,
        )
        facts: list[Fact] = []
        if not known and old is not None:
            facts.append(_introduced(old, 0, None, "", at))
        if current is not None:
            facts.append(SigningKeyRetired(thumbprint=current, at=at))
        document = (old if introduced and old else new).sign_key_link(link)
        store.commit([*facts, _introduced(new, link.number, link.previous, document, at)])
    return link


def _introduced(signer: Signer, number: int, previous: str | None, document: str, at: datetime) -> SigningKeyIntroduced:
    return SigningKeyIntroduced(
        number=number,
        thumbprint=signer.issuer.thumbprint,
        x=signer.issuer.key.x,
        previous=previous,
        document=document,
        document_digest=sha256(document.encode()),
        at=at,
    )


def compromised(
    data: Path, store: Store, clock: Clock, *, name: str, thumbprint: str, since: datetime, reason: str, by: str
) -> tuple[str, ...]:
    """Say since when somebody else may have signed with a former key; gives the certificates that are revoked for it.

    Those are what this key signed from then on and what still stands: nobody can tell them from forged ones. Raises
    NotFound for an unknown key, Conflict for the one that signs now, BadInput for a moment that makes it milder.
    """
    signer = signer_at(data, store, name=name)
    now = clock.now()
    with store.deciding() as connection:
        key = next((key for key in key_views.keys(connection) if key.thumbprint == thumbprint), None)
        if key is None:
            raise NotFound(f"there is no former key {thumbprint[:80]}")
        if key.state is SigningKeyState.CURRENT:
            raise Conflict(f"the key {thumbprint} signs now: 'assay keys rotate --alone' first")
        if since > now:
            raise BadInput(f"--since is {since.isoformat()}, which is to come")
        if key.compromised_since is not None and since >= key.compromised_since:
            raise BadInput(f"the key {thumbprint} is compromised since {key.compromised_since.isoformat()} already")
        facts: list[Fact] = [
            SigningKeyCompromised(thumbprint=thumbprint, since=since, reason=reason, by=by, at=now),
        ]
        revoked: list[str] = []
        for view in certificate_views.signed_since(connection, since):
            document = listings.certificate_document(connection, view.certificate.certificate) or ""
            if view.status.state in ENDED or signed_with(document) != thumbprint:
                continue
            words = f"It was signed with a key that somebody else may have had since {since:%Y-%m-%d %H:%M:%S} UTC."
            link = next_link(view, CertificateOrder(event=Event.REVOKED, reason=words), by, now)
            signed = signer.sign_link(link)
            facts.append(moved(link, signed, sha256(signed.encode())))
            revoked.append(view.certificate.certificate)
        store.commit(facts)
    with alone(data):
        _write_issuer(data, store, signer)
    return tuple(revoked)


def _finish(data: Path, store: Store, name: str) -> None:
    """End a change that a crash cut off: where it was committed the next key is the key; else there is no next key."""
    if not (data / NEXT).exists():
        return
    with store.reading() as connection:
        known = key_views.keys(connection)
    try:
        begun = Signer.at(data / NEXT, name=name).issuer.thumbprint
    except BadInput:
        begun = ""
    if begun and known and begun == known[-1].thumbprint:
        _move_into_place(data)
    else:
        (data / NEXT).unlink()


def _move_into_place(data: Path) -> None:
    (data / NEXT).rename(data / KEY)
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_issuer(data: Path, store: Store, signer: Signer) -> None:
    (data / ISSUER).write_text(issuer_of(store, signer).model_dump_json(), encoding="utf-8")


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
