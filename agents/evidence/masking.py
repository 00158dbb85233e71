"""Takes credentials and keys out of what is kept as evidence; every byte of evidence goes through here. Pure.

A digest response can be attacked offline by whoever also has its nonce, realm and user (RFC 7616, 5.1 and 5.8); an SDES
key opens the audio of its call (RFC 4568, 9). So what proves or protects something is replaced by a digest under a key
that only this run knows and nobody keeps: equal values stay equal, no value can be tried against it, and the number of
bytes stays the same, so that Content-Length and captures stay right. Nonces, realms, user names and counts stay: they
prove nothing without the response, and a fault of a phone may lie in them. DTMF digits are the lab's own and stay.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

SECRET_BYTES_MIN = 6
"""A shorter password is not looked for as plain text: it would be found everywhere."""

_FOLD = rb"(?:[ \t]|\r?\n[ \t])*"
_CREDENTIALS = re.compile(
    rb"^((?:Proxy-)?Authorization|Authentication-Info|Proxy-Authentication-Info)"
    rb"([ \t]*:" + _FOLD + rb")((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))+)",
    re.MULTILINE | re.IGNORECASE,
)
_DIGEST = re.compile(rb"Digest\b", re.IGNORECASE)
_PARAMETER = re.compile(rb'([A-Za-z0-9_-]+)(\s*=\s*)("(?:[^"\\]|\\.)*"?|[^\s,;"]+)|[0-9a-fA-F]{32,}', re.DOTALL)
_STAYS = frozenset(
    b"username username* userhash realm nonce cnonce nextnonce opaque uri algorithm qop nc stale domain charset".split()
)
"""The parameters of RFC 7616, 3.3 to 3.5, from which no password can be told. Every other one is masked."""

_STRAY = re.compile(rb'\b(response|rspauth)(\s*=\s*)("(?:[^"\\\r\n]|\\.)*"?|[^\s,;"]+)', re.IGNORECASE)
_USERINFO = re.compile(rb"(sips?:[^\s:@<>\"]{1,200}:)([A-Za-z0-9\-_.!~*'()%&=+$,]{1,200})(?=@)", re.IGNORECASE)
_INLINE = re.compile(rb"(inline:)([^\s|;]+)", re.IGNORECASE)
_SDP_KEYS = re.compile(
    rb"^(k=(?:clear|base64|uri):|a=key-mgmt:\S+[ \t]+|a=ice-pwd:)([^\r\n]+)", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Bytes without secrets, as many as before, and the names of what was replaced, each once."""

    data: bytes
    replaced: tuple[str, ...]


class Masking:
    """The masking of one run, with a random key of this run alone.

    ``user``, ``realm``, ``password``: the slot's account. Its password is also taken out where it stands in clear, in
    base64, escaped, or hashed as digests do.
    """

    def __init__(self, *, key: bytes, user: str, realm: str, password: str) -> None:
        self._key = key
        self._secrets = tuple(_forms(user, realm, password))

    def mask(self, data: bytes) -> Masked:
        """Replace what is secret in a SIP message, or in any other bytes."""
        replaced: dict[str, None] = {}

        def value(name: str) -> Callable[[re.Match[bytes]], bytes]:
            def put(match: re.Match[bytes]) -> bytes:
                replaced[name] = None
                return match[1] + self._stand_in(match[2])

            return put

        def parameter(match: re.Match[bytes]) -> bytes:
            if match[1] is None:  # a digest that stands in no parameter
                replaced["response"] = None
                return self._stand_in(match[0])
            if match[1].lower() in _STAYS:
                return match[0]
            replaced[match[1].lower().decode()] = None
            return match[1] + match[2] + self._quoted_stand_in(match[3])

        def credentials(match: re.Match[bytes]) -> bytes:
            head, given = match[1] + match[2], match[3]
            if b"info" in match[1].lower() or _DIGEST.match(given):
                return head + _PARAMETER.sub(parameter, given)
            scheme, blank, rest = given.partition(b" ")
            replaced["credentials"] = None
            return head + (scheme + blank + self._stand_in(rest) if rest else self._stand_in(given))

        data = _CREDENTIALS.sub(credentials, data)
        data = _STRAY.sub(self._unless_masked(parameter), data)
        data = _USERINFO.sub(value("password in a URI"), data)
        data = _INLINE.sub(value("inline"), data)
        data = _SDP_KEYS.sub(value("SDP key"), data)
        for secret in self._secrets:
            if secret in data:
                replaced["password"] = None
                data = data.replace(secret, self._stand_in(secret))
        return Masked(data=data, replaced=tuple(replaced))

    def text(self, text: str) -> str:
        """The same for words."""
        return self.mask(text.encode("utf-8", "surrogateescape")).data.decode("utf-8", "surrogateescape")

    def _unless_masked(self, put: Callable[[re.Match[bytes]], bytes]) -> Callable[[re.Match[bytes]], bytes]:
        """A value that was masked in its header stays as it is."""
        return lambda match: match[0] if match[3].lstrip(b'"').startswith(b"masked-") else put(match)

    def _quoted_stand_in(self, value: bytes) -> bytes:
        start = 1 if value.startswith(b'"') else 0
        end = len(value) - 1 if start and len(value) > 1 and value.endswith(b'"') else len(value)
        return value[:start] + self._stand_in(value[start:end]) + value[end:]

    def _stand_in(self, value: bytes) -> bytes:
        """As many bytes, in lower-case letters and digits; line ends and the padding of base64 stay in their places."""
        digest = hmac.new(self._key, value, hashlib.sha256).hexdigest().encode()
        filler = (b"masked-" if len(value) >= 16 else b"") + digest * (len(value) // len(digest) + 1)
        made = bytearray(filler[: len(value)])
        for place, byte in enumerate(value):
            if byte in b"\r\n":
                made[place] = byte
        padding = len(value) - len(value.rstrip(b"="))
        if 0 < padding < len(value):
            made[-padding:] = b"=" * padding
        return bytes(made)


def _forms(user: str, realm: str, password: str) -> Iterable[bytes]:
    """How a password may stand on the wire beside a digest response."""
    plain = password.encode()
    for name in ("md5", "sha256", "sha512_256"):
        digest = hashlib.new(name, f"{user}:{realm}:{password}".encode()).hexdigest()
        yield from (digest.encode(), digest.upper().encode())
    yield base64.b64encode(f"{user}:{password}".encode())
    if len(plain) < SECRET_BYTES_MIN or password in user or password in realm:
        return
    yield from dict.fromkeys((plain, quote(password, safe="").encode(), base64.b64encode(plain).rstrip(b"=")))
