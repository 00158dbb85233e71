"""What a run with a seeded defect, and a run of a healthy phone, come to."""

from datetime import UTC, datetime

from agents.score.seeded import FoundBy, Subject
from agents.score.table import Scope, ScoreTable, golden_lines, healthy_run_of, read_golden, row_of
from agents.score.verdicts import Verdicts
from lab_inventory.suite_score import share_at_most
from lab_inventory.verdict import Verdict

GOLDEN = read_golden(["works-with A pass", "works-with B pass", "certified A pass", "certified B pass"])
BY_A = FoundBy(requirement="A")
DEFECT = Subject(phone="p", defect="d")


def verdicts(**of: Verdict) -> Verdicts:
    return {
        (level, name): (verdict, "so it was") for level in ("works-with", "certified") for name, verdict in of.items()
    }


def test_a_defect_that_its_requirement_finds_is_right() -> None:
    row = row_of(DEFECT, BY_A, "wrong", verdicts(A=Verdict.FAIL, B=Verdict.PASS), GOLDEN, 1)

    assert (row.right, row.must, row.verdict, row.also) == (True, Verdict.FAIL, Verdict.FAIL, ())


def test_a_defect_that_another_requirement_finds_is_not_right() -> None:
    row = row_of(DEFECT, BY_A, "wrong", verdicts(A=Verdict.PASS, B=Verdict.FAIL), GOLDEN, 1)

    assert (row.right, row.also) == (False, ("B",))


def test_a_defect_that_only_spoils_the_measuring_is_not_found() -> None:
    row = row_of(DEFECT, BY_A, "wrong", verdicts(A=Verdict.INCONCLUSIVE, B=Verdict.ERROR), GOLDEN, 1)

    assert (row.right, row.undecided) == (False, ("A", "B"))


def test_a_small_defect_must_pass() -> None:
    small = Subject(phone="p", defect="d", size=1, share=0.8)

    assert row_of(small, BY_A, "wrong", verdicts(A=Verdict.PASS, B=Verdict.PASS), GOLDEN, 1).right
    assert not row_of(small, BY_A, "wrong", verdicts(A=Verdict.FAIL, B=Verdict.PASS), GOLDEN, 1).right


def test_a_requirement_that_was_not_run_finds_nothing() -> None:
    assert row_of(DEFECT, BY_A, "wrong", verdicts(B=Verdict.PASS), GOLDEN, 1).verdict is Verdict.NOT_RUN


def test_a_healthy_run_departs_in_every_verdict_that_is_not_golden_and_in_every_one_that_is_missing() -> None:
    as_expected = healthy_run_of("p", "digital", verdicts(A=Verdict.PASS, B=Verdict.PASS), GOLDEN, 1)
    otherwise = healthy_run_of("p", "digital", verdicts(A=Verdict.FAIL), GOLDEN, 1)

    assert as_expected.departures == ()
    assert len(otherwise.departures) == 4
    assert otherwise.departures[0] == "works-with A: fail, expected pass: so it was"
    assert read_golden(golden_lines(verdicts(A=Verdict.PASS, B=Verdict.PASS))) == GOLDEN


def test_what_the_lab_could_not_decide_wrongs_no_phone_and_is_told() -> None:
    run = healthy_run_of("p", "digital", verdicts(A=Verdict.INCONCLUSIVE, B=Verdict.PASS), GOLDEN, 1)

    assert run.departures == ()
    assert [words.partition(":")[0] for words in run.undecided] == ["works-with A", "certified A"]


def test_the_summary_counts_and_bounds() -> None:
    rows = [row_of(DEFECT, BY_A, "w", verdicts(A=verdict), GOLDEN, 1) for verdict in (Verdict.FAIL, Verdict.PASS)]
    healthy = [healthy_run_of("p", "digital", verdicts(A=Verdict.PASS, B=Verdict.PASS), GOLDEN, 1)] * 10
    table = ScoreTable(
        category="ip-phone",
        suite_version="1",
        programme="p 1",
        profile="digital",
        made_at=datetime(2026, 1, 2, tzinfo=UTC),
        seed=1,
        scope=Scope.ALL,
        rows=tuple(rows),
        healthy=tuple(healthy),
    )
    summary = table.summary()

    assert (summary.found, summary.seeded, summary.healthy_runs, summary.departures) == (1, 2, 10, 0)
    assert round(summary.false_fails_at_most, 4) == round(1 - 0.05 ** (1 / 10), 4)
    assert "of 2 runs with a seeded defect 1 came out as they must" in summary.words


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    # One-sided 95 %: 0 of 59 gives just under 5 %; 1 of 10 gives 39.4 %; 2 of 20 gives 28.3 %.
    assert share_at_most(0, 59) < 0.05 < share_at_most(0, 58)
    assert round(share_at_most(1, 10), 3) == 0.394
    assert round(share_at_most(2, 20), 3) == 0.283
    assert share_at_most(0, 0) == share_at_most(3, 3) == 1.0
