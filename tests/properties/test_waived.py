"""What holds of waivers whatever was measured and whatever was waived."""

from datetime import timedelta

import small_programme as small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waivers_by_hand import LATER, PRODUCT, TODAY, scope, waiver

from orchestrator.lifecycle.verdict import Flag, Judgement, Verdict
from orchestrator.lifecycle.waiver import WaiverScope, WaiverState, WaiverView
from orchestrator.pipeline.judge import judge
from orchestrator.pipeline.waived import covering, waived_in
from tests.properties.measured import spoilt_values, submissions

fast = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Attempts = tuple[small.Attempt, ...]
LEVELS = [level.id for level in small.SMALL.levels]
REQUIREMENTS = [requirement.id for requirement in small.SMALL.requirements]
_LEVELS = st.lists(st.sampled_from(LEVELS), min_size=1, unique=True).map(tuple)


@st.composite
def in_force(draw: st.DrawFn) -> WaiverView:
    """A waiver that counts for the small submission."""
    of = scope(draw(st.sampled_from(REQUIREMENTS)), *draw(_LEVELS), submission=draw(st.sampled_from([None, "sub-1"])))
    return waiver(of, name=f"wai-{draw(st.integers(1, 9))}")


@st.composite
def elsewhere(draw: st.DrawFn) -> WaiverView:
    """A waiver in force of another product, hardware revision, submission, programme or version."""
    other: WaiverScope = draw(
        st.sampled_from(
            [
                scope(version="2.0"),
                scope(programme="other"),
                scope(submission="sub-2"),
                *(scope(product=PRODUCT.model_copy(update={name: "other"})) for name in type(PRODUCT).model_fields),
            ]
        )
    )
    update = {"requirement": draw(st.sampled_from(REQUIREMENTS)), "levels": draw(_LEVELS)}
    return waiver(other.model_copy(update=update))


@st.composite
def not_in_force(draw: st.DrawFn) -> WaiverView:
    """A waiver of the small submission that is proposed, refused, revoked or lapsed, or whose day is over."""
    of = scope(draw(st.sampled_from(REQUIREMENTS)), *draw(_LEVELS))
    state = draw(st.sampled_from(WaiverState))
    over = state is WaiverState.APPROVED
    return waiver(of, state, ends_on=TODAY - timedelta(days=draw(st.integers(1, 400))) if over else LATER)


def judged(of: Attempts, *waivers: WaiverView) -> Judgement:
    view = small.view(*of)
    return judge(view, small.SMALL, covering(waivers, view, small.SMALL, small.NOW))


def met(judgement: Judgement) -> set[str]:
    return {level.level for level in judgement.levels if level.met}


@fast
@given(submissions(), st.lists(in_force(), max_size=4), in_force())
def test_one_waiver_more_never_turns_a_met_level_into_an_unmet_one(
    of: Attempts, some: list[WaiverView], more: WaiverView
) -> None:
    assert met(judged(of, *some)) <= met(judged(of, *some, more))


@fast
@given(submissions(), st.lists(st.one_of(elsewhere(), not_in_force()), min_size=1, max_size=4))
def test_what_is_out_of_scope_or_out_of_force_changes_nothing(of: Attempts, useless: list[WaiverView]) -> None:
    assert judged(of, *useless) == judged(of)


@fast
@given(submissions(), in_force())
def test_a_waiver_touches_its_own_requirement_at_its_own_levels_alone_and_no_verdict(
    of: Attempts, by: WaiverView
) -> None:
    for without, with_it in zip(judged(of).levels, judged(of, by).levels, strict=True):
        for before, after in zip(without.requirements, with_it.requirements, strict=True):
            assert (after.verdict, after.grounds) == (before.verdict, before.grounds)
            covered = before.requirement == by.scope.requirement and before.level in by.scope.levels
            assert covered or after == before
            assert (Flag.WAIVED in after.flags) is (after.waiver is not None)
            if after.waiver is not None:
                assert before.verdict is not Verdict.NOT_APPLICABLE
                assert set(after.flags) - set(before.flags) == {Flag.WAIVED}


@fast
@given(spoilt_values(), st.lists(in_force(), max_size=4))
def test_a_worse_value_never_helps_under_waivers_either(
    pair: tuple[Attempts, Attempts], waivers: list[WaiverView]
) -> None:
    assert met(judged(pair[1], *waivers)) <= met(judged(pair[0], *waivers))


@fast
@given(submissions(), st.lists(in_force(), max_size=4))
def test_a_fail_more_never_helps_under_waivers_either(of: Attempts, waivers: list[WaiverView]) -> None:
    last = len(of) + 1
    failing = small.attempt(last, *small.all_well(small.ended("TC-2", gain_db=99.0)))
    passing = small.attempt(last, *small.all_well())
    assert met(judged((*of, failing), *waivers)) <= met(judged((*of, passing), *waivers))


@fast
@given(submissions(), st.lists(in_force(), max_size=4), st.data())
def test_the_order_of_waivers_plays_no_part_and_a_judgement_is_its_own_register(
    of: Attempts, waivers: list[WaiverView], data: st.DataObject
) -> None:
    judgement = judged(of, *waivers)
    assert judged(of, *data.draw(st.permutations(waivers))) == judgement
    assert judge(small.view(*of), small.SMALL, waived_in(judgement)) == judgement


@fast
@given(submissions(), st.lists(in_force(), max_size=4))
def test_a_level_that_is_met_says_each_waiver_that_it_rests_on(of: Attempts, waivers: list[WaiverView]) -> None:
    for level in judged(of, *waivers).levels:
        used = [one for one in level.requirements if one.waiver is not None]
        assert ("met by waivers" in level.words) is (level.met and bool(used))
        assert all(one.waiver is None or one.waiver.waiver in level.words for one in used)
        if level.met:
            open_ones = [one for one in level.requirements if one.waiver is None]
            assert {one.verdict for one in open_ones} <= {Verdict.PASS, Verdict.NOT_APPLICABLE}
