"""The page of ``assay rejudge``: one file that stands by itself, its style in it. Takes plain data, gives HTML."""

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def page(report: dict[str, Any]) -> str:
    """``report`` as ``assay rejudge --json`` prints it, as a page."""
    made = Environment(
        loader=PackageLoader("orchestrator.web", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("orchestrator.web") / "static" / "assay.css").read_text(encoding="utf-8")
    return made.get_template("rejudged.html").render(report=report, style=style)
