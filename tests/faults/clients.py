"""Who submits, asks again, and cancels; and writes down what it was told. Real HTTP, from threads of its own.

An answer is ok, refused, or unknown (none came, or the server said it failed). What is unknown is asked again under the
same key and with the same body until it is known. Now and then an answer is thrown away unread, and what is known is
asked again.
"""

import json
import random  # noqa: TID251 - what clients do is seeded
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab_inventory.clock import SystemClock
from tests.faults.lab import pause

AGAIN_S = 0.4
TIMEOUT_S = 5.0
HASTY_S = 0.02
OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a client was told: of a submission under ``key``, or of the cancelling of ``batch``."""

    at_s: float
    verb: str
    key: str
    answer: str
    batch: str
    words: str = ""


class Book:
    """What all clients were told, in order; kept in a file too, for whoever looks afterwards."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a")
        self.told: list[Told] = []

    def add(self, told: Told) -> None:
        with self._lock:
            self.told.append(told)
            self._file.write(json.dumps(vars(told)) + "\n")
            self._file.flush()


class Client:
    """One submitter. Keeps at most ``open_max`` batches going until it is told to finish."""

    def __init__(self, number: int, seed: int, address: str, token: str, book: Book, *, open_max: int) -> None:
        self._name = f"client-{number}"
        self._chance = random.Random(f"{seed} {number}")
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)
        self._book = book
        self._clock = SystemClock()
        self._open_max = open_max
        self._count = 0
        self._bodies: dict[str, dict[str, Any]] = {}
        self._batches: dict[str, str] = {}
        self._open: set[str] = set()
        self._finish = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=self._name)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Submit nothing new; what is unknown is still asked for."""
        self._finish.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until everything is known; whether it is."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._finish.wait(self._chance.uniform(0.1, 0.6)):
            self._look()
            if len(self._open) < self._open_max:
                self._count += 1
                self._submit(f"{self._name}-{self._count}")
            what = self._chance.random()
            if what < 0.05 and self._batches:
                self._submit(self._chance.choice(sorted(self._batches)))
            elif what < 0.08 and self._open:
                self._cancel(self._chance.choice(sorted(self._open)))
        self._http.close()

    def _submit(self, key: str) -> None:
        body = self._bodies.setdefault(key, batch_of(key, self._models()))
        while True:
            timeout_s = HASTY_S if self._chance.random() < 0.05 else TIMEOUT_S
            answer, reply = self._ask("submit", "/v1/batches", body, key, timeout_s)
            if answer != UNKNOWN:
                break
            pause(AGAIN_S)
        if answer == OK and key not in self._batches:
            self._batches[key] = reply["batch"]
            self._open.add(reply["batch"])

    def _models(self) -> list[str]:
        """One or two submissions; every fourth of the model of which there is one unit alone."""
        number = self._chance.choice((1, 1, 2))
        return ["Five" if self._chance.random() < 0.25 else "One" for _ in range(number)]

    def _cancel(self, batch: str) -> None:
        """Asked once: whoever is not told does not know."""
        answer, _ = self._ask(
            "cancel", f"/v1/batches/{batch}/cancel", {"reason": "a client's wish"}, "", TIMEOUT_S, batch
        )
        if answer == OK:
            self._open.discard(batch)

    def _ask(
        self, verb: str, path: str, body: dict[str, Any], key: str, timeout_s: float, batch: str = ""
    ) -> tuple[str, dict[str, Any]]:
        reply: dict[str, Any] = {}
        try:
            answered = self._http.post(
                path, json=body, headers={"Idempotency-Key": key} if key else {}, timeout=timeout_s
            )
            words = str(answered.status_code)
            if answered.is_success:
                answer, reply = OK, answered.json() if answered.content else {}
            else:
                answer = UNKNOWN if answered.status_code >= 500 else REFUSED
                words = f"{words} {answered.text[:200]}"
        except (httpx.HTTPError, ValueError) as error:
            answer, words = UNKNOWN, type(error).__name__
        told = Told(
            at_s=self._clock.boottime_s(),
            verb=verb,
            key=key,
            answer=answer,
            batch=reply.get("batch", batch),
            words=words,
        )
        self._book.add(told)
        return answer, reply

    def _look(self) -> None:
        """Which of its batches still go on."""
        for batch in sorted(self._open):
            try:
                found = self._http.get(f"/v1/batches/{batch}")
            except httpx.HTTPError:
                return
            if found.is_success and found.json()["state"] in ("completed", "cancelled"):
                self._open.discard(batch)


def batch_of(title: str, models: Sequence[str]) -> dict[str, Any]:
    """A batch of the shipped programme, with a submission for each model."""
    ics = {"audio": "wideband", "codec.pcmu": True, "codec.pcma": True, "codec.g722": True}
    ics |= {"dtmf.events": True, "hold": True}
    return batch(title, "ip-phone-basic", [("digital", model) for model in models], ics)


def batch(title: str, programme: str, of: list[tuple[str, str]], ics: dict[str, Any]) -> dict[str, Any]:
    """A batch of submissions, each with a profile and a model."""
    return {
        "title": title,
        "programme": programme,
        "submissions": [
            {
                "title": f"{title} {number}",
                "vendor": "Witness",
                "product": {"maker": "Witness", "model": model, "firmware": "1.0"},
                "hardware_revision": "A",
                "mode": "wideband",
                "profile": profile,
                "ics": ics,
            }
            for number, (profile, model) in enumerate(of)
        ],
    }


class Person:
    """Who looks after what the lab took out by itself: puts it on probation again at once, or back in service."""

    def __init__(self, address: str, token: str) -> None:
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="person")
        self.asked = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._http.close()

    def _work(self) -> None:
        while not self._stop.wait(2.0):
            with suppress(httpx.HTTPError, ValueError):
                for out in self._http.get("/v1/quarantine").raise_for_status().json():
                    self._look_after(out)

    def _look_after(self, out: dict[str, Any]) -> None:
        where = f"/v1/quarantine/{out['resource']}"
        if out["state"] == "probation":
            return
        self.asked += 1
        if out["state"] == "needs-person":
            self._http.post(f"{where}/put-back", json={"reason": "it was the trial"})
        else:
            self._http.post(f"{where}/recover")
