"""The form of the server's log, without a server."""

import io
import json
import logging
from typing import Any

from lab_inventory.clock import ManualClock
from orchestrator import logs
from orchestrator.logs import FIELD_LENGTH_MAX, JsonHandler, JsonLog


def log() -> tuple[JsonLog, io.StringIO]:
    stream = io.StringIO()
    return JsonLog(ManualClock(), stream), stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_time_level_slug_and_fields() -> None:
    told, stream = log()
    told.info("run-placed", run="run-1")
    assert lines(stream) == [
        {"at": "2026-01-01T00:00:00.000+00:00", "level": "info", "slug": "run-placed", "run": "run-1"}
    ]


def test_control_characters_and_length_do_not_break_a_line() -> None:
    told, stream = log()
    told.warning("x", text="a\n\x1b[31m\u2028\ud800" + "b" * 5000)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()
    assert len(lines(stream)[0]["text"]) == FIELD_LENGTH_MAX + 1


def test_what_looks_like_a_token_is_masked_wherever_it_stands() -> None:
    told, stream = log()
    told.warning("x", path="/v1/asy_user_SECRET-1_x/y")
    told.error("y", ValueError("bad asy_join_SECRET"))
    assert "SECRET" not in stream.getvalue()
    assert lines(stream)[0]["path"] == "/v1/asy_user_********/y"


def test_lines_of_a_request_carry_its_id_and_what_was_noted() -> None:
    told, stream = log()
    with logs.serving("req-1"):
        logs.note(run="run-1")
        told.info("x")
    told.info("y")
    first, second = lines(stream)
    assert (first["request"], first["run"]) == ("req-1", "run-1")
    assert "request" not in second
    assert logs.request_id() == ""


def test_an_error_says_what_and_where_in_one_line() -> None:
    told, stream = log()
    try:
        raise KeyError("run")
    except KeyError as error:
        told.error("failed", error)
    (line,) = lines(stream)
    assert (line["error"], line["level"]) == ("KeyError", "error")
    assert line["where"].startswith("test_logs.py:")


def test_what_libraries_log_comes_in_the_same_form() -> None:
    told, stream = log()
    record = logging.LogRecord("lib", logging.WARNING, "f.py", 1, "said %s\n%d", ("this",), None)
    JsonHandler(told).emit(record)
    (line,) = lines(stream)
    assert (line["slug"], line["logger"], line["text"], line["level"]) == ("library", "lib", "said %s\n%d", "warning")


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    told, stream = log()
    stream.close()
    told.info("x")
