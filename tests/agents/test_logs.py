import io
import json

from agents.logs import FIELD_LENGTH_MAX, JsonLog
from agents.words import as_label, as_text, describe
from lab_inventory.clock import ManualClock


def line_of(**fields: str) -> tuple[str, dict[str, str]]:
    stream = io.StringIO()
    JsonLog(ManualClock(), stream).warning("slot-fault", **fields)
    return stream.getvalue(), json.loads(stream.getvalue())


def test_an_event_is_one_json_line_with_its_slug() -> None:
    raw, line = line_of(slot="slot-1")
    assert raw.count("\n") == 1
    assert (line["slug"], line["level"], line["slot"]) == ("slot-fault", "warning", "slot-1")


def test_outside_text_can_neither_forge_a_line_nor_fill_the_log() -> None:
    raw, line = line_of(user_agent='x\n{"slug": "forged"}\x1b[2J' + "y" * 5000)
    assert raw.count("\n") == 1
    assert "\x1b" not in raw
    assert line["slug"] == "slot-fault"
    assert len(line["user_agent"]) <= FIELD_LENGTH_MAX + 1


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    JsonLog(ManualClock(), stream).info("agent-serves")


def test_words_from_elsewhere_fit_the_texts_of_the_wire() -> None:
    assert as_text("a\x00b\r\nc") == "a b c"
    assert len(as_text("x" * 5000)) == 2000
    assert as_label("") == "(empty)"
    assert describe(KeyError("x\ny")) == "KeyError: 'x\\ny'"
