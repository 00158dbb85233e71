"""What the procedures work out of times and records, without a phone."""

from types import SimpleNamespace

import pytest

from agents.instruments.digest import DigestVerdict
from agents.instruments.registrar import Binding, RegisterRecord
from agents.instruments.sip_streams import Flow, Transport
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.registration import nonce_count_faults, refresh_ratios
from agents.suites.ip_phone.timers import deviation

SECOND_NS = 1_000_000_000


def a_record(at_s: float, *, status: int = 200, nonce: str | None = "n", count: int | None = 1) -> RegisterRecord:
    return RegisterRecord(
        at_ns=round(at_s * SECOND_NS),
        peer=("127.0.0.1", 5062),
        call_id="reg",
        cseq=1,
        contact="<sip:1@127.0.0.1>",
        instance=None,
        user_agent="phone",
        expires_asked_s=60,
        expires_granted_s=10 if status == 200 else None,
        verdict=DigestVerdict.CORRECT if status == 200 else DigestVerdict.ABSENT,
        reason="",
        nonce=nonce if status == 200 else None,
        nonce_count=count if status == 200 else None,
        status=status,
    )


def test_a_refresh_counts_from_the_grant_to_the_next_register_even_if_that_is_challenged_first() -> None:
    records = (a_record(0), a_record(7.5, status=401), a_record(7.6), a_record(16.6, status=401), a_record(16.7))

    assert refresh_ratios(records) == pytest.approx([0.75, 0.9])


def test_a_refresh_after_the_expiry_is_above_one() -> None:
    assert refresh_ratios((a_record(0), a_record(12))) == pytest.approx([1.2])


def test_nothing_is_said_of_a_single_registration() -> None:
    assert refresh_ratios((a_record(0, status=401), a_record(0.1))) == []


def test_a_nonce_count_goes_up_by_one_for_each_nonce() -> None:
    right = (a_record(0, nonce="a"), a_record(1, nonce="a", count=2), a_record(2, nonce="b"))
    wrong = (a_record(0, nonce="a", count=2), a_record(1, nonce="a", count=5))

    assert nonce_count_faults(right) == []
    assert nonce_count_faults(wrong) == ["nonce count 2 where 1 was due", "nonce count 5 where 3 was due"]


def test_intervals_of_timer_a_deviate_by_nothing() -> None:
    assert deviation([round(at * SECOND_NS) for at in (0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5)]) == pytest.approx(0)


def test_the_worst_interval_is_told_in_percent() -> None:
    assert deviation([0, round(0.6 * SECOND_NS), round(1.6 * SECOND_NS)]) == pytest.approx(20)


def test_without_a_repeat_there_is_no_deviation() -> None:
    assert deviation([0]) is None


def test_what_a_disturbed_registrar_caused_is_no_refresh() -> None:
    records = (a_record(0), a_record(7.5), a_record(30), a_record(37.5))
    window = (8 * SECOND_NS, 20 * SECOND_NS)

    assert refresh_ratios(records, [window]) == pytest.approx([0.75, 0.75])
    assert refresh_ratios(records, [(8 * SECOND_NS, None)]) == pytest.approx([0.75])


def test_a_phone_that_is_pointed_at_a_tls_server_is_called_there_though_its_own_registration_is_newer() -> None:
    flow = Flow(("127.0.0.1", 40000), transport=Transport.TLS, local=("127.0.0.1", 5061))
    own, there = (
        Binding(uri=uri, instance=None, peer=peer, user_agent="phone", registered_ns=at_ns, expires_ns=9)
        for uri, peer, at_ns in (("sip:own", ("127.0.0.1", 5062), 2), ("sip:there", flow, 1))
    )

    def bench(*bindings: Binding) -> PhoneBench:
        return SimpleNamespace(registrar=SimpleNamespace(bindings=lambda _: bindings))  # type: ignore[return-value]

    assert PhoneBench.registered(bench(own, there)) is there
    assert PhoneBench.registered(bench(own)) is own
