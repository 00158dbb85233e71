"""The first person of a test's server, let in as ``assay people first`` does: an admin and operator with a token."""

from pathlib import Path

from lab_inventory.clock import SystemClock
from orchestrator.lifecycle.rights import Role
from orchestrator.people import People
from orchestrator.settings import Settings
from orchestrator.store.directory import opened


def let_in(data: Path, database_url: str = "") -> str:
    """The token of ``operator``, made where there is none yet; with or without a server that runs."""
    path = data / "operator-token"
    if not path.exists():
        url = Settings(data=data, database_url=database_url).database_url
        with opened(data, url, SystemClock()) as store:
            people = People(store, SystemClock())
            people.first("operator", (Role.ADMIN, Role.OPERATOR), recover=True)
            people.first_token("operator", path)
    return path.read_text(encoding="utf-8").strip()
