"""Pictures of manual requirements: a PNG or SVG as a data URI, so that it is part of what it explains. Pure.

A picture names no address and runs nothing: an SVG has only elements and attributes that draw.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from xml.parsers import expat

PICTURE_BYTES_MAX = 65_536
PICTURE_CHARACTERS_MAX = PICTURE_BYTES_MAX * 4 // 3 + 64
PNG, SVG = "image/png", "image/svg+xml"
SVG_DEPTH_MAX = 40

_URI = re.compile(r"data:(image/png|image/svg\+xml);base64,([A-Za-z0-9+/]+={0,2})")
_PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
_NAMESPACES = frozenset({"http://www.w3.org/2000/svg"})
_DRAWN = """
svg g defs title desc symbol use path rect circle ellipse line polyline polygon text tspan marker
linearGradient radialGradient stop clipPath mask pattern
"""
_DRAWS = frozenset(_DRAWN.split())
_EXPECTED = "a PNG or SVG as data:image/png;base64,… or data:image/svg+xml;base64,…"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture; ``media_type`` is :data:`PNG` or :data:`SVG`."""

    media_type: str
    data: bytes


def read_picture(uri: str) -> Picture:
    """The picture of a data URI; raises ValueError that says what is wrong and what was expected."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError(f"is no data URI of a picture; expected {_EXPECTED}")
    try:
        data = base64.b64decode(match[2], validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not base64; expected {_EXPECTED}") from error
    if len(data) > PICTURE_BYTES_MAX:
        raise ValueError(f"is {len(data)} bytes long; expected at most {PICTURE_BYTES_MAX}")
    wrong = _against_svg(data) if match[1] == SVG else _against_png(data)
    if wrong:
        raise ValueError(f"{wrong}; expected a picture that only draws")
    return Picture(media_type=match[1], data=data)


def _against_png(data: bytes) -> str:
    whole = data.startswith(_PNG_BEGINS) and data.endswith(b"IEND\xaeB`\x82")
    return "" if whole else "is no whole PNG"


def _against_svg(data: bytes) -> str:
    """Why an SVG is not shown, or nothing. Entities, and with them their expansion, are refused before they are met."""
    found: list[str] = []
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        namespace, _, local = name.rpartition(" ")
        if namespace not in _NAMESPACES or local not in _DRAWS:
            found.append(f"has the element {local[:40]}")
        if depth == 1 and local != "svg":
            found.append("is no SVG")
        if depth > SVG_DEPTH_MAX:
            found.append(f"is nested deeper than {SVG_DEPTH_MAX} elements")
        for key, value in attributes.items():
            plain = key.rpartition(" ")[2].lower()
            if plain.startswith("on"):
                found.append(f"has the attribute {plain[:40]}")
            if plain in ("href", "src") and not value.strip().startswith("#"):
                found.append(f"names another address in {plain}")
            if "url(" in value.lower().replace(" ", "") and not _only_inner(value):
                found.append(f"names another address in {plain[:40]}")
            if plain == "style" and ("\\" in value or "@" in value):
                found.append("has a style that cannot be read simply")

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        found.append("has a document type or a processing instruction")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        return found[0] if found else f"is no XML: {error}"
    return found[0] if found else ""


def _only_inner(value: str) -> bool:
    """Whether every ``url(…)`` of a value names a part of the same picture."""
    urls = re.findall(r"url\(\s*['\"]?\s*(.)", value, re.IGNORECASE)
    return len(urls) == len(re.findall(r"url\s*\(", value, re.IGNORECASE)) and all(one == "#" for one in urls)
