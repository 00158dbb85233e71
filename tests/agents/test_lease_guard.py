from hypothesis import given
from hypothesis import strategies as st

from agents.lease_guard import HeldLease, StopKind, is_lost, must_stop
from lab_inventory.messages import Standing

seconds = st.floats(min_value=0.001, max_value=100_000, allow_nan=False)
LEASE = HeldLease(renewed_at_s=1000.0, ttl_s=60.0, deadline_at_s=5000.0)


def test_a_run_stops_at_two_thirds_of_the_ttl_after_the_last_answered_renewal_was_sent() -> None:
    assert must_stop(LEASE, 1039.9) is None
    order = must_stop(LEASE, 1040.0)
    assert order is not None
    assert order.kind is StopKind.LEASE_LOST


def test_a_renewal_counts_from_its_sending_and_not_from_its_answer() -> None:
    renewed = LEASE.renewed(sent_at_s=1030.0, ttl_s=60.0)
    assert must_stop(renewed, 1069.9) is None
    assert must_stop(renewed, 1070.0) is not None


def test_an_answer_to_an_earlier_request_takes_no_time_away() -> None:
    renewed = LEASE.renewed(sent_at_s=1030.0, ttl_s=60.0)
    assert renewed.renewed(sent_at_s=1010.0, ttl_s=60.0) == renewed


def test_a_shorter_ttl_is_believed() -> None:
    assert LEASE.renewed(sent_at_s=1001.0, ttl_s=6.0).stop_at_s == 1005.0


def test_the_deadline_stops_a_run_however_often_it_was_renewed() -> None:
    order = must_stop(LEASE.renewed(sent_at_s=4999.0, ttl_s=60.0), 5000.0)
    assert order is not None
    assert order.kind is StopKind.DEADLINE


def test_an_order_stops_a_run_at_once_and_its_reason_is_told() -> None:
    cancelled = LEASE.model_copy(update={"standing": Standing.CANCELLED, "reason": "by an operator"})
    order = must_stop(cancelled, 1000.0)
    assert order is not None
    assert order.kind is StopKind.ORDERED
    assert "cancelled: by an operator" in order.reason


@given(ttl_s=seconds, elapsed_s=seconds)
def test_a_lease_is_never_lost_before_the_run_had_to_stop(ttl_s: float, elapsed_s: float) -> None:
    lease = HeldLease(renewed_at_s=0.0, ttl_s=ttl_s, deadline_at_s=1e9)
    if is_lost(lease, elapsed_s):
        assert must_stop(lease, elapsed_s) is not None


@given(ttl_s=seconds, sent_at_s=seconds, rate=st.floats(min_value=0.7, max_value=1.4))
def test_a_holder_whose_clock_is_slow_stops_before_the_orchestrator_lets_the_lease_lapse(
    ttl_s: float, sent_at_s: float, rate: float
) -> None:
    """``rate``: how fast the holder's clock goes, as seen from the orchestrator's, which counts from a later moment."""
    lease = HeldLease(renewed_at_s=sent_at_s, ttl_s=ttl_s, deadline_at_s=1e9)
    assert (lease.stop_at_s - sent_at_s) / rate <= ttl_s + 1e-6
