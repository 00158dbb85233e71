"""From the issuer that somebody trusts to every key whose signatures therefore count, and when. Pure.

Trust goes two ways: the issuer's file names the keys before its own, and a key link, signed with a key, leads to the
one after it. Nothing else leads anywhere: of two links that lead on from one key, neither is followed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc.errors import JoseError
from pydantic import Field

from lab_inventory.noun import Label, Noun
from orchestrator.envelope import ALGORITHM, key_of, unseal
from orchestrator.lifecycle.signing_key import FormerKey, KeyLink

LINK_BYTES_MAX = 10_000


class PublicKey(Noun):
    """An Ed25519 public key as JWK (RFC 8037)."""

    kty: str
    crv: str
    x: str


class Issuer(Noun):
    """A name and the key that signs under it; ``former``: the keys that signed under it before."""

    name: Label
    key: PublicKey
    former: tuple[FormerKey, ...] = Field(default=(), exclude_if=lambda given: not given)

    @property
    def thumbprint(self) -> str:
        """The key's SHA-256 thumbprint (RFC 7638)."""
        return key_of(self.key.model_dump()).thumbprint()


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """A key that counts as the issuer's: when it signed, as far as that is known, and since when another may have."""

    thumbprint: str
    valid_from: datetime | None = None
    retired_at: datetime | None = None
    compromised_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The keys that count, the last the newest; in ``words`` what was followed, and what could not be."""

    keys: tuple[KnownKey, ...]
    words: tuple[str, ...]

    def key(self, thumbprint: str) -> KnownKey | None:
        """The key with this thumbprint, or None."""
        return next((key for key in self.keys if key.thumbprint == thumbprint), None)


def chain_from(issuer: Issuer, links: Iterable[bytes]) -> Chain:
    """Every key that counts for who trusts ``issuer`` and is given these key links. Total, whatever ``links`` are."""
    keys = [_known(key) for key in issuer.former if thumbprint_of(key.x) == key.thumbprint]
    keys.append(KnownKey(thumbprint=issuer.thumbprint, valid_from=keys[-1].retired_at if keys else None))
    good, words = _opened(links, issuer.name)
    seen = {key.thumbprint for key in keys}
    while True:
        here = keys[-1].thumbprint
        following = [link for link in good if link.previous == here]
        if not following:
            return Chain(keys=tuple(keys), words=tuple(words))
        if len({link.thumbprint for link in following}) > 1:
            words.append(f"Two keys claim to follow on {here}, so neither is believed: somebody else has that key.")
            return Chain(keys=tuple(keys), words=tuple(words))
        link = following[0]
        if link.thumbprint in seen or (keys[-1].valid_from and link.valid_from <= keys[-1].valid_from):
            words.append(f"Key link {link.number} leads back, and is not followed.")
            return Chain(keys=tuple(keys), words=tuple(words))
        seen.add(link.thumbprint)
        keys[-1] = KnownKey(
            thumbprint=here, valid_from=keys[-1].valid_from, retired_at=keys[-1].retired_at or link.valid_from
        )
        keys.append(KnownKey(thumbprint=link.thumbprint, valid_from=link.valid_from))
        words.append(
            f"Key link {link.number}: the key {here} says that {link.thumbprint} signs from "
            f"{link.valid_from:%Y-%m-%d %H:%M:%S} UTC on."
        )


def learned(chain: Chain, former: Iterable[FormerKey]) -> Chain:
    """The chain with what its newest key says of the others: their times, and which of them are compromised."""
    said = {key.thumbprint: _known(key) for key in former if thumbprint_of(key.x) == key.thumbprint}
    newest = chain.keys[-1]
    older = {key.thumbprint: key for key in chain.keys[:-1]} | said
    older.pop(newest.thumbprint, None)
    return Chain(keys=(*older.values(), newest), words=chain.words)


def thumbprint_of(x: str) -> str:
    """The thumbprint of a public half; empty where it is none."""
    try:
        return key_of({"kty": "OKP", "crv": ALGORITHM, "x": x}).thumbprint()
    except (ValueError, JoseError):
        return ""


def _known(key: FormerKey) -> KnownKey:
    return KnownKey(
        thumbprint=key.thumbprint,
        valid_from=key.valid_from,
        retired_at=key.retired_at,
        compromised_since=key.compromised_since,
    )


def _opened(links: Iterable[bytes], name: str) -> tuple[list[KeyLink], list[str]]:
    """The links that are intact and signed with the key that they say, in words what is wrong with the others."""
    good: list[KeyLink] = []
    words: list[str] = []
    for data in links:
        opened = unseal(data, "key_link", KeyLink, bytes_max=LINK_BYTES_MAX, what="a key link")
        link: Any = opened.content
        if opened.wrong or link is None:
            words.append(f"A key link cannot be used: {opened.wrong}.")
        elif link.issuer != name or thumbprint_of(link.x) != link.thumbprint:
            words.append(f"Key link {link.number} is not about a key of {name}.")
        elif link.previous is None:
            words.append(f"Key link {link.number} was signed by the new key alone: nothing leads to it.")
        elif opened.thumbprint != link.previous:
            words.append(f"Key link {link.number} was not signed with the key that it says.")
        else:
            good.append(link)
    return good, words
