"""A test report as pages: PDF to print and keep (PDF/A-2b, by Typst), and HTML that stands alone."""

import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import typst
from jinja2 import Environment, PackageLoader, StrictUndefined

from lab_inventory.outcome import limit_in_words, value_in_words
from orchestrator.lifecycle.verdict import Flag, Grounds, RequirementVerdict, Verdict
from orchestrator.reports.content import TestReport

_PAGES = Environment(
    loader=PackageLoader("orchestrator.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def pdf(report: TestReport) -> bytes:
    """The report as PDF; the same report gives the same bytes."""
    source = resources.files("orchestrator.reports") / "templates" / "report.typ"
    inputs = {"report": report.model_dump_json(), "rows": json.dumps(_rows(report))}
    # Nothing of the file system is within its reach, and no font of this machine makes the pages look otherwise.
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "report.typ"
        alone.write_bytes(source.read_bytes())
        return typst.compile(
            alone,
            root=Path(folder),
            ignore_system_fonts=True,
            sys_inputs=inputs,
            pdf_standards=["a-2b"],
            timestamp=int(report.issued_at.timestamp()),
        )


def html(report: TestReport) -> str:
    """The report as one HTML file without a script."""
    return _PAGES.get_template("report.html").render(r=report.model_dump(mode="json"), rows=_rows(report))


def _rows(report: TestReport) -> list[dict[str, Any]]:
    """For each level a row for each thing that was held against a limit, or for a requirement without any."""
    return [
        {
            "title": level.title,
            "rows": [
                row
                for requirement in level.requirements
                for row in (
                    [
                        {
                            "requirement": requirement.requirement,
                            "quantity": ground.quantity,
                            "value": "no value" if ground.value is None else value_in_words(ground.value, ground.unit),
                            "limit": limit_in_words(ground.limit, ground.unit),
                            "words": ground.words,
                            "verdict": _verdict(ground, requirement),
                        }
                        for ground in requirement.grounds
                    ]
                    or [
                        {
                            "requirement": requirement.requirement,
                            "quantity": requirement.title,
                            "value": "",
                            "limit": "",
                            "words": requirement.words,
                            "verdict": _verdict(requirement, requirement),
                        }
                    ]
                )
            ],
        }
        for level in report.levels
    ]


def _verdict(of: Grounds | RequirementVerdict, requirement: RequirementVerdict) -> str:
    """What something came to with its flags, and that it is waived where it is what falls short."""
    short = of.flags or of.verdict is not Verdict.PASS
    flags = [*of.flags, Flag.WAIVED] if requirement.waiver and short else of.flags
    return " ".join(dict.fromkeys([of.verdict.value, *(flag.value for flag in flags)]))
