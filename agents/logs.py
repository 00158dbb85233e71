"""Logs as JSON lines: a slug that names what happened, and fields beside it. Writes to one stream, never raises.

What comes from outside (a phone, a server, an error) is a field, never part of a message: JSON escapes its control
characters, and its length is capped.
"""

import json
import sys
from typing import Protocol, TextIO

from lab_inventory.clock import Clock

FIELD_LENGTH_MAX = 1024

Field = str | int | float | bool | None


class Log(Protocol):
    """Where events are told. ``slug`` is a constant of the code; everything variable is a field."""

    def info(self, slug: str, **fields: Field) -> None:
        """Something happened as it should."""
        ...

    def warning(self, slug: str, **fields: Field) -> None:
        """Something needs an operator's eye."""
        ...


class JsonLog:
    """One JSON object a line: ``at``, ``level``, ``slug`` and the fields."""

    def __init__(self, clock: Clock, stream: TextIO = sys.stderr) -> None:
        self._clock = clock
        self._stream = stream

    def info(self, slug: str, **fields: Field) -> None:
        """Write one line of level info."""
        self._write("info", slug, fields)

    def warning(self, slug: str, **fields: Field) -> None:
        """Write one line of level warning."""
        self._write("warning", slug, fields)

    def _write(self, level: str, slug: str, fields: dict[str, Field]) -> None:
        line: dict[str, Field] = {
            "at": self._clock.now().isoformat(timespec="milliseconds"),
            "level": level,
            "slug": slug,
        }
        line |= {name: _capped(value) for name, value in fields.items()}
        try:
            print(json.dumps(line), file=self._stream, flush=True)
        except (OSError, ValueError):
            # A log that cannot be written (full disk, closed stream) must not end a run.
            return


def _capped(value: Field) -> Field:
    if isinstance(value, str) and len(value) > FIELD_LENGTH_MAX:
        return value[:FIELD_LENGTH_MAX] + "…"
    return value
