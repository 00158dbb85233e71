"""A plan does what its impairment says, says what it did, and our measurements find that again."""

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.instruments.clock_skew import clock_skew
from agents.instruments.rtp_analysis import disorder, jitter_ticks, loss_bursts, missing
from agents.instruments.rtp_packet import RtpPacket
from agents.instruments.sender.impairment import GilbertElliott, Impairment, bursts
from agents.instruments.sender.plan import FRAME_NS, Plan, plan
from agents.instruments.sender.profiles import NETWORK_PROFILES

SEEDS = st.integers(0, 2**32)
BOUND = 5.5
"""Standard deviations: once in 25 million."""
LINES = st.builds(
    GilbertElliott,
    to_bad=st.floats(0.005, 0.2),
    to_good=st.floats(0.1, 1.0),
    loss_good=st.floats(0, 0.1),
    loss_bad=st.floats(0.3, 1.0),
)
IMPAIRMENTS = st.builds(
    Impairment,
    loss=st.floats(0, 0.2),
    loss_spacing=st.integers(1, 5),
    burst=st.none() | LINES,
    jitter_ms=st.floats(0, 100),
    reorder=st.floats(0, 0.3),
    reorder_by=st.integers(1, 5),
    duplicate=st.floats(0, 0.3),
    drift_ppm=st.floats(-1000, 1000),
)


def heard(sent: Plan, *, first: int = 65_000) -> list[RtpPacket]:
    """The stream as it arrives over a way that adds nothing."""
    return [
        RtpPacket(
            at_ns=1_000_000_000 + sending.offset_ns,
            payload_type=0,
            marker=False,
            sequence=(first + sending.number) & 0xFFFF,
            timestamp=(0xFFFF_0000 + 160 * sending.number) & 0xFFFF_FFFF,
            ssrc=1,
            payload=b"",
        )
        for sending in sent.sendings
    ]


@given(IMPAIRMENTS, SEEDS)
@settings(deadline=None, max_examples=30)
def test_the_same_seed_gives_the_same_plan_and_each_packet_is_accounted_for(what: Impairment, seed: int) -> None:
    sent = plan(300, what, seed=seed)

    assert sent == plan(300, what, seed=seed)
    times = [sending.offset_ns for sending in sent.sendings]
    assert times == sorted(times)
    counts = [sum(sending.number == number for sending in sent.sendings) for number in range(300)]
    assert counts == [0 if n in sent.lost else 2 if n in sent.duplicated else 1 for n in range(300)]
    assert not set(sent.held_back) & set(sent.lost)


@given(IMPAIRMENTS, SEEDS)
@settings(deadline=None, max_examples=30)
def test_what_is_measured_of_a_stream_is_what_its_plan_did_to_it(what: Impairment, seed: int) -> None:
    sent = plan(300, what, seed=seed)
    packets = heard(sent)

    numbers = [
        sending.number for sending in sent.sendings
    ]  # what is lost before the first and behind the last is unseen
    seen = [number for number in sent.lost if min(numbers) < number < max(numbers)]
    assert missing(packets) == sum(loss_bursts(packets)) == len(seen)
    assert len(loss_bursts(packets)) == sum(number - 1 not in seen for number in seen)
    assert disorder(packets) == (len(sent.held_back), len(sent.duplicated))
    assert [ticks / 8 for ticks in jitter_ticks(packets, 0)] == pytest.approx(sent.jitter_ms(), abs=1e-6)


@given(st.floats(0.001, 0.5), SEEDS)
@settings(deadline=None, max_examples=20, derandomize=True)
def test_random_loss_is_within_its_binomial_bound(loss: float, seed: int) -> None:
    sent = plan(5000, Impairment(loss=loss), seed=seed)

    assert abs(len(sent.lost) - 5000 * loss) <= BOUND * sqrt(5000 * loss * (1 - loss)) + 1


