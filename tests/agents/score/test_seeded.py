"""Which runs are drawn for a defect, and of what size."""

import pytest

from agents.score import ip_phone
from agents.score.seeded import FoundBy, Subject, subjects
from agents.simulated.defects import DEFECTS
from agents.simulated.impairments import IMPAIRMENTS
from agents.simulated.reference_phone.defects import DEFECTS as REFERENCE_DEFECTS
from lab_inventory.errors import InvariantBroken

PROGRAMME = ip_phone.programme()


def test_a_defect_without_a_size_is_run_once_and_must_fail() -> None:
    (drawn,) = subjects("p", {"never": FoundBy(requirement="IP-SIP-02")}, PROGRAMME, ip_phone.INSTRUMENT)

    assert drawn == Subject(phone="p", defect="never")
    assert (drawn.must_fail, drawn.line) == (True, "never")


def test_a_defect_with_a_quantity_is_run_within_its_limit_and_beyond_it_and_its_uncertainty() -> None:
    late = {"late": FoundBy(requirement="IP-SIP-02", quantity="ringing_ms", healthy=100, slope=2)}

    within, beyond = subjects("p", late, PROGRAMME, ip_phone.INSTRUMENT)

    assert (within.size, within.must_fail) == ((0.8 * 500 - 100) / 2, False)
    assert (beyond.size, beyond.must_fail) == ((1.2 * (500 + 0.5) - 100) / 2, True)
    assert beyond.line == "late=250.3"


def test_a_defect_that_shows_in_no_number_is_run_at_one_size_that_is_too_much() -> None:
    (drawn,) = subjects("p", {"quiet": FoundBy(requirement="IP-SIP-02", size=40)}, PROGRAMME, ip_phone.INSTRUMENT)

    assert (drawn.line, drawn.must_fail) == ("quiet=40", True)


def test_a_size_is_not_measured_by_a_quantity_without_an_upper_limit() -> None:
    wrong = {"x": FoundBy(requirement="IP-MED-02", quantity="end_packets_min")}

    with pytest.raises(InvariantBroken, match="no upper limit"):
        subjects("p", wrong, PROGRAMME, ip_phone.INSTRUMENT)


def test_every_defect_of_the_reference_phone_is_scored_or_told_why_not() -> None:
    assert ip_phone.BY_REFERENCE.keys() | ip_phone.NOT_SCORED.keys() == REFERENCE_DEFECTS.keys()
    assert not ip_phone.BY_REFERENCE.keys() & ip_phone.NOT_SCORED.keys()


def test_every_defect_of_the_proxy_is_scored() -> None:
    assert ip_phone.BY_PROXY.keys() == DEFECTS.keys() | IMPAIRMENTS.keys()


def test_a_defect_has_a_size_in_the_score_exactly_where_it_has_one_in_the_phone() -> None:
    sized = {slug for slug, by in ip_phone.BY_REFERENCE.items() if by.quantity or by.size is not None}

    assert sized == {slug for slug in ip_phone.BY_REFERENCE if REFERENCE_DEFECTS[slug].size_unit is not None}


@pytest.mark.parametrize("found_by", [ip_phone.BY_REFERENCE, ip_phone.BY_PROXY])
def test_every_defect_names_a_requirement_with_a_procedure_in_its_profile(found_by: dict[str, FoundBy]) -> None:
    asked = ip_phone.asked(PROGRAMME)
    cases = {profile: {case.id for case in of.cases} for profile, of in asked.items()}
    known = {requirement.id: requirement for requirement in PROGRAMME.requirements}

    for by in found_by.values():
        assert known[by.requirement].case in cases[by.profile]
