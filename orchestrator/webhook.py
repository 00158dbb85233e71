"""Sending one webhook: signed as Standard Webhooks does, and to no address that was not looked at first.

The name is resolved once, every address is checked, and the connection is made to one that was: what DNS says a moment
later changes nothing. Redirects are not followed, proxies of the environment not used, and a reply is read to a bound.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab_inventory.clock import Clock

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

URL_LENGTH_MAX = 500
STEP_S = 5.0
WHOLE_S = 15.0
REPLY_BYTES_MAX = 65_536
SECRET_PREFIX = "whsec_"  # noqa: S105
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_NOT_PUBLIC = (ipaddress.ip_network("192.88.99.0/24"), ipaddress.ip_network("fec0::/10"), ipaddress.ip_network("::/96"))


@dataclass(frozen=True, kw_only=True)
class Target:
    """A webhook's address, taken apart."""

    https: bool
    host: str
    port: int
    path: str


def target_of(url: str) -> Target | str:
    """Take an address apart, or say why it is none that a notice can be sent to."""
    if len(url) > URL_LENGTH_MAX or not url.isascii() or not url.isprintable() or " " in url:
        return f"is no address of at most {URL_LENGTH_MAX} plain characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme not in ("https", "http"):
        return f"begins with {parts.scheme or 'nothing'}:// and not with https://"
    if parts.username is not None or parts.password is not None:
        return "has a name or password in it; the signature says who sends"
    if not parts.hostname:
        return "names no host"
    if parts.fragment:
        return "has a fragment, which is never sent"
    https = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(https=https, host=parts.hostname, port=port or (443 if https else 80), path=path)


def embedded(address: Address) -> Address | None:
    """The IPv4 address inside an IPv6 one that leads to it, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, and what it may stand for as well."""
    inner = embedded(address)
    if inner is not None and not is_public(inner):
        return False
    kept_apart = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not kept_apart


def why_not_to(address: str, allowed: Sequence[Network], *, https: bool) -> str:
    """Why nothing is sent to an address, or nothing: off the internet, and without TLS, only where it is allowed."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "is no address"
    if any(found in network for network in allowed if network.version == found.version):
        return ""
    if not is_public(found):
        return "is not on the internet; ASSAY_WEBHOOK_NETWORKS names the networks that may be reached"
    return "" if https else "is sent to without TLS; only networks in ASSAY_WEBHOOK_NETWORKS are"


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the machine resolves it; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def signature(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """What the header ``webhook-signature`` holds: HMAC-SHA256 over id, timestamp and body, in base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def new_secret(clock: Clock) -> str:
    """A fresh secret of 32 random bytes."""
    raw = hashlib.sha256(clock.token("").encode()).digest()
    return SECRET_PREFIX + base64.b64encode(raw).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What came of a try, in words for the operator; never anything of the reply's body."""

    arrived: bool
    words: str
    gone: bool = False


def _cut(wire: socket.socket) -> None:
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


class Webhooks:
    """Sends webhooks; ``allowed``: networks beside the internet. Blocks for at most about ``WHOLE_S``."""

    def __init__(
        self,
        clock: Clock,
        allowed: Sequence[Network],
        *,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._allowed = allowed
        self._resolve = resolve
        self._trust = trust or ssl.create_default_context()

    def send(self, url: str, secret: str, delivery: str, body: bytes) -> Said:
        """Send one notice; every failure is an answer in words."""
        target = target_of(url)
        if isinstance(target, str):
            return Said(arrived=False, words=f"the address {target}")
        try:
            addresses = self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "the name cannot be one"
            return Said(arrived=False, words=f"{target.host} cannot be resolved: {why}")
        for address in addresses:
            why_not = why_not_to(address, self._allowed, https=target.https)
            if why_not:
                return Said(arrived=False, words=f"{target.host} is {address}, which {why_not}")
        if not addresses:
            return Said(arrived=False, words=f"{target.host} has no address")
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Assay",
            "webhook-id": delivery,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, delivery, timestamp, body),
        }
        try:
            return self._post(target, addresses[0], headers, body)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "no TLS there"
            return Said(arrived=False, words=f"{target.host}: TLS failed: {reason}")
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            return Said(arrived=False, words=f"{target.host}: {why}")

    def _post(self, target: Target, address: str, headers: dict[str, str], body: bytes) -> Said:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=STEP_S)
        wire: socket.socket = socket.create_connection((address, target.port), timeout=STEP_S)
        # What comes byte by byte keeps each step short and the whole long: so the whole is cut.
        cut = threading.Timer(WHOLE_S, _cut, [wire])
        cut.start()
        try:
            if target.https:
                wire = self._trust.wrap_socket(wire, server_hostname=target.host)
            connection.sock = wire
            connection.request("POST", target.path, body=body, headers=headers)
            reply = connection.getresponse()
            seen = 0
            while seen < REPLY_BYTES_MAX:
                chunk = reply.read1(8192)
                if not chunk:
                    break
                seen += len(chunk)
        finally:
            cut.cancel()
            wire.close()
        arrived = 200 <= reply.status < 300
        words = f"{target.host} answered {reply.status}"
        if 300 <= reply.status < 400:
            words += ", which leads elsewhere; that is not followed"
        return Said(arrived=arrived, words=words, gone=reply.status == 410)
