"""Speaking with the server: address, token, errors in words, tables for people and JSON for programs."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from lab_inventory.errors import AssayError, BadInput, Problem, Unauthorised, Unavailable
from lab_inventory.trust import connection_trouble, require_safe, trust
from orchestrator.settings import read_settings

Server = Annotated[str, typer.Option(envvar="ASSAY_SERVER", help="The server's address.")]
Output = Annotated[str, typer.Option("-o", "--output", help="table or json", metavar="FORM")]
DEFAULT_SERVER = "http://127.0.0.1:8470"


class Refusal(AssayError):
    """The server refuses"""

    slug = "refused"


class Client:
    """Calls with a person's token, from ASSAY_TOKEN or the file ``operator-token`` in the data directory.

    ``token`` empty: with none, for signing in.
    """

    def __init__(self, server: str, token: str | None = None) -> None:
        self._server = server
        token = _token() if token is None else token
        if not token.isascii() or not token.isprintable():
            raise Unauthorised("the token has characters that no token has; is it the right file?")
        require_safe(server, trusted_network=read_settings().trusted_network, setting="ASSAY_TRUSTED_NETWORK=true")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=server, headers=headers, timeout=30, verify=trust(ca_file()))

    def get(self, path: str, **query: Any) -> Any:
        """GET, as JSON."""
        return self._call("GET", path, params=query)

    def document(self, path: str) -> bytes:
        """GET, as it comes."""
        return self._answer("GET", path).content

    def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """POST or PUT a JSON body; ``key`` makes it repeatable."""
        return self._call(method, path, json=body, headers={"Idempotency-Key": key} if key else {})

    def upload(self, path: str, data: bytes) -> None:
        """PUT bytes as they are."""
        self._answer("PUT", path, content=data)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._answer(method, path, **options)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.InvalidURL as error:
            raise BadInput(f"{self._server} is no address of a server") from error
        except httpx.HTTPError as error:
            said = connection_trouble(error, self._server)
            raise Unavailable(f"no server answers as it should: {said}; is 'assay serve' running?") from error
        if answer.is_success:
            return answer
        raise _refusal(answer)


def ca_file() -> Path | None:
    """The CA file of ``--ca`` or ASSAY_CA, or None: the system's trust store."""
    named = os.environ.get("ASSAY_CA")
    return Path(named) if named else None


@contextmanager
def in_words() -> Iterator[None]:
    """Raises BadInput in the place of an OSError."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from error


def _refusal(answer: httpx.Response) -> AssayError:
    try:
        said = answer.json()
        problems = tuple(
            Problem(path=one["path"], wrong=one["wrong"], expected=one["expected"]) for one in said.get("problems", [])
        )
        return Refusal(f"{said['title']}: {said['detail']}", problems=problems)
    except (ValueError, KeyError, TypeError):
        return Refusal(f"the server answered {answer.status_code} without saying why")


def _token() -> str:
    token = os.environ.get("ASSAY_TOKEN")
    if token:
        return token
    path = read_settings().data / "operator-token"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unauthorised(
            f"no token: set ASSAY_TOKEN (from 'assay sign-in'), or ASSAY_DATA to the server's data directory "
            f"({path} is not there; 'assay people first' writes it)"
        ) from error


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], output: str, *, title: str = "") -> None:
    """Print rows as a table of some columns, or all of them as JSON."""
    if output == "json":
        typer.echo(json.dumps(rows, indent=2))
        return
    if output != "table":
        raise BadInput(f"output {output!r}; expected table or json")
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    Console().print(table)
