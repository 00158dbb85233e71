"""Every error as ``application/problem+json`` (RFC 9457): what is wrong in words, every mistake at once, no traces."""

import json
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab_inventory.errors import AssayError, Problem, TooMany
from lab_inventory.reading import problems_of
from orchestrator import logs

PROBLEMS_MAX = 100
TEXT_LENGTH_MAX = 400
RETRY_AFTER_S = 5

_TEXT = {"type": "string"}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong, in words",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": _TEXT,
                        "title": _TEXT,
                        "status": {"type": "integer"},
                        "detail": _TEXT,
                        "request": _TEXT,
                        "problems": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["path", "wrong", "expected"],
                                "properties": {"path": _TEXT, "wrong": _TEXT, "expected": _TEXT},
                            },
                        },
                    },
                },
                "example": {
                    "type": "urn:assay:not-found",
                    "title": "There is nothing of that name here",
                    "status": 404,
                    "detail": "there is no batch batch-1",
                },
            }
        },
    }
}
"""How the OpenAPI document describes errors."""

_TOO_LARGE = "The input is larger than is taken here"
_HTTP = {
    400: ("bad-input", "the body cannot be read"),
    404: ("not-found", "{method} {path} is not served here"),
    405: ("method-not-allowed", "{method} {path} is not served here"),
    413: ("too-large", "the body is larger than is taken here"),
}


def problem(status: int, slug: str, title: str, detail: str, problems: tuple[Problem, ...] = ()) -> JSONResponse:
    """One answer."""
    body: dict[str, Any] = {
        "type": f"urn:assay:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if logs.request_id():
        body["request"] = logs.request_id()
    if problems:
        body["problems"] = [_shown(one) for one in problems[:PROBLEMS_MAX]]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status in (429, 503, 507):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return ProblemResponse(body, status_code=status, headers=headers)


def failed() -> JSONResponse:
    """The answer where the server itself failed: nothing of why, which is for its log."""
    return problem(500, "error", "Something went wrong", "the server failed; its log says more")


class ProblemResponse(JSONResponse):
    """A problem document. All ASCII: what is quoted of the input may be text that UTF-8 cannot hold."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        """The document as bytes."""
        return json.dumps(content).encode("ascii")


def _shown(one: Problem) -> dict[str, str]:
    return {
        "path": one.path[:TEXT_LENGTH_MAX],
        "wrong": one.wrong[:TEXT_LENGTH_MAX],
        "expected": one.expected[:TEXT_LENGTH_MAX],
    }


def add_handlers(app: FastAPI) -> None:
    """Answer every kind of error in the same form; what nobody expected is for the layer around (``Access``)."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, AssayError):
            raise error
        answer = problem(error.status, error.slug, error.title, error.detail, error.problems)
        if isinstance(error, TooMany):
            answer.headers["Retry-After"] = str(max(1, math.ceil(error.after_s)))
        return answer

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        found = problems_of(error.errors())
        kind = request.headers.get("content-type", "")
        if isinstance(error.body, bytes) and kind.split(";")[0].strip() != "application/json":
            found = (Problem(path="Content-Type", wrong=f"is {kind[:80]!r}", expected="application/json"),)
        return problem(422, "bad-input", "The input cannot be taken as it is", "the request has mistakes", found)

    async def http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        slug, detail = _HTTP.get(error.status_code, ("error", "the request cannot be served"))
        detail = detail.format(method=request.method, path=request.url.path[:200])
        answer = problem(error.status_code, slug, str(error.detail), detail)
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(AssayError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


class BodyCap:
    """Refuses bodies over a size, declared or streamed; artifacts have a cap of their own."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http" or scope["path"].startswith("/v1/artifacts/"):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._bytes_max:
            answer = problem(413, "too-large", _TOO_LARGE, f"at most {self._bytes_max} bytes")
            await answer(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._bytes_max:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, counted, send)
