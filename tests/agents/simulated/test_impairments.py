"""What each impairment of the proxy does to a stream of packets, without a network."""

from itertools import pairwise

import pytest

from agents.simulated.defects import Fate
from agents.simulated.impairments import IMPAIRMENTS, made
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput

AUDIO, EVENT = b"\x80\x00" + bytes(170), b"\x80\x65" + bytes(14)


class SteppedClock(SystemClock):
    """Goes on by 20 ms with each packet; draws from both ends by turns."""

    def __init__(self) -> None:
        self.now_s = 5.0
        self._high = False

    def boottime_s(self) -> float:
        return self.now_s

    def uniform(self, low: float, high: float) -> float:
        self._high = not self._high
        return high if self._high else low


def fates(line: str, packets: int = 500) -> list[Fate]:
    clock = SteppedClock()
    (defect,) = made([line], clock)
    seen = []
    for _ in range(packets):
        seen.append(defect.rtp_from_phone(b"call", AUDIO))
        clock.now_s += 0.02
    return seen


def test_so_many_packets_are_lost_as_the_size_says() -> None:
    assert sum(not fate for fate in fates("network-loses=2")) == pytest.approx(10, abs=1)


def test_so_many_packets_come_twice_as_the_size_says() -> None:
    assert sum(len(fate) == 2 for fate in fates("network-duplicates=4")) == pytest.approx(20, abs=1)


def test_so_many_packets_are_overtaken_as_the_size_says() -> None:
    late = [fate[0][0] for fate in fates("network-reorders=10")]

    assert sum(delay_s > 0.02 for delay_s in late) == pytest.approx(50, abs=1)


def test_jitter_goes_up_to_the_size() -> None:
    late = [fate[0][0] for fate in fates("network-jitters=30")]

    assert (min(late), max(late)) == (0.0, pytest.approx(0.03))


def test_a_stall_is_as_long_as_its_size_and_keeps_the_order() -> None:
    arrivals = [0.02 * number + fate[0][0] for number, fate in enumerate(fates("network-stalls=100"))]

    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert min(gaps) > 1e-4  # apart, so that no two timers are due at once
    assert 0.1 <= max(gaps) <= 0.121


@pytest.mark.parametrize("slug", IMPAIRMENTS)
def test_events_are_left_alone(slug: str) -> None:
    (defect,) = made([f"{slug}=100"], SteppedClock())

    assert defect.rtp_from_phone(b"call", EVENT) == [(0.0, EVENT)]


@pytest.mark.parametrize("line", ["network-loses", "network-loses=much", "network-eats=2", "rtp-jitter=3"])
def test_a_line_that_names_no_defect_with_its_size_is_refused(line: str) -> None:
    with pytest.raises(BadInput):
        made([line], SystemClock())
