"""What devices saw, and whether two runs ever drove one of them. Knows of the product only what keys carry. Pure.

A press is what a device wrote down and synced the moment a key reached it. Runs name themselves and their epoch with
each key. A reset that names no run is the agent's, which makes one when a run's process died.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

RESET = "reset"


@dataclass(frozen=True, kw_only=True)
class Press:
    """One key, in the order in which keys came; ``at_s`` is CLOCK_BOOTTIME, ``run`` is empty for the agent's reset."""

    at_s: float
    device: str
    run: str
    epoch: int
    key: str


def read_presses(lines: Iterable[str]) -> tuple[Press, ...]:
    """The log of the devices; a last line that a crash cut off is left out, any other raises ValueError."""
    texts = [line for line in lines if line.strip()]
    if texts and not texts[-1].endswith("\n"):
        texts.pop()
    return tuple(Press(**json.loads(text)) for text in texts)


def driven_twice(presses: Iterable[Press]) -> Iterator[str]:
    """Every press of a run on a device after another run had begun there, and every reset in the middle of a run."""
    highest: dict[str, Press] = {}
    over: dict[str, set[str]] = {}
    strange: dict[str, Press] = {}
    for press in presses:
        before = highest.get(press.device)
        if not press.run:
            strange[press.device] = press
            continue
        gone = over.setdefault(press.device, set())
        reset = strange.pop(press.device, None)
        where = f"{press.device} at {press.at_s:.2f} s: {press.run} pressed {press.key} under epoch {press.epoch}"
        if press.run in gone:
            yield f"{where} after another run had begun"
        elif before is not None and press.run == before.run and reset is not None:
            yield f"{where} after the agent had reset the device at {reset.at_s:.2f} s because that run was dead"
        elif before is not None and press.run != before.run and press.epoch <= before.epoch:
            yield f"{where} after {before.run} under epoch {before.epoch}"
        if before is not None and before.run != press.run:
            gone.add(before.run)
        highest[press.device] = press
