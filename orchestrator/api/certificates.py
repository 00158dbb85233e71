"""What became of certificates, and orders about them. Who verifies needs no account."""

import json
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from pydantic import AwareDatetime

from lab_inventory.errors import NotFound
from lab_inventory.noun import Name, Noun
from orchestrator.api.parts import BatchesRead, CertificatesWrite, PartsOf, Public
from orchestrator.lifecycle.signing_key import SigningKeyState
from orchestrator.pipeline.certificate_life import CertificateOrder
from orchestrator.store import certificate_views

router = APIRouter(prefix="/v1", tags=["certificates"])
Row = dict[str, Any]
Certificate = Annotated[Name, Path(examples=["crt-0123456789abcdef"])]
ORDERS = [
    {"event": "suspended", "reason": "The firmware that is sold is another than the certified one."},
    {"event": "extended", "reason": "Certified again on the newer platform.", "ends_on": "2031-08-15"},
]


class Moved(Noun):
    """What holds of a certificate after an order."""

    certificate: str
    state: str
    ends_on: date | None
    limits: str
    link: int


class PublishedKey(Noun):
    """A key. It signed from ``valid_from`` (none: the first) until ``retired_at`` (none: it signs now).

    ``x``: its public half (Ed25519, RFC 8037). ``link``: how the key before it introduced it, signed.
    """

    number: int
    thumbprint: str
    x: str
    state: SigningKeyState
    valid_from: AwareDatetime | None
    retired_at: AwareDatetime | None
    compromised_since: AwareDatetime | None
    reason: str
    link: Row | None


class Keys(Noun):
    """The keys of an issuer, the oldest first."""

    issuer: str
    keys: tuple[PublishedKey, ...]


@router.get("/issuer", dependencies=[Public])
def issuer(parts: PartsOf) -> Response:
    """Who signs here, with the public key: what 'assay verify --issuer' takes."""
    return Response(parts.certificates.issuer(), media_type="application/json")


@router.get("/keys", dependencies=[Public])
def keys(parts: PartsOf) -> Keys:
    """Every key that signed and signs here, with its times: what 'assay verify --keys' takes."""
    return Keys.model_validate(parts.certificates.keys())


@router.get("/status-list", dependencies=[Public])
def status_list(parts: PartsOf) -> Response:
    """What holds of every certificate of this issuer, signed; good for a day."""
    return Response(parts.certificates.status_list(), media_type="application/json")


@router.get("/certificates/{certificate}/links", dependencies=[Public])
def links(certificate: Certificate, parts: PartsOf) -> list[Row]:
    """What became of a certificate: every signed link in its order, as it was signed."""
    with parts.store.reading() as connection:
        if certificate_views.certificate(connection, certificate) is None:
            raise NotFound(f"there is no certificate {certificate[:80]}")
        return [json.loads(document) for document in certificate_views.links(connection, certificate)]


@router.post("/certificates/{certificate}/orders", status_code=201)
def order(
    certificate: Certificate,
    order: Annotated[CertificateOrder, Body(examples=ORDERS)],
    parts: PartsOf,
    asking: CertificatesWrite,
) -> Moved:
    """Confirm, suspend, reinstate, reduce, extend, withdraw or revoke a certificate; the reason is public."""
    link = parts.certificates.order(certificate, order, asking.subject)
    return Moved(
        certificate=certificate,
        state=link.state.value,
        ends_on=link.ends_on,
        limits=link.limits,
        link=link.number,
    )


@router.get(
    "/certificates/{certificate}/bundle",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def bundle(certificate: Certificate, parts: PartsOf, asking: BatchesRead) -> Response:
    """Everything by which a third party verifies a certificate without this server, and how."""
    headers = {"Content-Disposition": f'attachment; filename="{certificate}.zip"'}
    made = parts.certificates.bundle(certificate, asking.vendor)
    return Response(made, media_type="application/zip", headers=headers)
