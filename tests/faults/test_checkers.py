"""Each checker finds what it is there for in a history made for it, and nothing in a good one."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checkers import Seen, Spooled, violations
from tests.faults.choice import KILLS, OTHERS, choose
from tests.faults.clients import OK, REFUSED, UNKNOWN, Told
from tests.faults.witness import Press, driven_twice, read_presses

REPORT = {"seq": 1, "body": {"kind": "case-ended", "evidence": [{"digest": "sha256:e"}]}}
END = {"seq": 2, "body": {"kind": "ended"}}


def told(key: str = "k1", batch: str = "bat-1", answer: str = OK, verb: str = "submit") -> Told:
    return Told(at_s=1.0, verb=verb, key=key, answer=answer, batch=batch)


def pressed(run: str, epoch: int, key: str = "TC-1", device: str = "slot-1") -> Press:
    return Press(at_s=1.0, device=device, run=run, epoch=epoch, key=key)


def good() -> Seen:
    """Two submissions under two keys, one of them told twice, one cancelled; a run and what came of it."""
    verdicts = {"levels": [{"requirements": [{"verdict": "pass"}, {"verdict": "error"}]}]}
    return Seen(
        told=(
            told(answer=UNKNOWN, batch=""),
            told(),
            told(),
            told("k2", "bat-2"),
            told("", "bat-2", verb="cancel"),
            told("k3", "", REFUSED),
        ),
        presses=(pressed("run-0", 1), pressed("run-1", 2, "reset"), pressed("run-1", 2)),
        spools=(Spooled(run="run-1", reports={1: REPORT, 2: END}, acknowledged=2, ended=True),),
        tables={
            "batches": [
                {"batch": "bat-1", "state": "completed", "purpose": "certification"},
                {"batch": "bat-2", "state": "cancelled", "purpose": "certification"},
                {"batch": "bat-3", "state": "completed", "purpose": "probation"},
            ],
            "submissions": [{"submission": "sub-1", "batch": "bat-1"}, {"submission": "sub-2", "batch": "bat-2"}],
            "runs": [{"run": "run-0", "state": "lapsed"}, {"run": "run-1", "state": "completed"}],
            "leases": [
                {"lease": "lea-0", "run": "run-0", "state": "lapsed", "epochs": '{"slot:h/slot-1": 1}'},
                {"lease": "lea-1", "run": "run-1", "state": "released", "epochs": '{"slot:h/slot-1": 2}'},
            ],
            "reports": [
                {"run": "run-1", "seq": 1, "body": json.dumps(REPORT)},
                {"run": "run-1", "seq": 2, "body": json.dumps(END)},
            ],
            "judgements": [{"submission": "sub-1", "body": json.dumps(verdicts)}],
            "idempotency": [
                {"key": "k1", "reply": '{"batch": "bat-1"}'},
                {"key": "k2", "reply": '{"batch": "bat-2"}'},
            ],
            "journal": [{"fact": "BatchAccepted", "entity": batch} for batch in ("bat-1", "bat-2", "bat-3")],
        },
        artifacts={"sha256:e": True},
    )


def but(table: str, place: int, **change: Any) -> Seen:
    """The good history with one row changed."""
    seen = good()
    rows = list(seen.rows(table))
    rows[place] = {**rows[place], **change}
    return replace(seen, tables={**seen.tables, table: rows})


def without(table: str, place: int) -> Seen:
    """The good history with one row missing."""
    seen = good()
    rows = [row for at, row in enumerate(seen.rows(table)) if at != place]
    return replace(seen, tables={**seen.tables, table: rows})


def test_a_good_history_has_nothing_wrong() -> None:
    assert violations(good()) == {}


FAILED = json.dumps({"levels": [{"requirements": [{"verdict": "fail"}]}]})
CORRUPTED = {
    "an acknowledged batch is lost": ("lost", without("batches", 0)),
    "an acknowledged batch is not in the journal": ("lost", without("journal", 0)),
    "an acknowledged batch never ends": ("lost", but("batches", 0, state="open")),
    "a completed batch has no judgement": ("judged", without("judgements", 0)),
    "a device failed": ("judged", but("judgements", 0, body=FAILED)),
    "a key was told two batches": ("one_batch_for_a_key", replace(good(), told=(*good().told, told(batch="bat-2")))),
    "a batch stands there twice for one key": ("one_batch_for_a_key", but("batches", 2, purpose="certification")),
    "a key is kept with another batch": ("one_batch_for_a_key", but("idempotency", 0, reply='{"batch": "bat-2"}')),
    "a cancelled batch went on": ("cancels_hold", but("batches", 1, state="completed")),
    "an acknowledged report is lost": ("results_kept", without("reports", 0)),
    "a report is kept otherwise than written": ("results_kept", but("reports", 0, body='{"body": {}}')),
    "a run was never delivered": (
        "results_kept",
        replace(good(), spools=(replace(good().spools[0], acknowledged=1),)),
    ),
    "a run has a gap": ("in_sequence", without("reports", 0)),
    "evidence is lost": ("evidence_kept", replace(good(), artifacts={})),
    "evidence is garbled": ("evidence_kept", replace(good(), artifacts={"sha256:e": False})),
    "a run goes on for ever": ("all_ended", but("runs", 0, state="running")),
    "a lease stays live": ("all_ended", but("leases", 0, state="live")),
    "an epoch was granted twice": ("epochs_grow", but("leases", 1, epochs='{"slot:h/slot-1": 1}')),
    "a key was pressed under a wrong epoch": ("epochs_grow", replace(good(), presses=(pressed("run-1", 7),))),
    "the audit found something": ("audited", replace(good(), audit=("row 3",))),
    "a device was driven twice": ("twice", replace(good(), presses=(*good().presses, pressed("run-0", 1)))),
}


@pytest.mark.parametrize("name", CORRUPTED)
def test_a_corrupted_history_is_rejected(name: str) -> None:
    checker, seen = CORRUPTED[name]
    assert checker in violations(seen)


INTERLEAVED = {
    "the earlier run presses after the later one": [("a", 1), ("b", 2), ("a", 1)],
    "the later run has a lower epoch": [("a", 2), ("b", 1)],
    "two runs have one epoch": [("a", 1), ("b", 1)],
    "the first of three comes back": [("a", 1), ("b", 2), ("c", 3), ("a", 1)],
    "a run goes on after the agent reset the device for it": [("a", 1), ("", 0), ("a", 1)],
}


@pytest.mark.parametrize("name", INTERLEAVED)
def test_the_witness_sees_runs_that_interleave(name: str) -> None:
    assert list(driven_twice(pressed(run, epoch) for run, epoch in INTERLEAVED[name]))


def test_the_witness_has_nothing_against_runs_one_after_the_other() -> None:
    one_after_the_other = [("a", 1), ("a", 1), ("", 0), ("b", 2), ("b", 2), ("c", 5)]
    assert not list(driven_twice(pressed(run, epoch) for run, epoch in one_after_the_other))
    side_by_side = [pressed("a", 1), pressed("b", 1, device="slot-2"), pressed("a", 1)]
    assert not list(driven_twice(side_by_side))


def test_a_log_whose_last_line_was_cut_off_is_read_up_to_it() -> None:
    line = json.dumps(vars(pressed("a", 1)))
    assert read_presses([line + "\n", line[:10]]) == (pressed("a", 1),)
    with pytest.raises(ValueError, match="Expecting"):
        read_presses([line[:10] + "\n", line + "\n"])


def test_a_seed_chooses_the_same_faults_again_and_every_kind_of_them() -> None:
    steps = choose(7, 20)
    assert steps == choose(7, 20)
    assert steps != choose(8, 20)
    assert {step.fault for step in steps} | {step.within for step in steps} >= {*KILLS, *OTHERS}
    assert sum(step.kills for step in steps) == 20
