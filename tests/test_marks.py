"""Marks of other owners stand in the files of their programmes and in no other text of the product."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMMES = ROOT / "lab_inventory" / "programmes"
THEIRS = {PROGRAMMES / "skype-for-business", PROGRAMMES / "microsoft-teams"}
QUOTES = ROOT / "agents" / "score" / "shipped"
"""Scores quote the limits of the programmes that they were made with."""
MARKS = re.compile(r"Skype|Microsoft|Lync\b|\bTeams\b|SfB\b")
TEXT = {".py", ".yaml", ".yml", ".md", ".html", ".css", ".js", ".json", ".toml", ".txt", ".service", ".rules", ".sh"}
FOLDERS = ("agents", "deploy", "docs", "lab_inventory", "orchestrator")


def texts() -> list[Path]:
    """Every text of the product: what is shipped and what documents it."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    mine = [path for path in files if not {*THEIRS, QUOTES} & set(path.parents)]
    return [path for path in mine if path.suffix in TEXT or path.name in ("LICENSE", "Makefile")]


def test_no_other_text_of_the_product_uses_the_marks() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKS.search(line)
    ]
    assert found == []


def test_the_search_finds_the_marks_where_they_are() -> None:
    assert len(texts()) > 200
    for folder in THEIRS:
        assert MARKS.search((folder / "programme.yaml").read_text(encoding="utf-8"))
