"""The records of the characterisation of this host's benches, kept in the agent's work directory.

``characterisation/BENCH.json`` is the newest of a bench, and each stays beside it under its day and number. Reads and
writes those files only.
"""

import platform
from pathlib import Path

from agents.durable import write_whole
from agents.version import instruments_version
from lab_inventory.characterisation import Characterisation, CharacterisedBench
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError
from lab_inventory.lab import Host
from lab_inventory.reading import parse_message

FOLDER = "characterisation"


def this_machine() -> str:
    """The name that this machine gives itself."""
    return platform.node() or "unnamed"


def keep_record(work: Path, record: Characterisation, clock: Clock) -> Path:
    """Keep a record as the newest of its bench, and beside the earlier ones; gives its path. Raises OSError."""
    folder = work / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = record.model_dump_json(indent=2).encode() + b"\n"
    write_whole(folder / f"{record.bench}-{record.at:%Y%m%dT%H%M%SZ}-{record.record}.json", data, clock)
    write_whole(newest(work, record.bench), data, clock)
    return newest(work, record.bench)


def newest(work: Path, bench: str) -> Path:
    """Where the newest record of a bench lies."""
    return work / FOLDER / f"{bench}.json"


def record_of(work: Path, bench: str, host: str, valid_days: int) -> CharacterisedBench | None:
    """The newest record of a bench beside what the bench is now; None where there is none that can be read."""
    path = newest(work, bench)
    try:
        record = parse_message(path.read_bytes(), Characterisation, source=str(path))
    except (OSError, AssayError):
        return None
    return CharacterisedBench(
        bench=bench,
        host=host,
        node=this_machine(),
        software=instruments_version(),
        valid_days=valid_days,
        record=record,
    )


def records_of(work: Path, host: Host) -> tuple[CharacterisedBench, ...]:
    """Those of every bench of a host that has one."""
    found = (record_of(work, one.name, host.name, one.characterisation_valid_days) for one in host.benches)
    return tuple(one for one in found if one is not None)
