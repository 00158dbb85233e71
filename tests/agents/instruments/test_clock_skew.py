"""Drifts that are built by construction come back within the stated uncertainty."""

import random  # noqa: TID251 - seeded trains
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.instruments.clock_skew import clock_skew
from agents.instruments.rtp import RtpPacket

Jitter = Callable[[random.Random], float]
JITTERS: dict[str, Jitter] = {
    "none": lambda _: 0.0,
    "even": lambda chance: chance.uniform(0, 0.010),
    "exponential": lambda chance: chance.expovariate(1 / 0.002),
    "bursts": lambda chance: chance.uniform(0, 0.0005) + (0.04 if chance.random() < 0.05 else 0),
}


def train(
    *, ppm: float, window_s: float, jitter: Jitter, seed: int, loss: float = 0.0, wraps: bool = False
) -> list[RtpPacket]:
    """Packets of 20 ms whose sender's clock is fast by ``ppm``; jitter in s, and none overtakes another."""
    chance = random.Random(seed)
    packets: list[RtpPacket] = []
    start, sequence = (0xFFFF_FFFF - 16_000 if wraps else 1000), chance.randrange(60_000)
    latest_ns = 0
    for number in range(int(window_s / 0.02)):
        at_s = 100 + number * 0.02 / (1 + ppm * 1e-6) + jitter(chance)
        if chance.random() < loss:
            continue
        latest_ns = max(latest_ns, round(at_s * 1e9))
        packets.append(
            RtpPacket(
                at_ns=latest_ns,
                payload_type=0,
                marker=number == 0,
                sequence=(sequence + number) & 0xFFFF,
                timestamp=(start + number * 160) & 0xFFFF_FFFF,
                ssrc=7,
                payload=bytes(160),
            )
        )
    return packets


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    ppm=st.floats(-1000, 1000),
    window_s=st.sampled_from([20.0, 60.0]),
    jitter=st.sampled_from(sorted(JITTERS)),
    loss=st.sampled_from([0.0, 0.05]),
    wraps=st.booleans(),
    seed=st.integers(0, 1 << 30),
)
def test_a_known_drift_comes_back_within_the_stated_uncertainty(
    ppm: float, window_s: float, jitter: str, loss: float, wraps: bool, seed: int
) -> None:
    packets = train(ppm=ppm, window_s=window_s, jitter=JITTERS[jitter], seed=seed, loss=loss, wraps=wraps)
    found = clock_skew(packets, 0, clock_hz=8000)
    assert found is not None
    assert abs(found.ppm - ppm) <= found.uncertainty_ppm + 0.01  # 0.01: times are whole nanoseconds


@pytest.mark.parametrize("jitter", sorted(JITTERS))
def test_the_stated_uncertainty_holds_in_nearly_every_of_many_trains(jitter: str) -> None:
    held = 0
    for seed in range(60):
        found = clock_skew(train(ppm=35, window_s=12, jitter=JITTERS[jitter], seed=seed), 0, clock_hz=8000)
        assert found is not None
        held += abs(found.ppm - 35) <= found.uncertainty_ppm + 0.01
    assert held >= 58


def test_over_ten_minutes_with_ten_milliseconds_of_jitter_the_uncertainty_is_under_one_ppm() -> None:
    found = clock_skew(train(ppm=50, window_s=600, jitter=JITTERS["even"], seed=1), 0, clock_hz=8000)
    assert found is not None
    assert found.uncertainty_ppm < 1
    assert abs(found.ppm - 50) < found.uncertainty_ppm


def test_a_transit_that_steps_in_the_middle_is_uncertain_and_not_a_drift() -> None:
    packets = train(ppm=0, window_s=30, jitter=JITTERS["even"], seed=3)
    middle = len(packets) // 2
    later = [replace(packet, at_ns=packet.at_ns + 20_000_000) for packet in packets[middle:]]
    found = clock_skew([*packets[:middle], *later], 0, clock_hz=8000)
    assert found is not None
    assert found.uncertainty_ppm > 500
    assert abs(found.ppm) <= found.uncertainty_ppm


def test_too_few_packets_give_no_skew() -> None:
    assert clock_skew(train(ppm=0, window_s=1, jitter=JITTERS["none"], seed=0), 0, clock_hz=8000) is None
    assert clock_skew([], 0, clock_hz=8000) is None
