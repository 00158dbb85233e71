"""The role × route matrix, read from the routes: python -m tests.security.rights writes tests/golden/rights.txt."""

import sys
import tempfile
from pathlib import Path

from fastapi import FastAPI

from orchestrator.api.rights import rights_of
from orchestrator.app import create_app
from orchestrator.dispatch.in_process import InProcessDispatcher
from orchestrator.lifecycle.rights import SCOPES, Role
from orchestrator.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden" / "rights.txt"


def matrix(app: FastAPI) -> list[str]:
    """A line for each route: its scope, and the roles that have it."""
    lines = []
    for right in rights_of(app):
        roles = [role.value for role in Role if right.scope in SCOPES[role]] if right.scope else ["everybody"]
        lines.append(f"{right.method:4} {right.path:42} {right.scope or '-':14} {' '.join(roles)}")
    return lines


def application(data: Path) -> FastAPI:
    """The server's application, which is not started."""
    return create_app(Settings(data=data), InProcessDispatcher(lambda dispatch: None, hosts=frozenset()))  # type: ignore[arg-type, return-value]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text("\n".join(matrix(application(Path(folder)))) + "\n", encoding="utf-8")
    sys.stdout.write(GOLDEN.read_text(encoding="utf-8"))
