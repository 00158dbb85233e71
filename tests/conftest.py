"""What holds for every test: in CI nothing may be skipped, because a test that does not run proves nothing there."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ALONE = ("agents", "bench_faults", "cluster", "contracts", "deploy", "e2e", "faults", "headset")
ALONE_TOO = ("orchestrator/dispatch", "orchestrator/cli", "orchestrator/test_two_servers.py")
"""Tests that measure time, start what must have the machine, or use fixed addresses: not beside each other."""

LONG = ("simulation", "security/test_any_request.py", "orchestrator/test_metrics.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(HERE / place) for place in (*ALONE, *ALONE_TOO)):
            item.add_marker("alone")
    # The longest first: two processes share what is not alone, and neither shall wait for the other's last test.
    items.sort(key=lambda item: not any(item.path.is_relative_to(HERE / place) for place in LONG))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(skipped)} test(s) were skipped, and in CI none may be", red=True)