@given(LINES, SEEDS)
@settings(deadline=None, max_examples=20, derandomize=True)
def test_loss_in_bursts_is_within_the_bound_of_its_chain(line: GilbertElliott, seed: int) -> None:
    sent = plan(5000, Impairment(burst=line), seed=seed)

    bad = line.to_bad / (line.to_bad + line.to_good)
    memory = 1 - line.to_bad - line.to_good  # the correlation of the states of two packets in a row
    spread = (line.loss_bad - line.loss_good) ** 2 * bad * (1 - bad) * max(1, (1 + memory) / (1 - memory))
    within = bad * line.loss_bad * (1 - line.loss_bad) + (1 - bad) * line.loss_good * (1 - line.loss_good)
    assert abs(len(sent.lost) - 5000 * line.loss) <= BOUND * sqrt(5000 * (spread + within)) + 1


def test_bursts_have_the_loss_and_the_length_that_were_asked_for() -> None:
    line = bursts(loss=0.05, burst_packets=4)
    lost = plan(50_000, Impairment(burst=line), seed=1).lost

    begun = sum(after - before > 1 for before, after in pairwise((-2, *lost)))
    assert len(lost) == pytest.approx(50_000 * line.loss, rel=0.1)
    assert len(lost) / begun == pytest.approx(line.burst_packets, rel=0.1)


def test_spaced_losses_keep_their_share_and_never_come_closer() -> None:
    lost = plan(50_000, Impairment(loss=0.05, loss_spacing=10), seed=1).lost

    assert len(lost) == pytest.approx(2_500, rel=0.1)
    assert min(after - before for before, after in pairwise(lost)) == 10


@given(st.floats(-100_000, 100_000), SEEDS)
@settings(deadline=None, max_examples=20, derandomize=True)
def test_drift_is_exact(ppm: float, seed: int) -> None:
    sent = plan(300, Impairment(drift_ppm=ppm), seed=seed)

    assert [sending.offset_ns for sending in sent.sendings] == [
        round(n * FRAME_NS / (1 + ppm / 1e6)) for n in range(300)
    ]
    assert sent.duration_ns == round(300 * FRAME_NS / (1 + ppm / 1e6))


def test_drift_under_loss_jitter_and_copies_is_measured_within_the_stated_uncertainty() -> None:
    what = Impairment(drift_ppm=80, loss=0.01, jitter_ms=10, duplicate=0.01, reorder=0.005)

    found = clock_skew(heard(plan(30_000, what, seed=3)), 0, clock_hz=8000)

    assert found is not None
    assert abs(found.ppm - 80) <= found.uncertainty_ppm < 2


def test_another_impairment_on_top_does_not_change_which_packets_are_lost() -> None:
    alone = plan(1000, Impairment(loss=0.05), seed=9)
    more = plan(1000, Impairment(loss=0.05, jitter_ms=30, duplicate=0.1, drift_ppm=100), seed=9)

    assert alone.lost == more.lost
    assert alone.lost != plan(1000, Impairment(loss=0.05), seed=10).lost


@pytest.mark.parametrize(
    ("name", "loss", "jitter_ms", "late"),
    [("clean", 0, 0, 0), ("client-to-edge", 0.01, 9.7, 0.0005), ("site-to-edge", 0.001, 5.0, 0.0001),
     ("poor-call", 0.02, 9.7, 0)],
)  # fmt: skip
def test_a_network_profile_does_what_it_says(name: str, loss: float, jitter_ms: float, late: float) -> None:
    profile = NETWORK_PROFILES[name]
    sent = plan(50_000, profile.impairment, seed=1)
    jitter = sent.jitter_ms()

    assert sent.loss == pytest.approx(loss, rel=0.2)
    assert sum(jitter) / len(jitter) == pytest.approx(jitter_ms, rel=0.05, abs=1e-9)
    assert len(sent.held_back) / sent.packets == pytest.approx(late, rel=0.5)
    assert profile.source


def test_an_impairment_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"0.2 cannot be had with one of 10"):
        Impairment(loss=0.2, loss_spacing=10)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Impairment(loss=1.5)
