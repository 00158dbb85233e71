"""What every part of the phone works with: its settings, its endpoint, its behaviour, and tasks that end with it."""

import asyncio
import hashlib
import ipaddress
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.simulated.reference_phone.addresses import SIP_PORT, sip_uri
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.digest import Credentials
from agents.simulated.reference_phone.dtls import Certificate
from agents.simulated.reference_phone.jack import Jack
from agents.simulated.reference_phone.media import MediaStream
from agents.simulated.reference_phone.srtp import KEY_BYTES, SALT_BYTES
from agents.simulated.reference_phone.transactions import Endpoint
from agents.simulated.reference_phone.transport import Hop
from lab_inventory.clock import Clock

USER_AGENT = "Assay-Reference-Phone/1.0"
METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE")
EXTENSIONS = ("replaces", "timer", "100rel", "norefersub")
SDP = ("Content-Type", "application/sdp")
CRASH_STATUS = 134


def crash(why: str) -> None:
    """End the process at once, as a fault in a phone's own program does."""
    sys.stderr.write(f"reference phone: {why}\n")
    sys.stderr.flush()
    os._exit(CRASH_STATUS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One phone. Times in seconds; ``tone_hz`` is the frequency of the tone at its microphone."""

    registrar: tuple[str, int]
    user: str
    password: str
    outbound: tuple[str, int] | None = None
    """Where everything outside of calls is sent first; None: where its URI says."""
    listen: tuple[str, int] | None = None
    instance: str = "urn:uuid:00000000-0000-4000-8000-00000000a55a"
    tone_hz: int = 1000
    t1_s: float = 0.5
    session_expires_s: int = 1800
    min_se_s: int = 90
    subscribes_to_messages: bool = False
    transport: str = "UDP"
    """UDP, TCP or TLS."""
    ca_file: str | None = None
    """The CAs whose certificates are taken from servers; None: the system's."""
    secures_audio: bool = False
    """Whether audio is offered and taken with SRTP only."""
    lamps_file: Path | None = None
    """Where it is written down when a lamp changes; None: nowhere."""
    secures_by_dtls: bool = False
    """Whether it is then offered with DTLS and not with the key in the description."""
    crash: Callable[[str], None] = crash
    jack: Jack | None = None
    """The handset socket, where it has one."""


@dataclass(kw_only=True)
class Equipment:
    """Shared by the phone and its calls."""

    settings: Settings
    behaviour: Behaviour
    clock: Clock
    endpoint: Endpoint
    credentials: Credentials
    streams: list[MediaStream] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @cached_property
    def certificate(self) -> Certificate:
        """The phone's own, for the handshakes of its audio."""
        return Certificate(self.clock.now())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the rest, until the phone ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # the event loop tells it; a fault in the phone must not stay unseen

    async def end_tasks(self) -> None:
        """Cancel all that runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def new_master(self) -> bytes:
        """A master key with its salt for the audio of one call (RFC 4568, 6.1), from the clock's secrets."""
        return hashlib.sha256(self.clock.token("srtp").encode()).digest()[: KEY_BYTES + SALT_BYTES]

    @property
    def contact_uri(self) -> str:
        """Where the phone is reached."""
        host, port = self.endpoint.address
        kind = self.settings.transport
        return f"sip:{self.settings.user}@{host}:{port}" + ("" if kind == "UDP" else f";transport={kind.lower()}")

    @property
    def address_of_record(self) -> str:
        """What the phone calls itself in From."""
        host, port = self.settings.registrar
        return f"sip:{self.settings.user}@{host}:{port}"

    def next_hop(self, uri: str, *, first: bool = False) -> Hop:
        """Where a request to a URI goes; ``first``: one outside of a dialog. Raises Unreadable.

        A host that is no IPv4 address is left to the registrar to find, as a phone leaves it to its outbound proxy.
        """
        kind = self.endpoint.transport.kind if self.endpoint.transport else "UDP"
        if first and self.settings.outbound is not None:
            return Hop(kind, *self.settings.outbound)
        target = sip_uri(uri)
        try:
            return Hop(kind, str(ipaddress.IPv4Address(target.host)), target.port or SIP_PORT)
        except ValueError:
            return Hop(kind, *(self.settings.outbound or self.settings.registrar))

    @property
    def allow(self) -> tuple[tuple[str, str], ...]:
        """Allow and Supported, as they stand in many messages."""
        allow = (("Allow", ", ".join(METHODS)),) if self.behaviour.tells_allow else ()
        return (*allow, ("Supported", ", ".join(EXTENSIONS)))
