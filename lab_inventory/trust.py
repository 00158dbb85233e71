"""Whom a client believes over TLS, where plain http is allowed, and what is wrong when no connection comes about.

The same for agents and commands. Reads a CA file and speaks with nobody; there is no way to verify less.
"""

import ipaddress
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from lab_inventory.errors import BadInput

_HOSTNAME_MISMATCH = 62
_IP_MISMATCH = 64
_EXPIRED = 10
_NOT_YET_VALID = 9
"""X509_V_ERR_… of OpenSSL (x509_vfy.h)."""
_SPOKE_PLAIN = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Verify servers by the certificates in ``ca_file`` and no others; without it by the system's trust store.

    TLS 1.2 or newer. Raises BadInput where the file cannot be used.
    """
    if ca_file is None:
        context = ssl.create_default_context()
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except ssl.SSLError as error:
            raise BadInput(f"{ca_file}: has no certificate in it; expected the CA's certificate as PEM") from error
        except OSError as error:
            raise BadInput(f"{ca_file}: the CA file cannot be read: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in _LOOPBACK_NAMES


def require_safe(url: str, *, trusted_network: bool, setting: str) -> None:
    """Raise BadInput where secrets would go to ``url`` in the clear over a network that nobody said is trusted."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not trusted_network and not is_loopback(parts.hostname or ""):
        raise BadInput(
            f"{url} is plain http to another machine: secrets would go over the wire in the clear. Use https (the "
            f"server needs a certificate: 'assay tls make', docs/how-to/tls.md), or set {setting} where every machine "
            "of that network is trusted"
        )


def connection_trouble(error: BaseException, url: str) -> str:
    """Why no connection to ``url`` came about, and what to do, in words."""
    verification, tls, said = _causes(error)
    if verification is not None:
        return f"{url} is not believed: {_not_believed(verification)}"
    if tls is not None and (tls.reason or "") in _SPOKE_PLAIN:
        return f"{url} does not speak TLS: it is a server of plain http, or no web server; is the address http://…?"
    if tls is not None:
        return f"{url}: no TLS connection came about ({tls.reason or tls}); the server speaks TLS 1.2 and newer"
    if urlsplit(url).scheme == "http" and _cut_before_answer(error):
        return f"{url} ends the connection without an answer ({said}); where it is a server of TLS, use https://…"
    return f"{url} does not answer: {said}"


def _not_believed(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    why = error.verify_message.rstrip(".")
    if code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
        return f"{why}. Use a name that stands in its certificate, or have one made with this name ('assay tls make')"
    if code == _EXPIRED:
        return f"{why}. Renew it at the server ('assay tls renew'); if it is good, this machine's clock is wrong"
    if code == _NOT_YET_VALID:
        return f"{why}. This machine's clock is behind, or that of the machine where the certificate was made was ahead"
    return (
        f"{why}. Its certificate is not of a CA that is trusted here: give the lab's CA file with --ca or ASSAY_CA "
        "(on a host of assay-deploy: 'ca' in the rollout file)"
    )


def _causes(error: BaseException) -> tuple[ssl.SSLCertVerificationError | None, ssl.SSLError | None, str]:
    """What lies at the bottom of an error of a connection."""
    tls: ssl.SSLError | None = None
    seen: BaseException | None = error
    said = str(error) or type(error).__name__
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen, tls, said
        if isinstance(seen, ssl.SSLError):
            tls = seen
        seen = seen.__cause__ or seen.__context__
    return None, tls, said


def _cut_before_answer(error: BaseException) -> bool:
    """By their names: whoever calls has the library, this does not."""
    return type(error).__name__ in ("RemoteProtocolError", "ReadError")
