"""The session timer of one call (RFC 4028): agreed in each INVITE and UPDATE, refreshed at half, ended at its end."""

import asyncio
import re
from typing import TYPE_CHECKING

from agents.simulated.reference_phone.addresses import parameters_of
from agents.simulated.reference_phone.message import Message

if TYPE_CHECKING:
    from agents.simulated.reference_phone.call import Call

_SECONDS = re.compile(r"[0-9]{1,9}")
EARLY_S = 32.0


class SessionTimer:
    """Of one call. ``offered`` and ``agreed`` give headers; time runs from each agreement."""

    def __init__(self, call: "Call") -> None:
        self._call = call
        settings = call.equipment.settings
        self._on = call.behaviour.session_timer
        self._min_se_s = settings.min_se_s
        self._wanted_s = max(settings.session_expires_s, settings.min_se_s)
        self._refreshes = True
        self._interval_s = 0
        self._peer_updates = False
        self._running: asyncio.Task[None] | None = None

    def offered(self) -> tuple[tuple[str, str], ...]:
        """What stands in the phone's own INVITE or UPDATE; a refresh keeps who refreshes (7.4)."""
        if not self._on:
            return ()
        wanted = f"{self._interval_s or self._wanted_s}"
        if self._interval_s:
            wanted += f";refresher={'uac' if self._refreshes else 'uas'}"
        return (("Session-Expires", wanted), ("Min-SE", str(self._min_se_s)))

    def raise_to(self, final: Message) -> bool:
        """A 422: take its Min-SE, and say whether to try again (7.3)."""
        least = final.get("Min-SE")
        if not self._on or not self._call.behaviour.retries_after_422 or not _SECONDS.fullmatch(least):
            return False
        self._min_se_s = max(self._min_se_s, int(least))
        self._wanted_s = max(self._wanted_s, self._min_se_s)
        return True

    def too_small(self, asked: Message) -> int | None:
        """The phone's Min-SE where a request asks for less and may be told so (9)."""
        seconds, _ = _session_expires(asked)
        if not self._on or not seconds or "timer" not in asked.tokens("Supported"):
            return None
        least = self._call.equipment.settings.min_se_s
        return least if seconds < least else None

    def agreed(self, message: Message, *, caller: bool) -> tuple[tuple[str, str], ...]:
        """Take a request (``caller`` false: gives the headers of its 200) or the 200 to the phone's own."""
        self.stop()
        if not self._on:
            return ()
        seconds, refresher = _session_expires(message)
        self._peer_updates = self._peer_updates or "update" in message.tokens("Allow")
        if caller:
            if seconds:
                self._run(seconds, refreshes=refresher != "uas")
            return ()
        able = "timer" in message.tokens("Supported") or bool(refresher)
        if not seconds:
            return ()
        refresher = refresher or ("uac" if able else "uas")
        self._run(seconds, refreshes=refresher == "uas")
        required = (("Require", "timer"),) if refresher == "uac" else ()
        return (("Session-Expires", f"{seconds};refresher={refresher}"), *required)

    def _run(self, seconds: int, *, refreshes: bool) -> None:
        self._interval_s, self._refreshes = seconds, refreshes
        self._running = self._call.equipment.spawn(self._refresh() if refreshes else self._expire())

    async def _refresh(self) -> None:
        """Half the interval after the last refresh comes the next (10)."""
        behaviour = self._call.behaviour
        await asyncio.sleep(self._interval_s / 2 + behaviour.refresh_delay_s)
        if not behaviour.refreshes_session:
            return
        call = self._call
        self._running = None  # the agreement that is coming stops the timer, not this refresh
        while call.state == "talking":
            if self._peer_updates:
                final = await call.ask("UPDATE", *call.equipment.allow, *self.offered())
                status = final.status if final else 0
                if final is not None and status == 200:
                    self.agreed(final, caller=True)
                if status == 0:
                    call.end(bye=True)
            else:
                status = await call.renegotiation.reinvite(holding=call.session.holding)
            if status != 491:
                return
            await call.renegotiation.wait_after_glare()

    async def _expire(self) -> None:
        """Where the other side does not refresh, BYE comes a little before the session expires (10)."""
        await asyncio.sleep(self._interval_s - min(EARLY_S, self._interval_s / 3))
        if self._call.behaviour.ends_expired_session:
            self._running = None
            self._call.end(bye=True)

    def stop(self) -> None:
        """Nothing is due any more."""
        if self._running is not None:
            self._running.cancel()
            self._running = None


def _session_expires(message: Message) -> tuple[int, str]:
    """Seconds, 0 for none, and the refresher."""
    word, parameters = parameters_of(message.get("Session-Expires"))
    refresher = parameters.get("refresher", "").lower()
    return (int(word) if _SECONDS.fullmatch(word) else 0), refresher if refresher in ("uac", "uas") else ""
