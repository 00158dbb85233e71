import pytest
from sip_texts import a_request, a_response

from agents.instruments.session_timer import (
    SessionExpires,
    acceptance_problems,
    bye_due_s,
    min_se_s,
    session_expires,
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("Session-Expires", "1800", SessionExpires(interval_s=1800, refresher=None)),
        ("x", "90 ;Refresher=UAS", SessionExpires(interval_s=90, refresher="uas")),
        ("Session-Expires", "90;foo=1;refresher=uac", SessionExpires(interval_s=90, refresher="uac")),
        ("Session-Expires", "soon", None),
        ("Session-Expires", "90x", None),
        ("Supported", "timer", None),
    ],
)
def test_an_interval_is_read_with_its_refresher(name: str, value: str, found: SessionExpires | None) -> None:
    assert session_expires(a_request(headers=[(name, value)])) == found


def test_the_least_interval_is_read() -> None:
    assert min_se_s(a_response(422, [("Min-SE", "120;x=1")])) == 120
    assert min_se_s(a_response(422)) is None


@pytest.mark.parametrize(("interval_s", "due_s"), [(90, 60), (96, 64), (1800, 1768)])
def test_bye_is_due_a_third_or_32_s_before_the_end(interval_s: float, due_s: float) -> None:
    assert bye_due_s(interval_s) == due_s


def test_the_interval_asked_for_or_a_lower_one_is_an_acceptance() -> None:
    for interval_s in (90, 1000, 1800):
        answer = SessionExpires(interval_s=interval_s, refresher="uas")
        assert acceptance_problems(answer, asked_s=1800, refresher="uas") == ()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        SessionExpires(interval_s=1801, refresher="uas"),
        SessionExpires(interval_s=60, refresher="uas"),
        SessionExpires(interval_s=1800, refresher="uac"),
        SessionExpires(interval_s=1800, refresher=None),
    ],
)
def test_anything_else_is_none(answer: SessionExpires | None) -> None:
    assert len(acceptance_problems(answer, asked_s=1800, refresher="uas")) == 1
