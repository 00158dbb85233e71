import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "orchestrator"))

from tests.orchestrator.conftest import database_url, postgres_server

__all__ = ["database_url", "postgres_server"]
