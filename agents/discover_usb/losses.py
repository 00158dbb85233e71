"""Which losses are a hub's: one that loses all its units at once is at fault, and not each of them. Pure."""

from agents.discover_usb.units import PluggedIn, UsbHub

TOGETHER_S = 2.0
"""What is lost within this time counts as lost at once: the kernel lets go of one device after the other."""


class HubWatch:
    """Remembers where each unit hung; told everything that is plugged in from time to time, in the order of time."""

    def __init__(self) -> None:
        self._hubs: dict[str, tuple[UsbHub, ...]] = {}
        """By port of a unit: the hubs above it, the nearest first."""
        self._gone_at_s: dict[str, float] = {}
        self._booked: dict[str, str] = {}

    def note(self, now: PluggedIn, at_s: float) -> None:
        """Take down what is plugged in at ``at_s``, seconds of any clock that only goes on."""
        here = {unit.port for unit in now.units}
        there = {hub.path for hub in now.hubs}
        for unit in now.units:
            above = [hub for hub in now.hubs if unit.paths[0].startswith(f"{hub.path}/")]
            self._hubs[unit.port] = tuple(sorted(above, key=lambda hub: -len(hub.path)))
            self._gone_at_s.pop(unit.port, None)
            self._booked.pop(unit.port, None)
        fresh: list[str] = []
        for port in self._hubs.keys() - here:
            if port not in self._gone_at_s:
                self._gone_at_s[port] = at_s
                fresh.append(port)
        for port in sorted(fresh):
            self._book(port, here, there, at_s)

    def why_gone(self, port: str) -> str:
        """The hub that lost the unit at this port, in words; empty where it went alone, or is there."""
        return self._booked.get(port, "")

    def _book(self, port: str, here: set[str], there: set[str], at_s: float) -> None:
        above = self._hubs[port]
        gone = [hub for hub in above if hub.path not in there]
        for hub in gone[-1:] or above:
            on_hub = [other for other, hubs in self._hubs.items() if hub in hubs]
            lately = [
                other for other in on_hub if other in self._gone_at_s and at_s - self._gone_at_s[other] <= TOGETHER_S
            ]
            if gone or (here.isdisjoint(on_hub) and len(lately) > 1):
                lost = "it is gone itself" if gone else f"it lost all its {len(lately)} units at once"
                words = f"the hub {hub.name} at {hub.port}: {lost}; look at the hub and its cable, not at the units"
                self._booked.update(dict.fromkeys(lately, words))
                return
