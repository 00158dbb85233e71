"""How often somebody may fail: a bound for each address, kept for a bounded number of addresses."""

import ipaddress
import threading
from collections import OrderedDict

from lab_inventory.clock import Clock
from lab_inventory.errors import TooMany

ADDRESSES_MAX = 4096


class FailureLimit:
    """Counts failures by address over ``window_s``; what succeeds is not counted. Safe in several threads.

    An address that fails too often harms nobody but those behind the same address: there is no common count that it
    could use up for others.
    """

    def __init__(self, clock: Clock, *, failures_max: int, window_s: float = 60.0) -> None:
        self._clock = clock
        self._failures_max = failures_max
        self._window_s = window_s
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def require(self, address: str) -> None:
        """Raise TooMany where an address has failed too often lately."""
        with self._lock:
            since_s, failures = self._counted.get(_place(address), (0.0, 0))
            left_s = since_s + self._window_s - self._clock.boottime_s()
            if failures >= self._failures_max and left_s > 0:
                raise TooMany(
                    f"{failures} requests from this address were refused in {self._window_s:g} s; "
                    f"come back in {left_s:.0f} s"
                )

    def count(self, address: str) -> None:
        """An address has failed, or asked for what is to be asked for seldom."""
        place, now_s = _place(address), self._clock.boottime_s()
        with self._lock:
            since_s, failures = self._counted.pop(place, (now_s, 0))
            fresh = now_s - since_s >= self._window_s
            self._counted[place] = (now_s, 1) if fresh else (since_s, failures + 1)
            while len(self._counted) > ADDRESSES_MAX:
                self._counted.popitem(last=False)


def _place(address: str) -> str:
    """An IPv4 address itself; of an IPv6 address the network, for one machine has all of its addresses."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address
