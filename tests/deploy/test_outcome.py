from typing import Any

from deploy.demo.outcome import Expected, ExpectedPhone, Phone, differences, not_measured, phone_of

EXPECTED = Expected(phones=(ExpectedPhone(title="one", earned="certified", fails=()),))


def came_to(*verdicts: tuple[str, str], earned: str | None = None) -> Phone:
    entry: dict[str, Any] = {
        "title": "one",
        "mode": "wideband",
        "state": "judged",
        "earned": earned,
        "certificate": None,
        "runs": [{"host": "h", "slot": "s"}],
    }
    requirements = [
        {"requirement": name, "title": name, "verdict": verdict, "flags": [], "words": "because"}
        for name, verdict in verdicts
    ]
    return phone_of(entry, {"judgement": {"levels": [{"title": "Certified", "requirements": requirements}]}})


def test_a_profile_that_is_met_has_no_difference() -> None:
    phone = came_to(("R-1", "pass"), ("R-2", "not-applicable"), earned="certified")
    assert differences([phone], EXPECTED) == []


def test_what_could_not_be_measured_is_told_from_what_failed() -> None:
    busy = came_to(("R-1", "pass"), ("R-2", "inconclusive"))
    failed = came_to(("R-1", "fail"), ("R-2", "inconclusive"))

    assert differences([busy], EXPECTED)
    assert not_measured([busy], EXPECTED)
    assert differences([failed], EXPECTED)
    assert not not_measured([failed], EXPECTED)


def test_a_phone_that_is_missing_is_no_busy_machine() -> None:
    assert not not_measured([], EXPECTED)
