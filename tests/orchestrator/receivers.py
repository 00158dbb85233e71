"""Where notices arrive in tests: a web server and a mail server, real ones, on loopback."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """A web server that keeps what it got and answers with ``statuses``, one after the other, then with 200."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, number: int, timeout_s: float = 30.0) -> list[tuple[str, dict[str, Any]]]:
        """The first so many notices, with their ids."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= number, timeout_s), self.got
            return self.got[:number]


@contextmanager
def hook() -> Iterator[Hook]:
    made = Hook()
    made.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.answers.wait(20)
            status = made.statuses.pop(0) if made.statuses else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            with made.changed:
                made.got.append((self.headers["webhook-id"], body))
                made.changed.notify_all()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()
