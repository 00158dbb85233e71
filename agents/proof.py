"""The agent's short-lived credential: proved for with its key, renewed before its end, and at once when it is refused.

Only the orchestrator's clock says how long one lives; here it counts from the sending of the request, on
CLOCK_BOOTTIME. What is asked for while nothing can be reached costs nothing: the next request asks again.
"""

import asyncio
from collections.abc import Awaitable, Callable

from agents.key import AgentKey
from agents.uplink_events import Trouble
from agents.wire import Wire, WireTrouble
from lab_inventory.clock import Clock
from lab_inventory.messages import ChallengeRequest, CredentialRequest

RENEWED_AT = 2 / 3
"""Of its life: so the orchestrator may be away for the rest of it and nothing is refused."""
AGAIN_S = 15.0


class Proof:
    """Whoever speaks as this host asks here for the credential first. Safe for several requests at once."""

    def __init__(self, key: AgentKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._current = ""
        self._due_at_s = 0.0
        self._failure: tuple[float, WireTrouble] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def credential(self, wire: Wire, refused: str = "") -> str:
        """The credential; a new one where there is none, or where it is the one that was ``refused``.

        Raises WireTrouble where none can be got.
        """
        began_s = self._clock.boottime_s()
        if self._current not in ("", refused) and began_s < self._due_at_s:
            return self._current
        async with self._one_at_a_time:
            if self._current in ("", refused):
                await self._once(began_s, lambda: self._exchange(wire))
            elif self._clock.boottime_s() >= self._due_at_s:
                await self._early(wire)
            return self._current

    async def _once(self, began_s: float, exchange: Callable[[], Awaitable[None]]) -> None:
        """Who waited while the exchange failed for another is told so, and does not wait for the same again."""
        if self._failure is not None and self._failure[0] >= began_s:
            raise WireTrouble(self._failure[1].trouble, self._failure[1].detail)
        try:
            await exchange()
        except WireTrouble as error:
            self._failure = (self._clock.boottime_s(), error)
            raise

    async def _early(self, wire: Wire) -> None:
        """Renew one that still lives; where that does not go now, it goes on and is renewed a little later."""
        try:
            await self._exchange(wire)
        except WireTrouble as error:
            if error.trouble is Trouble.REFUSED:
                self._current = ""
                raise
            self._due_at_s = self._clock.boottime_s() + AGAIN_S

    async def _exchange(self, wire: Wire) -> None:
        asked = await wire.challenge(ChallengeRequest(host=self._key.host))
        sent_at_s = self._clock.boottime_s()
        signature = self._key.sign(asked.challenge)
        proof = CredentialRequest(host=self._key.host, challenge=asked.challenge, signature=signature)
        told = await wire.prove(proof)
        self._current, self._due_at_s = told.credential, sent_at_s + told.lives_s * RENEWED_AT
