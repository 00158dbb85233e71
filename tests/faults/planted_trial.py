"""A lab whose agent has the planted bug: it is stopped beyond the lease, and the witness is asked what it saw."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.clients import batch_of
from tests.faults.lab import Lab, Limits, pause, until
from tests.faults.witness import driven_twice

LEASE_TTL_S = 6.0
SCALE = 0.4
MODEL = "Five"
"""There is one unit of it, so that the next attempt meets the run that did not stop."""


def sought(work: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    """What the witness saw of it. Raises AssertionError where the lab does not come up, or the witness sees nothing."""
    lab = Lab(work, Limits(lease_ttl_s=LEASE_TTL_S, scale=SCALE), planted=True)
    try:
        lab.start()
        body = batch_of("planted", [MODEL])
        lab.http.post("/v1/batches", json=body, headers={"Idempotency-Key": "planted"}).raise_for_status()
        until("the run presses keys", lambda: len(lab.presses()) > 3, 30)
        frozen = lab.freeze(("agent",), 0.0)
        pause(LEASE_TTL_S + 2)
        lab.thaw(frozen, 0.0)
        say("the agent was stopped beyond the lease and goes on")
        return tuple(until("the witness sees it", lambda: list(driven_twice(lab.presses())), 40))
    finally:
        lab.stop()
        lab.free()
