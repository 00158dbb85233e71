"""An orchestrator for tests of the agent: a small HTTP server on the loopback that keeps what it is told.

It records reports as the real one does: each once, only in sequence, and none whose evidence it misses.
"""

import base64
import json
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lab_inventory.lab import Host
from lab_inventory.messages import RunReport, proof_text

TOKEN = "asy_join_" + "x" * 20
AUDIENCE = "lab-of-the-tests"


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class StandInOrchestrator:
    """``refuse_all``: answer every request with that status. ``orders``: standings of runs other than renewed.

    ``lives_s``: how long a credential lives. ``revoked``: why the keys of all hosts are.
    """

    def __init__(self, host: Host | None = None) -> None:
        self.host = host
        self.refuse_all: int | None = None
        self.orders: dict[str, str] = {}
        self.heartbeats: list[dict[str, Any]] = []
        self.renewals: list[dict[str, Any]] = []
        self.recorded: dict[str, list[RunReport]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.tokens = {TOKEN}
        self.keys: dict[str, Ed25519PublicKey] = {}
        self.challenges: set[str] = set()
        self.credentials: set[str] = set()
        self.proofs = 0
        self.lives_s = 3600.0
        self.ttl_s = 900.0
        self.revoked = ""
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        orchestrator = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(200, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._reply(*orchestrator.answer(self.path, body, self.headers.get("Authorization", "")))

            def do_PUT(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                self._reply(*orchestrator.put(self.path, data))

            def _reply(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, body: dict[str, Any], authorization: str) -> tuple[int, dict[str, Any]]:
        with self.lock:
            if self.refuse_all is not None:
                return self.refuse_all, {"title": "refused", "detail": "the credential was revoked"}
            if path == "/v1/agents/join":
                return self._join(body)
            if path == "/v1/agents/challenge":
                made = f"challenge-{len(self.challenges) + self.proofs}"
                self.challenges.add(made)
                return 200, {"version": 1, "challenge": made}
            if path == "/v1/agents/credential":
                return self._prove(body)
            if authorization.removeprefix("Bearer ") not in self.credentials:
                return 401, {"title": "The credential is unknown", "detail": ""}
            kind = path.removeprefix("/v1/agents/")
            return 200, {"heartbeat": self._heartbeat, "renewals": self._renew, "reports": self._receive}[kind](body)

    def _join(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["token"] not in self.tokens:
            return 401, {"title": "The join token is unknown or was used", "detail": "make another"}
        self.tokens.remove(body["token"])
        self.keys[body["host"]] = Ed25519PublicKey.from_public_bytes(_bytes(body["public_key"]))
        return 200, {"version": 1, "agent": "agent-1", "host": body["host"], "audience": AUDIENCE}

    def _prove(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.revoked or body["challenge"] not in self.challenges or body["host"] not in self.keys:
            return 401, {"title": "The key is not good", "detail": self.revoked or "join again"}
        self.challenges.remove(body["challenge"])
        signed = proof_text(AUDIENCE, body["host"], body["challenge"])
        self.keys[body["host"]].verify(_bytes(body["signature"]), signed)
        self.proofs += 1
        self.credentials.add(f"asy_agent_{self.proofs}")
        return 200, {"version": 1, "credential": f"asy_agent_{self.proofs}", "lives_s": self.lives_s}

    def _heartbeat(self, body: dict[str, Any]) -> dict[str, Any]:
        self.heartbeats.append(body)
        assert self.host is not None
        return {"version": 1, "next_s": 0.5, "host": self.host.model_dump(mode="json")}

    def _renew(self, body: dict[str, Any]) -> dict[str, Any]:
        self.renewals.append(body)
        leases = [
            {
                "run": one["run"],
                "standing": self.orders.get(one["run"], "renewed"),
                "ttl_s": self.ttl_s,
                "reason": "told so",
            }
            for one in body["renewals"]
        ]
        return {"version": 1, "leases": leases}

    def _receive(self, body: dict[str, Any]) -> dict[str, Any]:
        kept = self.recorded.setdefault(body["run"], [])
        received, missing = [], []
        for raw in body["reports"]:
            report = RunReport.model_validate(raw)
            evidence = getattr(report.body, "evidence", ())
            missing += [one.digest for one in evidence if one.digest not in self.artifacts]
            if missing:
                break
            if report.seq <= len(kept):
                assert kept[report.seq - 1] == report
                received.append({"seq": report.seq, "reception": "duplicate"})
            elif report.seq == len(kept) + 1:
                kept.append(report)
                received.append({"seq": report.seq, "reception": "recorded"})
        return {"version": 1, "received": received, "missing_evidence": missing, "next_seq": len(kept) + 1}

    def put(self, path: str, data: bytes) -> tuple[int, dict[str, Any]]:
        address = path.removeprefix("/v1/artifacts/")
        if address != "sha256:" + sha256(data).hexdigest():
            return 422, {"title": "The content is not what its address says"}
        with self.lock:
            self.artifacts[address] = data
        return 201, {}

    def kinds(self, run: str) -> list[str]:
        """The kinds of the reports of a run that are recorded."""
        with self.lock:
            return [report.body.kind for report in self.recorded.get(run, [])]
