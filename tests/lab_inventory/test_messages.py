"""The wire: sizes are capped, versions and fields are checked, and mistakes are told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_inventory.errors import BadInput, TooLarge
from lab_inventory.messages import JoinRequest, Measurement, ReportBatch, RunReport
from lab_inventory.reading import parse_message

REPORT = {
    "seq": 1,
    "at": "2026-01-01T00:00:00Z",
    "body": {"kind": "case-started", "case": "TC-1", "repeat": 1},
}
BATCH = {"version": 1, "run": "run-1", "epochs": {"device:dev-1": 3}, "reports": [REPORT]}


def test_a_message_is_read_back_as_it_was_written() -> None:
    batch = parse_message(json.dumps(BATCH).encode(), ReportBatch, source="reports")
    assert parse_message(batch.model_dump_json().encode(), ReportBatch, source="reports") == batch


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"version": 2}, "version"),
        ({"more": 1}, "more"),
        ({"epochs": {"device:dev-1": 0}}, "epochs.device:dev-1"),
        ({"reports": []}, "reports"),
        ({"run": "../etc"}, "run"),
        ({"reports": [{**REPORT, "at": "2026-01-01T00:00:00"}]}, "reports[0].at"),
        ({"reports": [{**REPORT, "body": {"kind": "else"}}]}, "reports[0].body"),
    ],
)
def test_a_bad_message_is_told_by_its_path(change: dict[str, object], path: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_message(json.dumps({**BATCH, **change}).encode(), ReportBatch, source="reports")
    assert path in [problem.path for problem in caught.value.problems]


def test_a_message_over_its_size_is_not_read() -> None:
    with pytest.raises(TooLarge, match="at most 10"):
        parse_message(b"x" * 11, JoinRequest, source="join", bytes_max=10)


def test_nan_is_no_number() -> None:
    text = b'{"quantity":"q","unit":"ms","value":NaN,"instrument":"i"}'
    with pytest.raises(BadInput):
        parse_message(text, Measurement, source="measurement")


@given(st.binary(max_size=200))
def test_junk_is_refused_and_never_crashes(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_message(data, RunReport, source="report")
