"""The programmes that come with the product. Reads its own files, once."""

from functools import cache
from importlib import resources

from lab_inventory.package_reading import read_package
from lab_inventory.programme import Programme
from lab_inventory.reading import parse_yaml


@cache
def shipped_programmes() -> tuple[Programme, ...]:
    """The programmes that come with the product, in the order of the names of their files and packages."""
    folder = resources.files("lab_inventory") / "programmes"
    found: list[Programme] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            found.append(parse_yaml(entry.read_text(encoding="utf-8"), Programme, source=entry.name))
        elif entry.is_dir() and (entry / "programme.yaml").is_file():
            found.extend(read_package(entry).programmes)
    return tuple(found)
