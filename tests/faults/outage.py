"""The server is away, once and for long, while runs of every length go on: none ends by it, and no result is lost."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx

from lab_inventory.clock import SystemClock
from tests.faults import rest
from tests.faults.checkers import violations
from tests.faults.clients import OK, Book, Told, batch
from tests.faults.lab import MODELS, Lab, Limits, pause, until
from tests.faults.long_programme import CASE_S, CASES

LONGER = 1.25
SETTLE_S = 3.0
END_S = 120.0
_clock = SystemClock()


class Outage:
    """One outage of ``seconds``. Without ``lease_ttl_s`` leases are as the product sets them when nobody asks."""

    def __init__(
        self, work: Path, seconds: float, *, lease_ttl_s: float | None = None, say: Callable[[str], None]
    ) -> None:
        self._seconds = seconds
        self._say = say
        self._work = work
        # The long runs take a quarter more than the outage, and begin before it.
        scale = (seconds * LONGER + 15) / (CASE_S * CASES["long"])
        self._lab = Lab(work, Limits(lease_ttl_s=lease_ttl_s, scale=scale), long=True)

    def run(self) -> list[str]:
        """What is wrong, in words; nothing where all is well. Raises AssertionError where the lab does not come up."""
        lab = self._lab
        book = Book(self._work / "told.jsonl")
        try:
            lab.start()
            batches = [self._submit(book, profile, len(MODELS) // 2) for profile in CASES]
            until("all of them run", lambda: self._states(batches) == ["running"] * (2 * (len(MODELS) // 2)), 60)
            pause(SETTLE_S)
            self._say(f"the server is killed, for {self._seconds:g} s")
            lab.keep_away("server", away=True)
            assert lab.kill("server", 0.0)
            went_s = _clock.boottime_s()
            pause(self._seconds)
            lab.keep_away("server", away=False)
            until("the server is back", lambda: lab.http.get("/healthz").is_success, 60)
            away_s = _clock.boottime_s() - went_s
            on_disk = {spool.run: spool.ended for spool in rest.spools(lab.agent_work / "runs")}
            self._say(
                f"the server is back after {away_s:.0f} s: {sum(on_disk.values())} runs have ended meanwhile, "
                f"{len(on_disk) - sum(on_disk.values())} go on"
            )
            until("all have ended", lambda: self._ended(batches), self._seconds + END_S)
        finally:
            lab.stop()
        seen = rest.read(lab, book.told)
        lab.free()
        wrong = [f"{name}: {words}" for name, of in violations(seen).items() for words in of]
        runs = seen.rows("runs")
        wrong += [f"{row['run']} is {row['state']}: {row['reason']}" for row in runs if row["state"] != "completed"]
        wrong += [f"{row['run']} is attempt {row['attempt']}" for row in runs if row["attempt"] != 1]
        earned = [json.loads(row["body"])["earned"] for row in seen.rows("judgements")]
        self._say(f"{len(runs)} runs, {len(seen.rows('reports'))} reports, levels earned: {earned}")
        if not any(on_disk.values()) or all(on_disk.values()):
            wrong.append("there were no runs that ended during the outage, or none that outlasted it")
        return wrong

    def _submit(self, book: Book, profile: str, count: int) -> str:
        key = f"outage-{profile}"
        body = batch(key, "outage", [(profile, "One")] * count, {"keys": True})
        answered = self._lab.http.post("/v1/batches", json=body, headers={"Idempotency-Key": key})
        answered.raise_for_status()
        found = str(answered.json()["batch"])
        book.add(Told(at_s=_clock.boottime_s(), verb="submit", key=key, answer=OK, batch=found))
        return found

    def _states(self, batches: list[str]) -> list[str]:
        found = [self._lab.call("GET", f"/v1/batches/{batch}") for batch in batches]
        return [run["state"] for one in found for entry in one["entries"] for run in entry["runs"]]

    def _ended(self, batches: list[str]) -> bool:
        try:
            return all(self._lab.call("GET", f"/v1/batches/{batch}")["state"] == "completed" for batch in batches)
        except httpx.HTTPError:
            return False
