"""What is known of benches: their part of the lab file, and the record of their uncertainty as their host told it."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, select

from lab_inventory.characterisation import CharacterisedBench
from lab_inventory.lab import Bench, Host
from orchestrator.store import tables as t


@dataclass(frozen=True, kw_only=True)
class BenchView:
    """A bench of the lab file with its host. ``characterised``: None where its host told no record of it."""

    host: str
    bench: Bench
    characterised: CharacterisedBench | None


def benches(connection: Connection) -> tuple[BenchView, ...]:
    """Every bench of the lab file, by host and name."""
    h = t.hosts.c
    found = []
    for row in connection.execute(select(h.host, h.body, h.characterised).order_by(h.host)):
        told = (CharacterisedBench.model_validate(one) for one in json.loads(row.characterised))
        by_name = {one.bench: one for one in told}
        found += [
            BenchView(host=row.host, bench=bench, characterised=by_name.get(bench.name))
            for bench in sorted(Host.model_validate_json(row.body).benches, key=lambda bench: bench.name)
        ]
    return tuple(found)
