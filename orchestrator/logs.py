"""The server's log: one JSON object a line on one stream: ``at``, ``level``, ``slug`` and fields. Never raises.

What comes from outside is a field, never part of a message: JSON escapes its control characters, its length is capped,
and what looks like a token of ours is masked. What libraries log comes out in the same form (:class:`JsonHandler`).
Lines that are written while a request is served carry its id, and what was noted of it.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TextIO

from lab_inventory.clock import Clock

FIELD_LENGTH_MAX = 1024
FRAMES_MAX = 8

Field = str | int | float | bool | None

_request: ContextVar[dict[str, Field] | None] = ContextVar("assay_request", default=None)
_TOKEN = re.compile(r"asy_(join|agent|user)_[A-Za-z0-9_-]*")


class Log(Protocol):
    """Where events are told. ``slug`` is a constant of the code; everything variable is a field."""

    def info(self, slug: str, **fields: Field) -> None:
        """Something happened as it should."""
        ...

    def warning(self, slug: str, **fields: Field) -> None:
        """Something needs an operator's eye."""
        ...

    def error(self, slug: str, error: BaseException | None = None, **fields: Field) -> None:
        """Something failed that should not have."""
        ...


class JsonLog:
    """One JSON object a line."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream

    def info(self, slug: str, **fields: Field) -> None:
        """Write one line of level info."""
        self.write("info", slug, fields)

    def warning(self, slug: str, **fields: Field) -> None:
        """Write one line of level warning."""
        self.write("warning", slug, fields)

    def error(self, slug: str, error: BaseException | None = None, **fields: Field) -> None:
        """Write one line of level error, with what was raised and where."""
        self.write("error", slug, fields | ({} if error is None else _raised(error)))

    def write(self, level: str, slug: str, fields: dict[str, Field]) -> None:
        """Write one line."""
        line: dict[str, Field] = {
            "at": self._clock.now().isoformat(timespec="milliseconds"),
            "level": level,
            "slug": slug,
        }
        line |= {name: _told(value) for name, value in ((_request.get() or {}) | fields).items()}
        try:
            print(json.dumps(line), file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):
            # A log that cannot be written (full disk, closed stream) must not end the server.
            return


class JsonHandler(logging.Handler):
    """Writes what libraries log through Python's ``logging`` as lines of the same form."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; the place of a message that cannot be put together is taken by its template."""
        try:
            text = record.getMessage()
        except Exception:
            text = str(record.msg)
        fields: dict[str, Field] = {"logger": record.name, "text": text}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _raised(record.exc_info[1])
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        self._log.write(level, "library", fields)


def handle_libraries(log: JsonLog) -> None:
    """Take everything that is logged from warnings on, and replace who took it before."""
    root = logging.getLogger()
    root.handlers[:] = [JsonHandler(log)]
    root.setLevel(logging.WARNING)


@contextmanager
def serving(request: str) -> Iterator[dict[str, Field]]:
    """While a request is served: its id, and what is noted of it, are in every line that is written for it."""
    noted: dict[str, Field] = {"request": request}
    token = _request.set(noted)
    try:
        yield noted
    finally:
        _request.reset(token)


def note(**fields: Field) -> None:
    """Note what the request that is being served is about: a run, a batch, who asks."""
    noted = _request.get()
    if noted is not None:
        noted.update(fields)


def request_id() -> str:
    """The id of the request that is being served, empty where none is."""
    return str((_request.get() or {}).get("request", ""))


def _raised(error: BaseException) -> dict[str, Field]:
    """Type, words and the innermost frames: whole traces have no end, and their lines would be somebody's to forge."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return {"error": type(error).__name__, "text": str(error), "where": where}


def _told(value: Field) -> Field:
    if not isinstance(value, str):
        return value
    # Cut first: what comes may be megabytes. A token that the cut goes through is masked all the same.
    text = value if len(value) <= FIELD_LENGTH_MAX else value[:FIELD_LENGTH_MAX] + "…"
    return _TOKEN.sub(r"asy_\1_********", text)
