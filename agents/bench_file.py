"""The bench that the lab file gives this host, as the orchestrator last told it: kept, so that an agent that starts
while the orchestrator is away watches its slots all the same. Holds the slots' SIP passwords: for its owner alone.
"""

from pathlib import Path

from agents.durable import write_whole
from lab_inventory.clock import Clock
from lab_inventory.lab import Host
from lab_inventory.reading import parse_message

FILE = "bench.json"


def kept_bench(work: Path) -> Host | None:
    """The bench that was told last, or None. Raises BadInput where the file is broken."""
    path = work / FILE
    try:
        return parse_message(path.read_bytes(), Host, source=str(path))
    except FileNotFoundError:
        return None


def keep_bench(work: Path, host: Host, clock: Clock) -> None:
    """Keep the bench. Raises OSError."""
    write_whole(work / FILE, host.model_dump_json().encode(), clock)
