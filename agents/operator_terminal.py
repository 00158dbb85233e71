"""``assay-agent operator``: the operator's page on a terminal. Shows what is to be done, takes Enter for done.

Takes the control address of a slot with driver ``operator``; ends with the end of its input. It needs neither the agent
nor its settings, and waits for a run where there is none.
"""

import json
from collections.abc import Callable
from typing import TextIO

import httpx

LOOK_S = 0.3
ASK_TIMEOUT_S = 3.0
CANNOT = ("c", "cannot", "n", "no")


def ask_at_terminal(
    control: str,
    source: TextIO,
    tell: Callable[[str], None],
    pause: Callable[[float], object],
    *,
    rounds: int | None = None,
) -> None:
    """Ask until the input ends. ``rounds``: look so many times at most, for tests; None: for ever."""
    shown = state = ""
    with httpx.Client(base_url=f"http://{control}", timeout=ASK_TIMEOUT_S, trust_env=False) as client:
        while rounds is None or rounds > 0:
            rounds = None if rounds is None else rounds - 1
            asked = _asked(client)
            now = "no run" if asked is None else "wait" if asked["prompt"] is None else "asked"
            if now != state:
                state = now
                tell({"no run": f"waiting for a run at {control} …", "wait": "wait …", "asked": ""}[now])
            if asked is None or asked["prompt"] is None or asked["prompt"] == shown:
                pause(LOOK_S)
                continue
            shown = asked["prompt"]
            tell(f"\n{asked['slot']}\n\n    {asked['words'].upper()}\n\nEnter: done; c and Enter: cannot")
            line = source.readline()
            if not line:
                return
            said = "cannot" if line.strip().lower() in CANNOT else "done"
            _answer(client, shown, said)


def _asked(client: httpx.Client) -> dict[str, str] | None:
    """What is asked now, or None where no run listens."""
    try:
        found = client.get("/prompt").raise_for_status().json()
    except (httpx.HTTPError, json.JSONDecodeError):
        return None
    return found if isinstance(found, dict) and found.keys() >= {"slot", "prompt", "words"} else None


def _answer(client: httpx.Client, prompt: str, said: str) -> None:
    try:
        client.post("/answer", data={"prompt": prompt, "said": said})
    except httpx.HTTPError:
        return  # the run has ended meanwhile, which the next look shows
