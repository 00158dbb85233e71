"""``assay subscriptions``, as a person types it."""

from pathlib import Path

from lab_server import serving
from receivers import hook

from tests.orchestrator.cli.conftest import run_assay


async def test_a_webhook_is_added_tried_listed_and_removed(tmp_path: Path) -> None:
    with hook() as chat:
        async with serving(tmp_path / "data", webhook_networks="127.0.0.0/8") as server:
            env = {"ASSAY_TOKEN": server.token, "ASSAY_SERVER": server.address}
            events = (await run_assay("subscriptions", "events", **env)).out.split()
            assert "batch.completed" in events
            added = await run_assay("subscriptions", "add", "chat", chat.url, "--event", "batch.completed", **env)
            assert (added.status, added.err) == (0, "")
            assert "whsec_" in added.out
            tried = await run_assay("subscriptions", "test", "chat", **env)
            assert (tried.status, tried.out) == (0, "arrived: 127.0.0.1 answered 200\n")
            chat.statuses[:] = [500]
            assert (await run_assay("subscriptions", "test", "chat", **env)).status == 1
            listed = await run_assay("subscriptions", "list", **env)
            assert "batch.completed" in listed.out
            wrong = await run_assay("subscriptions", "add", "x", chat.url, "--event", "batch.eaten", **env)
            assert wrong.status == 2
            assert "batch.completed" in wrong.err
            assert (await run_assay("subscriptions", "remove", "chat", **env)).status == 0
