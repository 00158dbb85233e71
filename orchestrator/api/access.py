"""What every request gets: an id, and a line in the log where it changed something or failed. Bodies are never logged.

Heartbeats and renewals that are answered well are not told: hosts send them every few seconds, and they change nothing.
"""

import re

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab_inventory.clock import Clock
from orchestrator import logs
from orchestrator.api.problems import failed
from orchestrator.logs import Field, Log

_GIVEN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ROUTINE = frozenset({"/v1/agents/heartbeat", "/v1/agents/renewals"})
_NAMED = ("run", "batch", "submission", "device", "certificate", "host", "sample")
CLIENT_LEFT = 499
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
"""A browser that came over TLS once comes no other way for a year (RFC 6797)."""
PATH_LENGTH_MAX = 200


def id_of(scope: Scope, clock: Clock) -> str:
    """The id that the caller gave in ``X-Request-Id``, where it is one that can stand in a log, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if _GIVEN_ID.fullmatch(given) else clock.new_id("req")


def worth_a_line(method: str, path: str, status: int) -> bool:
    """Whether a request changed something or failed."""
    return status >= 400 or (method not in _READS and path not in _ROUTINE)


class Access:
    """The outermost layer of the application: also where an error that nobody expected becomes an answer."""

    def __init__(self, app: ASGIApp, clock: Clock, log: Log) -> None:
        self._app = app
        self._clock = clock
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = self._clock.boottime_s()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request.encode("ascii"))]
                if scope["scheme"] == "https":
                    message["headers"].append(STRICT_TRANSPORT)
            await send(message)

        request = id_of(scope, self._clock)
        with logs.serving(request) as noted:
            try:
                await self._app(scope, receive, answer)
            except ClientDisconnect:
                status = CLIENT_LEFT
            except Exception as error:
                self._log.error("request-failed", error=error, path=scope["path"][:PATH_LENGTH_MAX])
                if status:
                    raise  # too late to say so: the connection is cut
                await failed()(scope, receive, answer)
            finally:
                self._tell(scope, status or CLIENT_LEFT, self._clock.boottime_s() - began_s, noted)

    def _tell(self, scope: Scope, status: int, took_s: float, noted: dict[str, Field]) -> None:
        method, path = scope["method"], scope["path"]
        if not worth_a_line(method, path, status):
            return
        named = {name: str(value) for name, value in scope.get("path_params", {}).items() if name in _NAMED}
        fields: dict[str, Field] = {"method": method[:20], "path": path[:PATH_LENGTH_MAX], "status": status}
        fields |= {name: value for name, value in named.items() if name not in noted}
        fields["ms"] = round(took_s * 1000, 1)
        tell = self._log.info if status < 400 else self._log.warning
        tell("request", **fields)
