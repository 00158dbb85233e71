"""A part of a file, as a player asks for it (RFC 9110, 14)."""

import pytest

from orchestrator.api.byte_ranges import part_of

DATA = bytes(range(100))


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("", 200, 0, 100),
        ("bytes=0-", 206, 0, 100),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=90-400", 206, 90, 100),
        ("bytes=-5", 206, 95, 100),
        ("bytes=-500", 206, 0, 100),
        ("bytes=100-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=19-10", 200, 0, 100),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("lines=1-2", 200, 0, 100),
    ],
)
def test_the_part_that_was_asked_for_comes(asked: str, status: int, start: int, end: int) -> None:
    answer = part_of(DATA, asked, "audio/wav", headers={"X-Kept": "1"})

    assert (answer.status_code, bytes(answer.body)) == (status, DATA[start:end])
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
