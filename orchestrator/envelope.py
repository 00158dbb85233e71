"""Signed documents: Ed25519 as JWS (RFC 7515, RFC 9864) over RFC 8785 JSON.

A document is the canonical JSON of ``{NAME: …, "signature": {"protected": …, "signature": …}}``: a JWS with detached
content, whose payload is the canonical JSON of what stands under NAME. Because the whole file must be canonical, no
byte of it can change unnoticed. The key in the protected header lets anyone check that the file is intact; whose key
that is, it cannot say.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ValidationError

from lab_inventory.canonical import canonical_bytes

ALGORITHM = "Ed25519"
N = TypeVar("N", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Opened(Generic[N]):
    """What is in a document. ``wrong``: why it is not intact, or nothing; then ``thumbprint`` is that of its key.

    ``words``: what was checked. ``content`` is None where it could not be read at all.
    """

    content: N | None
    words: tuple[str, ...]
    wrong: str = ""
    thumbprint: str = ""


def seal(name: str, content: BaseModel, key: OKPKey) -> str:
    """The signed document that holds ``content`` under ``name``."""
    header = {"alg": ALGORITHM, "kid": key.thumbprint(), "jwk": public_of(key)}
    signed = jws.serialize_json({"protected": header}, canonical_bytes(content), key, algorithms=[ALGORITHM])
    signature = {"protected": signed["protected"], "signature": signed["signature"]}
    return canonical_bytes({name: content.model_dump(mode="json"), "signature": signature}).decode()


def unseal(data: bytes, name: str, kind: type[N], *, bytes_max: int, what: str) -> Opened[N]:
    """Open a signed document. Total: whatever ``data`` is, it answers and never raises. ``what``: for the words."""
    words: list[str] = []

    def wrong(why: str, content: N | None = None) -> Opened[N]:
        return Opened(content=content, words=tuple(words), wrong=why)

    if len(data) > bytes_max:
        return wrong(f"the file is larger than {bytes_max} bytes")
    try:
        document = json.loads(data)
        content = kind.model_validate(document[name])
        protected, signature = document["signature"]["protected"], document["signature"]["signature"]
        header = json.loads(_unpad(protected))
        key = key_of(header["jwk"])
        signature_rewritten = _pad(_unpad(signature))
        canonical = canonical_bytes(document)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError, JoseError, AttributeError):
        return wrong(f"the file is not {what} of Assay")
    if canonical != data or set(document) != {name, "signature"}:
        return wrong(f"the file was changed: it is not in the canonical form in which {what} is written")
    if set(document["signature"]) != {"protected", "signature"} or signature_rewritten != signature:
        return wrong("the file was changed: its signature is not written as it was")
    words.append("The file is in canonical form (RFC 8785).")
    if header.get("alg") != ALGORITHM or header.get("kid") != key.thumbprint():
        return wrong("the signature's header does not fit its key", content)
    payload = _pad(canonical_bytes(document[name]))
    try:
        jws.deserialize_json(
            {"payload": payload, "protected": protected, "signature": signature}, key, algorithms=[ALGORITHM]
        )
    except (JoseError, ValueError):
        return wrong("the signature does not fit the content: the file was changed", content)
    words.append(f"The Ed25519 signature fits the content; it was made with the key {key.thumbprint()}.")
    return Opened(content=content, words=tuple(words), thumbprint=key.thumbprint())


def signed_with(document: str) -> str:
    """The thumbprint that a document of ours names as its key's. Not verified: for what was signed here."""
    protected = json.loads(document)["signature"]["protected"]
    return str(json.loads(_unpad(protected))["kid"])


def public_of(key: OKPKey) -> dict[str, Any]:
    """The public half of a key as JWK (RFC 8037)."""
    shown = key.as_dict(private=False)
    return {name: shown[name] for name in ("crv", "kty", "x")}


def key_of(public: dict[str, Any]) -> OKPKey:
    """The public key of a JWK; raises ValueError for any other kind of key, or one that brings more than it should."""
    if set(public) != {"crv", "kty", "x"} or public["crv"] != ALGORITHM:
        raise ValueError("not an Ed25519 public key")
    return OKPKey.import_key(public)


def _pad(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpad(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
