"""The server's side of TLS on one connection, and what it saw of the client. Does no IO and judges nothing.

Takes the bytes of a connection, gives the plain ones; keeps the versions the client offered, the one agreed on, and the
alert with which the client ended it (RFC 8446, 6). A client that is not content with a certificate says so by an alert,
by ending the connection, or after the handshake by saying nothing: who looks at ``plain_bytes`` can tell.
"""

import contextlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from agents.instruments.client_hello import HELLO_BYTES_MAX, ClientHello, MalformedHello, read_client_hello
from agents.instruments.packets import Peer
from agents.instruments.sip_streams import Flow, LayerStep

_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(\w+)")
_READ_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class TlsListener:
    """One address that listens for TLS, and every connection made to it, in order; more are added as they come."""

    address: Peer
    attempts: Sequence["TlsServer"]


class TlsServer:
    """One connection. ``version`` is None until the handshake is done; ``alert`` is the client's, in RFC 8446's words.

    ``fault`` says why the bench's side ended it, or how the client left during the handshake; ``plain_bytes`` counts
    what came within TLS. Times are ns of CLOCK_BOOTTIME, None where it has not come to that.
    """

    def __init__(self, context: ssl.SSLContext, flow: Flow) -> None:
        self.flow = flow
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._first_bytes = b""
        self.hello: ClientHello | None = None
        self.version: str | None = None
        self.cipher: str | None = None
        self.alert = ""
        self.fault = ""
        self.plain_bytes = 0
        self.handshake_ns: int | None = None
        self.ended_ns: int | None = None

    def receive(self, data: bytes, at_ns: int) -> LayerStep:
        """Take what came: the handshake goes on, or plain bytes come out."""
        self._look_at_hello(data)
        if self.fault:
            return LayerStep(over=True, fault=self.fault)
        self._incoming.write(data)
        plain, over, fault = b"", False, ""
        try:
            if self.version is None:
                self._tls.do_handshake()
                self.version = (self._tls.version() or "").replace("TLSv", "TLS ")
                self.cipher = (self._tls.cipher() or ("",))[0]
                self.handshake_ns = at_ns
            while piece := self._tls.read(_READ_BYTES):
                plain += piece
            over = True  # nothing read means close_notify, the orderly end, which is answered alike
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            over, fault = True, self._why(error)
        self.plain_bytes += len(plain)
        return LayerStep(plain=plain, reply=self._outgoing.read(), over=over, fault=fault)

    def seal(self, plain: bytes) -> bytes:
        """Encrypt what is to be sent. Only after the handshake."""
        self._tls.write(plain)
        return self._outgoing.read()

    def lost(self, at_ns: int) -> None:
        """The connection has gone."""
        if self.ended_ns is None:
            self.ended_ns = at_ns
            if self.version is None and not self.alert and not self.fault:
                self.fault = "the client ended the connection during the handshake without an alert"

    def in_words(self) -> str:
        """What was seen, in a line."""
        offered = "/".join(self.hello.offered) if self.hello else "no readable ClientHello"
        if self.version is None:
            ended = f"alert {self.alert}" if self.alert else self.fault or "the handshake is not done"
            return f"offered {offered}; {ended}"
        after = f"; then alert {self.alert}" if self.alert else ""
        return f"offered {offered}; {self.version} agreed on, {self.plain_bytes} bytes of SIP came{after}"

    def _look_at_hello(self, data: bytes) -> None:
        if self.hello is not None or self.fault:
            return
        self._first_bytes += data
        try:
            self.hello = read_client_hello(self._first_bytes)
        except MalformedHello as error:
            self.fault = f"no TLS: {error.detail}"
        if self.hello is None and len(self._first_bytes) > 2 * HELLO_BYTES_MAX:
            self.fault = "no TLS: the ClientHello does not end"

    def _why(self, error: ssl.SSLError) -> str:
        found = _ALERT.search(error.reason or "")
        if found:
            self.alert = found[1].lower()
            return f"TLS: the client sent the alert {self.alert}"
        self.fault = f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
        return self.fault
