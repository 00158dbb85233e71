"""The processes of the demonstration: started in order, stopped in reverse, by process id and nothing else."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lab_inventory.errors import Unavailable

STOP_TIMEOUT_S = 25.0
LAST_WORDS_BYTES = 600


class Processes:
    """What was started here; each has its output in a file of its own under ``logs``."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(
        self, name: str, command: list[str], environment: dict[str, str] | None = None, *, told: str | None = None
    ) -> None:
        """Start one; it does not get the terminal's Ctrl-C, because it is stopped in its turn. ``told``: a line for its
        standard input.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        self._started.append((name, process))
        if process.stdin is not None:
            with process.stdin:
                process.stdin.write(f"{told}\n".encode())

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._logs / f"{name}.log"

    def require_alive(self) -> None:
        """Raise Unavailable, with its last words, where one has ended by itself."""
        for name, process in self._started:
            status = process.poll()
            if status is not None:
                text = self.log(name).read_bytes()[-LAST_WORDS_BYTES:].decode("utf-8", "replace").strip()
                raise Unavailable(f"{name} ended with status {status}: {text or 'it said nothing'}")

    def stop(self) -> None:
        """Stop them all, the last started first; one that does not end in time is killed."""
        while self._started:
            _, process = self._started.pop()
            if process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    process.kill()
                process.wait()
