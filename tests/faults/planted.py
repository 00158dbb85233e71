"""A bug to be planted in an agent and its runs: nothing keeps two runs off one device. The witness must see it.

The agent takes whatever assignment comes, however old its epochs and whoever has the slot; a run stops neither by its
lease nor because it is told to.
"""

from agents import held_runs, lease_guard
from agents import run as run_module
from agents import runs as runs_module
from agents.epochs import EpochLedger


def in_an_agent() -> None:
    """No gate, and no run is killed that should have stopped."""
    EpochLedger.why_stale = lambda self, run, epochs: None  # type: ignore[method-assign]
    held_runs.why_refused = lambda *args: None
    runs_module.must_stop = _never
    in_a_run()


def in_a_run() -> None:
    """No stop by the lease, nor by a signal."""
    run_module.must_stop = _never
    run_module.is_lost = lambda lease, now_s: False
    run_module.Run.stop = lambda self: None  # type: ignore[method-assign]


def _never(lease: lease_guard.HeldLease, now_s: float) -> None:
    return None
