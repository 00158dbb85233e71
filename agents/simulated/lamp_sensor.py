"""``python -m agents.simulated.lamp_sensor FILE watch PORT LAMP``: a light program (see ``agents/light.py``) for the
lamps of a reference phone, which writes down in FILE when they change. PORT is not looked at: FILE is one phone's.
"""

import json
import sys
import time  # noqa: TID251 - a program of its own, which waits
from pathlib import Path
from typing import Any

UNCERTAINTY_MS = 1.0
LOOK_EVERY_S = 0.002


def main(file: str, _watch: str, _port: str, lamp: str) -> None:
    """Tell of the lamp's changes until it is ended."""
    path = Path(file)
    before = _changes(path.read_text(encoding="utf-8") if path.exists() else "", lamp)
    _say(f"ready {UNCERTAINTY_MS:g} {'on' if before and before[-1]['lit'] else 'off'}")
    told = len(before)
    while True:
        time.sleep(LOOK_EVERY_S)
        now = _changes(path.read_text(encoding="utf-8") if path.exists() else "", lamp)
        for change in now[told:]:
            _say(f"{change['at_ns'] / 1e9:.6f} {'on' if change['lit'] else 'off'}")
        told = len(now)


def _changes(text: str, lamp: str) -> list[dict[str, Any]]:
    whole = text[: text.rfind("\n") + 1]
    return [change for change in map(json.loads, whole.splitlines()) if change["lamp"] == lamp]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
