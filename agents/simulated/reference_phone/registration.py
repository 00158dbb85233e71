"""Keeps the phone registered (RFC 3261, 10.2), until it is told to stop, and then takes the binding away."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from agents.simulated.reference_phone.addresses import addresses, sip_uri
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.digest import Credentials
from agents.simulated.reference_phone.message import Message, Unreadable, request
from agents.simulated.reference_phone.transactions import Endpoint
from agents.simulated.reference_phone.transport import Hop

EXPIRES_S = 3600
TRIES = 5
UNREGISTER_TIMEOUT_S = 2.0
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(kw_only=True)
class Registration:
    """One address of record. ``registered`` is set at the first success."""

    endpoint: Endpoint
    credentials: Credentials
    behaviour: Behaviour
    registrar: tuple[str, int]
    hop: Hop
    """Where it is sent: the registrar, or what stands before it."""
    address: str
    contact: str
    """The URI in Contact."""
    instance: str
    user_agent: str

    def __post_init__(self) -> None:
        self.registered = asyncio.Event()
        self.flow_lost = asyncio.Event()
        """Set when the connection to the registrar is gone, over which alone the phone may be reached."""
        self._call_id = self.endpoint.clock.new_id("reg")
        self._tag = self.endpoint.clock.new_id("t")
        self._number = 0
        self._expires_s = EXPIRES_S

    async def keep(self) -> None:
        """Register, and refresh before it expires; after a failure try again, later each time. Until cancelled."""
        first_s, longest_s = self.behaviour.retry_wait_s
        wait_s = first_s
        while True:
            granted_s = await self.register(self._expires_s)
            if granted_s:
                self.registered.set()
                wait_s = first_s
                self.flow_lost.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.flow_lost.wait(), granted_s * self.behaviour.refresh_share)
                continue
            if self.registered.is_set() and not self.behaviour.registers_again_after_failure:
                return
            await asyncio.sleep(self.endpoint.clock.uniform(wait_s / 2, wait_s))
            wait_s = min(wait_s * 2, longest_s)

    async def stop(self) -> None:
        """Take the binding away, if that is answered soon."""
        if not self.registered.is_set() or not self.behaviour.deregisters:
            return
        try:
            await asyncio.wait_for(self.register(0), UNREGISTER_TIMEOUT_S)
        except TimeoutError:
            return

    async def register(self, expires_s: int) -> int | None:
        """One registration with its challenges: the seconds granted, None where it failed."""
        for _ in range(TRIES):
            final = await self.endpoint.ask(self._request(expires_s), self.hop).final()
            if final is None:
                return None
            if final.status in (401, 407) and self.credentials.take(final):
                continue
            least = final.get("Min-Expires")
            if final.status == 423 and _NUMBER.fullmatch(least) and int(least) > expires_s:
                expires_s = self._expires_s = int(least)
                continue
            return self._granted_s(final, expires_s) if final.status == 200 else None
        return None

    def _request(self, expires_s: int) -> Message:
        self._number += 1
        uri = f"sip:{self.registrar[0]}:{self.registrar[1]}"
        instance = f';+sip.instance="<{self.instance}>"' if self.behaviour.names_instance else ""
        headers = [("Max-Forwards", "70")] if self.behaviour.max_forwards else []
        headers += [
            ("From", f"<{self.address}>;tag={self._tag}"),
            ("To", f"<{self.address}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} REGISTER"),
            ("Contact", f"<{self.contact}>{instance};expires={expires_s}"),
            ("Expires", str(expires_s)),
            ("User-Agent", self.user_agent),
            *self.credentials.headers("REGISTER", uri),
        ]
        return request("REGISTER", uri, headers)

    def _is_own(self, uri: str) -> bool:
        own, other = sip_uri(self.contact), sip_uri(uri)
        return (own.user, own.host, own.port) == (other.user, other.host, other.port)

    def _granted_s(self, final: Message, asked_s: int) -> int:
        """Of the phone's own Contact in the 200, else of Expires, else what was asked for (10.2.4)."""
        try:
            own = [found for found in addresses(final.all("Contact")) if self._is_own(found.uri)]
        except Unreadable:
            own = []
        values = [found.parameters.get("expires", "") for found in own] + [final.get("Expires")]
        return next((int(value) for value in values if _NUMBER.fullmatch(value)), asked_s)
