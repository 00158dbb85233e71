"""Verifying a certificate, and what a status list says of it, without a server. Total: whatever is given, it answers.

Whose key signed it, only ``--issuer`` or the local trust file can say; which keys count beside that one,
``orchestrator.key_chain`` finds. What a compromised key signed at or after the moment since when somebody else may have
had it is invalid. Before that moment it is believed only where a list signed with a good key names these very bytes: a
time in a document is the word of whoever had the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

from orchestrator.envelope import unseal
from orchestrator.key_chain import Chain, Issuer, KnownKey, chain_from, learned
from orchestrator.lifecycle.certificate import Certificate, CertificateState, CertificateStatus, StatusList

CERTIFICATE_BYTES_MAX = 1_000_000
STATUS_BYTES_MAX = 50_000_000


class Finding(IntEnum):
    """What verification found; the value is the exit status of ``assay verify``."""

    VALID = 0
    INVALID = 1
    ISSUER_UNKNOWN = 3
    NOT_IN_FORCE = 4
    STATUS_UNKNOWN = 5


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found, and in words what was checked; ``certificate`` is None where it could not be read.

    ``key``: the thumbprint of the one that signed it. ``chain``: the keys that count, of which ``anchor`` is the one
    that is trusted; both None where nobody is. ``unvouched``: its key is compromised, and only a list can vouch for it.
    """

    finding: Finding
    words: tuple[str, ...]
    certificate: Certificate | None = None
    key: str | None = None
    chain: Chain | None = None
    anchor: str | None = None
    unvouched: bool = False

    def ended(self, finding: Finding, *last: str) -> "Verification":
        """This with another end."""
        return replace(self, finding=finding, words=(*self.words, *last))


def verify(
    data: bytes, *, named: Issuer | None = None, trusted: Sequence[Issuer] = (), links: Sequence[bytes] = ()
) -> Verification:
    """Verify a certificate file. Trusts ``named`` alone where it is given, else the ``trusted`` issuers.

    ``links``: signed key links, by which an older key that is trusted leads to newer ones.
    """
    opened = unseal(data, "certificate", Certificate, bytes_max=CERTIFICATE_BYTES_MAX, what="a certificate")
    certificate = opened.content
    found = Verification(
        finding=Finding.ISSUER_UNKNOWN, words=opened.words, certificate=certificate, key=opened.thumbprint
    )
    if opened.wrong or certificate is None:
        return found.ended(Finding.INVALID, f"INVALID: {opened.wrong}")
    candidates = (named,) if named is not None else tuple(trusted)
    chains = [(issuer, chain_from(issuer, links)) for issuer in candidates]
    match = next(((issuer, chain) for issuer, chain in chains if chain.key(opened.thumbprint)), None)
    if match is not None:
        return _signed_by(found, certificate, *match)
    tried = next((chain for issuer, chain in chains if issuer in (named,) or issuer.name == certificate.issuer), None)
    found = replace(found, words=(*found.words, *(tried.words if tried else ())))
    if named is not None:
        words = f"INVALID: it was not signed with the key of {named.name} that was given, nor with one it leads to."
        return found.ended(Finding.INVALID, words)
    if tried is not None:
        words = f"INVALID: it names {certificate.issuer}, whose trusted keys are others: a forgery."
        return found.ended(Finding.INVALID, words)
    return found.ended(
        Finding.ISSUER_UNKNOWN,
        "INTACT, ISSUER UNKNOWN: nothing here says whose key this is; name it with --issuer FILE.",
    )


def _signed_by(found: Verification, certificate: Certificate, issuer: Issuer, chain: Chain) -> Verification:
    """Of a certificate that one of the issuer's keys signed."""
    found = replace(found, chain=chain, anchor=issuer.thumbprint, words=(*found.words, *chain.words))
    if issuer.name != certificate.issuer:
        words = f"INVALID: it names {certificate.issuer}, but the key belongs to {issuer.name}."
        return found.ended(Finding.INVALID, words)
    key = chain.key(found.key or "")
    if key is None:
        return found.ended(Finding.INVALID, "INVALID: the issuer says that this was never its key.")
    if key.thumbprint == issuer.thumbprint:
        found = found.ended(Finding.VALID, f"The key belongs to {issuer.name}, which is trusted here.")
    else:
        when = f", which signed until {_when(key.retired_at)}" if key.retired_at else ""
        found = found.ended(Finding.VALID, f"The key is another of {issuer.name}, which is trusted here{when}.")
    return _in_time(found, certificate, key)


def _in_time(found: Verification, certificate: Certificate, key: KnownKey) -> Verification:
    """Whether the key signed at the time that the certificate says."""
    at = certificate.granted_at
    if key.valid_from is not None and at < key.valid_from:
        words = f"INVALID: granted {_when(at)}, when this key did not sign yet (from {_when(key.valid_from)} on)."
        return found.ended(Finding.INVALID, words)
    if key.compromised_since is not None and at >= key.compromised_since:
        words = (
            f"INVALID: granted {_when(at)}, and since {_when(key.compromised_since)} somebody else may have signed "
            "with this key: nothing from then on is believed."
        )
        return found.ended(Finding.INVALID, words)
    if key.retired_at is not None and at >= key.retired_at:
        words = f"INVALID: granted {_when(at)}, when this key signed no more (until {_when(key.retired_at)})."
        return found.ended(Finding.INVALID, words)
    if key.compromised_since is not None:
        words = (
            f"Somebody else may have signed with this key since {_when(key.compromised_since)}, and may have written "
            "an earlier time."
        )
        last = "STATUS UNKNOWN: only a status list signed with a newer key can vouch for it (--status-list)."
        return replace(found.ended(Finding.STATUS_UNKNOWN, words, last), unvouched=True)
    return found


