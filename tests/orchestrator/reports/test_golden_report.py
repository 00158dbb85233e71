"""A report as it was issued once, byte for byte: what changes here changes for everybody who keeps reports.

PYTHONPATH=.:tests/orchestrator:tests/orchestrator/reports python -m tests.orchestrator.reports.test_golden_report
writes both files anew.
"""

import json
from pathlib import Path

from on_record import NOW, SHEET, recorded

from lab_inventory.clock import ManualClock
from orchestrator.reports.content import TestReport, compose
from orchestrator.reports.rendering import html

GOLDEN = Path(__file__).parents[2] / "golden"


def made() -> tuple[str, str]:
    """The report as JSON and as a page."""
    report = compose(recorded(), SHEET, "anna", NOW, ManualClock().new_id)
    assert isinstance(report, TestReport)
    return json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", html(report)


def test_a_report_is_the_golden_one_as_json_and_as_a_page() -> None:
    as_json, as_page = made()
    assert as_json == (GOLDEN / "report.json").read_text(encoding="utf-8")
    assert as_page == (GOLDEN / "report.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    for name, text in zip(("report.json", "report.html"), made(), strict=True):
        (GOLDEN / name).write_text(text, encoding="utf-8")
