"""Finds the SIP phone of a slot by its registration at the slot's registrar address.

The probe holds the address between runs. It lets go of it when a run starts, because the run's own instrument takes
it, and binds it again afterwards. The expiry it grants is short, so that a phone is soon heard of by whoever holds the
address, and soon missed.
"""

import re
from datetime import timedelta

from agents.instruments.digest import Account
from agents.instruments.registrar import Binding, Registrar
from agents.instruments.sip_endpoint import SipEndpoint
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.device import Sighting
from lab_inventory.lab import Slot
from lab_inventory.noun import host_and_port

EXPIRES_S = 10
GRACE_S = 2.0
RECORDS_MAX = 1000
REALM = "assay"
_MAC = re.compile(r"(?<![0-9A-Fa-f])((?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2})(?![0-9A-Fa-f])")


class SipProbe:
    """Watches one slot."""

    def __init__(self, slot: Slot, clock: Clock) -> None:
        self.slot = slot
        self._clock = clock
        self._registrar = self._new_registrar()
        self._earlier = self._registrar
        self._endpoint: SipEndpoint | None = None

    @property
    def restless(self) -> bool:
        """False: a phone registers in its own time."""
        return False

    @property
    def sees_at_once(self) -> bool:
        """False: a phone is heard of when it registers again."""
        return False

    @property
    def bound(self) -> bool:
        """Whether it holds the slot's address."""
        return self._endpoint is not None

    def bind(self) -> None:
        """Take the slot's address, where it is not held yet; raises Unavailable where another program has it.

        To be called again from time to time: records that have grown long are begun anew.
        """
        if len(self._registrar.records) >= RECORDS_MAX:
            self.release()
        if self._endpoint is None:
            registrar = self._new_registrar()
            endpoint = SipEndpoint(clock=self._clock, registrar=registrar).open(host_and_port(self.slot.sip[0]))
            self._endpoint, self._earlier, self._registrar = endpoint, self._registrar, registrar

    def release(self) -> None:
        """Let go of the slot's address."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def sighting(self) -> Sighting | None:
        """The phone whose registration holds now, or None."""
        holds_ns = boottime_ns() - int(GRACE_S * 1e9)
        bindings = self._registrar.bindings(holds_ns) or self._earlier.bindings(holds_ns)
        return sighting_of(bindings[0], self.slot.name, self._clock) if bindings else None

    def trouble(self) -> tuple[str, str] | None:
        """Why the last REGISTER was not taken; None where it was, or none came."""
        records = self._registrar.records.all()
        if records and records[-1].status not in (200, 401):
            why = records[-1].reason or records[-1].verdict
            return "registration-refused", f"a phone was refused here with {records[-1].status}: {why}"
        return None

    def _new_registrar(self) -> Registrar:
        _, given = self.slot.sip
        account = Account(username=given.user, password=given.password.get_secret_value(), realm=REALM)
        return Registrar(account, expires_s=EXPIRES_S, clock=self._clock)


def sighting_of(binding: Binding, slot: str, clock: Clock) -> Sighting:
    """What a registration says of the phone."""
    instance = (binding.instance or "").strip("<>") or None
    found = _MAC.search(f"{binding.instance or ''} {binding.uri} {binding.user_agent}")
    return Sighting(
        slot=slot,
        user_agent=_printable(binding.user_agent, 2000),
        contact=_printable(binding.uri, 2000),
        sip_instance=_printable(instance, 120) if instance else None,
        mac=found[1].replace("-", ":").lower() if found else None,
        seen_at=clock.now() - timedelta(microseconds=(boottime_ns() - binding.registered_ns) // 1000),
    )


def _printable(text: str, most: int) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:most]
