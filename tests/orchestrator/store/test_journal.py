from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.journal import GENESIS, JournalRow, broken_links, next_row


def chain(length: int) -> list[JournalRow]:
    rows: list[JournalRow] = []
    end = (0, GENESIS)
    for number in range(length):
        row = next_row(
            end, at="2026-01-01", fact="RunStarted", machine="run", entity=f"run-{number}", state="running", body="{}"
        )
        rows.append(row)
        end = (row.seq, row.hash)
    return rows


@given(length=st.integers(0, 20))
def test_a_chain_as_it_was_written_has_no_findings(length: int) -> None:
    assert broken_links(chain(length)) == ()


@given(
    at=st.integers(0, 9),
    field=st.sampled_from(["seq", "at", "fact", "machine", "entity", "state", "body", "previous", "hash"]),
)
def test_any_changed_field_of_any_row_is_found(at: int, field: str) -> None:
    rows = chain(10)
    value = 99 if field == "seq" else getattr(rows[at], field) + "x"
    rows[at] = replace(rows[at], **{field: value})
    assert broken_links(rows)


@given(first=st.integers(0, 9), second=st.integers(0, 9))
def test_two_rows_swapped_are_found(first: int, second: int) -> None:
    rows = chain(10)
    rows[first], rows[second] = rows[second], rows[first]
    assert bool(broken_links(rows)) is (first != second)


@given(at=st.integers(0, 8))
def test_a_row_cut_out_before_the_end_is_found(at: int) -> None:
    rows = chain(10)
    del rows[at]
    assert broken_links(rows)


@given(at=st.integers(0, 9))
def test_a_row_put_in_with_a_right_hash_of_its_own_is_found(at: int) -> None:
    rows = chain(10)
    before = (rows[at - 1].seq, rows[at - 1].hash) if at else (0, GENESIS)
    forged = next_row(before, at="2026-01-02", fact="RunStarted", machine="run", entity="x", state="running", body="{}")
    rows.insert(at, forged)
    assert broken_links(rows)


def test_a_tail_cut_off_is_not_seen_by_the_chain_alone() -> None:
    assert broken_links(chain(10)[:-1]) == ()
