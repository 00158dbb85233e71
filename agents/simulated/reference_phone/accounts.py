"""The accounts of the phone: its own, and another server's that may be entered beside it and is then the one in use.

Each has a whole phone's signalling; the keys go to the one in use.
"""

import asyncio
import sys
from dataclasses import replace

from agents.simulated.reference_phone.addresses import sip_uri
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.equipment import Settings
from agents.simulated.reference_phone.message import Unreadable
from agents.simulated.reference_phone.phone import ReferencePhone
from lab_inventory.clock import Clock

_KINDS = {"": "UDP", "udp": "UDP", "tcp": "TCP", "tls": "TLS"}


class Accounts:
    """``own`` is there from ``start`` to ``stop``."""

    def __init__(self, settings: Settings, clock: Clock, behaviour: Behaviour) -> None:
        self._settings = settings
        self._clock = clock
        self._behaviour = behaviour
        self.own = ReferencePhone(settings, clock, behaviour)
        self._other: ReferencePhone | None = None
        self._changes: asyncio.Queue[Settings | None] = asyncio.Queue()
        self._changing: asyncio.Task[None] | None = None
        self._entered = False
        self._ending = False

    @property
    def used(self) -> ReferencePhone:
        """Where the keys go."""
        return self._other or self.own

    async def start(self) -> None:
        """Start the phone's own; raises OSError."""
        await self.own.start()
        self._changing = asyncio.create_task(self._change())

    async def stop(self) -> None:
        """Stop all."""
        self._ending = True
        self._changes.put_nowait(None)
        if self._changing is not None:
            await self._changing  # not cancelled: it may be about to stop a phone
        await self.own.stop()

    def use_server(self, uri: str, user: str, password: str, srtp: str) -> str | None:
        """Enter a server, ``sip:HOST:PORT;transport=tls``, or take it out (an empty URI). Gives why not, or None."""
        if not uri:
            self._entered = False
            self._changes.put_nowait(None)
            return None
        try:
            found = sip_uri(uri)
        except Unreadable as error:
            return str(error)
        word = found.parameters.lower().removeprefix(";transport=")
        if word not in _KINDS or found.port is None or srtp not in ("off", "mandatory", "dtls"):
            return "not sip:HOST:PORT with a transport that is known, or srtp is none of off, mandatory and dtls"
        self._entered = True
        self._changes.put_nowait(
            replace(
                self._settings,
                registrar=(found.host, found.port),
                outbound=None,
                listen=None,
                transport=_KINDS[word],
                user=user,
                password=password,
                secures_audio=srtp != "off",
                secures_by_dtls=srtp == "dtls",
            )
        )
        return None

    def reset(self) -> str | None:
        """Hang up everything, and go back to the phone's own account."""
        for phone in (self._other, self.own):
            if phone is not None:
                phone.reset()
        if self._entered:
            self.use_server("", "", "", "off")
        return None

    async def _change(self) -> None:
        """One change after the other; at the end the other account is stopped."""
        while not self._ending or not self._changes.empty():
            settings = await self._changes.get()
            other, self._other = self._other, None
            if other is not None:
                await other.stop()
            if settings is not None and not self._ending:
                entered = ReferencePhone(settings, self._clock, self._behaviour)
                try:
                    await entered.start()
                except OSError as error:
                    sys.stderr.write(f"reference phone: the server cannot be used: {error}\n")
                    await entered.stop()
                else:
                    self._other = entered
