"""The example of docs/how-to/new-driver.md as files, so that tests do what the page says."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "new-driver.md"
_FILE = re.compile(r"^`([\w.]+)`:(?:[^`\n]|`[^`\n]+`)*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_example(folder: Path) -> Path:
    """Every file of the page, written into a folder."""
    files = dict(_FILE.findall(PAGE.read_text()))
    assert sorted(files) == ["acme_driver.py", "pyproject.toml", "test_acme_driver.py"]
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
