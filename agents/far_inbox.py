"""The inbox of a host without a Ray node: its door stands at a stronger host and posts to it over TLS.

The name of the inbox goes to the orchestrator with each heartbeat, and from there with each assignment to the door. It
holds all that the door needs: where to connect, which certificate must be shown there, and a secret that is new with
each start of the agent. So neither side is set up with anything of the other's, and nobody else may post.
"""

import asyncio
import hmac
import ssl
from base64 import urlsafe_b64encode
from hashlib import sha256

from agents.inbox import LINE_BYTES_MAX, READ_TIMEOUT_S, Inbox
from agents.settings import AgentSettings
from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput
from lab_inventory.noun import host_and_port

SCHEME = "tls://"
NAME_MAX = 120
_SECRET_CHARS = 22
"""128 bits in base64: with its address and the certificate's digest the name still fits into a Label."""


def pin_of(certificate: bytes) -> str:
    """What a certificate (DER) is pinned by: its SHA-256, in base64 without padding."""
    return urlsafe_b64encode(sha256(certificate).digest()).decode().rstrip("=")


class FarInbox:
    """Listens by TLS where the settings say, and hands what comes with the secret to ``inbox``."""

    def __init__(self, settings: AgentSettings, inbox: Inbox, clock: Clock) -> None:
        """Raises BadInput where certificate or key cannot be used."""
        if settings.inbox_listen is None or settings.inbox_cert is None or settings.inbox_key is None:
            raise BadInput("an inbox that listens needs an address, a certificate and a key")
        self._address = settings.inbox_listen
        self._inbox = inbox
        self._secret = clock.token("")[-_SECRET_CHARS:]
        self._server: asyncio.Server | None = None
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            self._tls.load_cert_chain(settings.inbox_cert, settings.inbox_key)
            first = settings.inbox_cert.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
            shown = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN CERTIFICATE-----") :])
        except (OSError, ValueError) as error:
            raise BadInput(
                f"the inbox cannot use {settings.inbox_cert} with {settings.inbox_key}: {error}; expected PEM files"
            ) from error
        told = settings.inbox_address or self._address
        self.name = f"{SCHEME}{told}/{self._secret}#{pin_of(shown)}"
        if len(self.name) > NAME_MAX:
            raise BadInput(f"the address {told} of the inbox is too long; expected an IP address and a port")

    async def open(self) -> None:
        """Listen; raises BadInput where that cannot be."""
        host, port = host_and_port(self._address)
        try:
            self._server = await asyncio.start_server(
                self._connected, host, port, ssl=self._tls, limit=LINE_BYTES_MAX, ssl_handshake_timeout=READ_TIMEOUT_S
            )
        except OSError as error:
            raise BadInput(f"the inbox cannot listen on {self._address}: {error.strerror}") from error

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._inbox.converse(reader, writer, allowed=self._is_secret)

    def _is_secret(self, line: bytes) -> bool:
        return hmac.compare_digest(line.strip(), self._secret.encode())
