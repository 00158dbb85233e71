"""The server's end of TLS: certificate and key as they are on disk, checked before they are used, and taken up anew
when they are replaced. And where it may listen without TLS.

Everything that is wrong with the files is told in words, with the file. What is wrong with a replacement is told in the
log, and the server goes on with what it has.
"""

import asyncio
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, BadInput
from lab_inventory.trust import is_loopback
from orchestrator.logs import Log
from orchestrator.settings import Settings

LOOK_S = 2.0
EXPIRY_WARNED = timedelta(days=30)


Mark = tuple[tuple[int, int] | None, ...]
"""Inode and time of change of each file."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate (with those between it and its CA, if any) and its key, found good. ``names``: what it is for.
    ``mark``: what changes with the files.
    """

    certificate: Path
    key: Path
    expires_at: datetime
    names: tuple[str, ...]
    mark: Mark


def pair_of(settings: Settings, now: datetime) -> Pair | None:
    """The pair that the settings name, or None where they name none. Raises BadInput with what is wrong with it."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return read_pair(settings.tls_certificate, settings.tls_key, now)


def read_pair(certificate: Path, key: Path, now: datetime) -> Pair:
    """Raises BadInput where one is missing, no PEM, out of date, for no name, or they do not belong together."""
    mark = _mark(certificate, key)
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate, "certificate"))
    except ValueError as error:
        raise BadInput(f"{certificate}: is no certificate; expected PEM, the server's own first") from error
    own = chain[0]
    try:
        private = serialization.load_pem_private_key(_read(key, "key"), password=None)
    except TypeError as error:
        raise BadInput(f"{key}: the key is encrypted; expected one without a passphrase, mode 0600") from error
    except ValueError as error:
        raise BadInput(f"{key}: is no private key; expected PEM") from error
    if stat.S_IMODE(key.stat().st_mode) & 0o007:
        raise BadInput(f"{key}: everybody on this machine can read it; chmod 600 {key}")
    if private.public_key() != own.public_key():
        raise BadInput(f"{key} is not the key of {certificate}: they do not belong together")
    if own.not_valid_after_utc <= now:
        raise BadInput(
            f"{certificate}: expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it ('assay tls renew')"
        )
    if own.not_valid_before_utc > now:
        raise BadInput(
            f"{certificate}: is not good before {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and this machine's "
            f"clock says {now:%Y-%m-%d %H:%M} UTC"
        )
    names = _names(own)
    if not names:
        raise BadInput(f"{certificate}: has no name in it (subject alternative name): no client would believe it")
    return Pair(certificate=certificate, key=key, expires_at=own.not_valid_after_utc, names=names, mark=mark)


def server_context(pair: Pair) -> ssl.SSLContext:
    """What connections are taken with: TLS 1.2 or newer, as OpenSSL's defaults have it. Raises BadInput."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, pair)
    return context


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    try:
        context.load_cert_chain(pair.certificate, pair.key)
    except (ssl.SSLError, OSError) as error:
        raise BadInput(f"{pair.certificate} and {pair.key} cannot be used together: {error}") from error


async def follow(context: ssl.SSLContext, pair: Pair, clock: Clock, log: Log) -> None:
    """Take a certificate up that was put in the place of the old one: for new connections, and those that are there go
    on. Looks every 2 s, until cancelled.
    """
    known = pair.mark
    while True:
        await asyncio.sleep(LOOK_S)
        mark = _mark(pair.certificate, pair.key)
        if mark == known:
            continue
        try:
            found = read_pair(pair.certificate, pair.key, clock.now())
            # A context of its own first: what cannot be used must not reach the one that is used.
            server_context(found)
            _load(context, found)
        except AssayError as error:
            # Between the replacing of the one file and of the other they do not match: looked at again.
            log.warning("certificate-not-taken-up", detail=error.detail)
        else:
            log.info("certificate-taken-up", expires_at=found.expires_at.isoformat(), names=", ".join(found.names))
        known = mark


def require_safe_to_listen(settings: Settings) -> None:
    """Raise BadInput where other machines could speak with the server in the clear, and nobody said that this is so."""
    if settings.tls_certificate is not None or is_loopback(settings.host) or settings.trusted_network:
        return
    if settings.proxies:
        return
    raise BadInput(
        f"{settings.host} is an address for other machines, and there is no TLS: tokens would go over the wire in the "
        "clear. Set ASSAY_TLS_CERTIFICATE and ASSAY_TLS_KEY ('assay tls make NAME' makes them); or listen on "
        "127.0.0.1; or, where a proxy that ends TLS stands in front, set ASSAY_TLS_PROXIES to its address; or set "
        "ASSAY_TRUSTED_NETWORK=true where every machine of that network is trusted (docs/how-to/tls.md)"
    )


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: the {what} cannot be read: {error.strerror}") from error


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = found.get_values_for_type(x509.DNSName)
    return (*dns, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))


def _mark(certificate: Path, key: Path) -> Mark:
    """Changes when one of the files does; a file that is not there for a moment is waited for."""
    marks: list[tuple[int, int] | None] = []
    for path in (certificate, key):
        try:
            found = path.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((found.st_ino, found.st_mtime_ns))
    return tuple(marks)