def with_status(found: Verification, certificate_digest: str, data: bytes, now: datetime) -> Verification:
    """Add to a verification that found no fault what a status list says.

    The list has to be signed with the issuer's newest key, and to be good now: an old one may not know of a revocation.
    """
    certificate = found.certificate
    good = found.finding in (Finding.VALID, Finding.ISSUER_UNKNOWN) or found.unvouched
    if not good or certificate is None:
        return found
    opened = unseal(data, "status_list", StatusList, bytes_max=STATUS_BYTES_MAX, what="a status list")
    listed = opened.content
    if opened.wrong or listed is None:
        return found.ended(Finding.STATUS_UNKNOWN, f"STATUS UNKNOWN: the status list cannot be used: {opened.wrong}")
    newest = found.chain.keys[-1].thumbprint if found.chain else found.key
    if opened.thumbprint != newest:
        return found.ended(Finding.STATUS_UNKNOWN, f"STATUS UNKNOWN: {_other_key(found, opened.thumbprint)}")
    if now >= listed.next_update:
        words = f"STATUS UNKNOWN: the status list was good until {listed.next_update:%Y-%m-%d %H:%M} UTC."
        return found.ended(Finding.STATUS_UNKNOWN, words)
    status = next((one for one in listed.certificates if one.certificate == certificate.certificate), None)
    if status is None:
        words = f"STATUS UNKNOWN: the status list does not have {certificate.certificate}."
        return found.ended(Finding.STATUS_UNKNOWN, words)
    first = status.document if status.links else status.head
    if first is not None and first != certificate_digest:
        return found.ended(Finding.INVALID, "INVALID: the status list speaks of another certificate under that name.")
    if found.chain is not None:
        found = _learned(found, certificate, listed, vouched=first is not None)
        if found.finding is not Finding.VALID:
            return found
    return _state(found, status, listed, now)


def _other_key(found: Verification, thumbprint: str) -> str:
    known = found.chain.key(thumbprint) if found.chain else None
    if known is not None:
        return f"the status list is signed with the key {thumbprint}, which signs no more."
    return "the status list is signed with another key; where the issuer changed it, --keys FILE leads there."


def _learned(found: Verification, certificate: Certificate, listed: StatusList, *, vouched: bool) -> Verification:
    """With what the newest key says of the others. ``vouched``: the list names the digest of this certificate."""
    chain = learned(found.chain or Chain(keys=(), words=()), listed.former_keys)
    anchor, key = chain.key(found.anchor or ""), chain.key(found.key or "")
    if anchor is not None and anchor.thumbprint != chain.keys[-1].thumbprint and anchor.compromised_since is not None:
        words = (
            f"INTACT, ISSUER UNKNOWN: somebody else may have the key that is trusted here, since "
            f"{_when(anchor.compromised_since)}; get the issuer's new file from the issuer itself."
        )
        return replace(found, unvouched=False).ended(Finding.ISSUER_UNKNOWN, words)
    if key is None:
        return found.ended(Finding.INVALID, "INVALID: the issuer says that this was never its key.")
    # What was said of a key whose compromise was known before is said again, with what the list adds.
    base = replace(found, finding=Finding.VALID, unvouched=False, words=found.words[: -2 if found.unvouched else None])
    timed = _in_time(base, certificate, key)
    if not timed.unvouched or not vouched:
        return timed
    words = "The issuer vouches for these very bytes with the key that signs now."
    return replace(timed, finding=Finding.VALID, words=(*timed.words[:-1], words), unvouched=False)


def _state(found: Verification, status: CertificateStatus, listed: StatusList, now: datetime) -> Verification:
    said = f"status list {listed.number} of {listed.issued_at:%Y-%m-%d %H:%M} UTC"
    if status.state not in (CertificateState.GRANTED, CertificateState.PROVISIONAL):
        return found.ended(Finding.NOT_IN_FORCE, f"NOT IN FORCE: it is {status.state.value} ({said}).")
    if status.ends_on is not None and now.date() > status.ends_on:
        return found.ended(Finding.NOT_IN_FORCE, f"NOT IN FORCE: its last day was {status.ends_on} ({said}).")
    until = f", up to and including {status.ends_on}" if status.ends_on else ""
    limits = (f"Limits of use: {status.limits}",) if status.limits else ()
    if status.state is CertificateState.PROVISIONAL:
        words = f"PROVISIONAL: it is in force{until}, and not granted in full yet ({said}). Open: {status.conditions}"
        return found.ended(found.finding, words, *limits)
    return found.ended(found.finding, f"It is in force{until} ({said}).", *limits)


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"
