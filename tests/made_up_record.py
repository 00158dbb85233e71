"""A made-up record of a bench's characterisation, for tests of what is decided by one: nobody measured it."""

from datetime import UTC, datetime
from typing import Any

from lab_inventory.characterisation import Characterisation, CharacterisedBench, Load, characterised
from lab_inventory.measurement import Unit

MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
ERRORS = (0.5, -0.5) * 15


def made_up_record(bench: str = "bench-1", host: str = "host-1", **change: Any) -> Characterisation:
    fields: dict[str, Any] = {
        "record": "cha-1",
        "at": MADE_AT,
        "bench": bench,
        "host": host,
        "node": "node-1",
        "kernel": "Linux 6.1",
        "machine": "x86_64",
        "processors": 2,
        "software": "1.0+abc",
        "instruments": ("sip",),
        "runs": 30,
        "took_s": 18.0,
        "load": Load(before=0, after=0, lateness_ms_median=0, lateness_ms_max=0),
        "method": "made up",
        "quantities": (characterised("response_time", Unit.MILLISECOND, "made up", ERRORS),),
    }
    return Characterisation.model_validate(fields | change)


def made_up_bench(record: Characterisation | None = None, **change: Any) -> CharacterisedBench:
    """The record beside a bench that is what it was when the record was made, but for what is given."""
    found = record or made_up_record()
    fields: dict[str, Any] = {
        "bench": found.bench,
        "host": found.host,
        "node": found.node,
        "software": found.software,
        "valid_days": 90,
        "record": found,
    }
    return CharacterisedBench.model_validate(fields | change)
