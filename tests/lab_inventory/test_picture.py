"""A picture only draws: whatever runs, loads or expands is refused when the programme is read."""

import base64
import struct
import zlib

import pytest
from pydantic import ValidationError

from lab_inventory.picture import PICTURE_BYTES_MAX, PNG, SVG, read_picture
from lab_inventory.programme import RequirementCore

CHECK = {
    "quantity": "seen",
    "unit": "bool",
    "limits": {"met": {"equals": True, "source": {"text": "our own", "mark": "our-choice"}}},
}
MANUAL = {"id": "M-1", "title": "It is seen", "criterion": "quality", "instructions": "Look.", "checks": [CHECK]}


def svg(inner: str, before: str = "", attributes: str = "") -> str:
    text = f'{before}<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{inner}</svg>'
    return f"data:{SVG};base64,{base64.b64encode(text.encode()).decode()}"


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def test_a_picture_that_draws_is_read() -> None:
    inner = '<defs><path id="p" d="M0 0L9 9"/></defs><use href="#p"/><g fill="url(#p)"><text>1 m</text></g>'
    assert read_picture(svg(inner)).media_type == SVG
    uri = f"data:{PNG};base64,{base64.b64encode(png()).decode()}"
    assert read_picture(uri).data == png()


@pytest.mark.parametrize(
    "uri",
    [
        svg("<script>alert(1)</script>"),
        svg('<rect onload="alert(1)"/>'),
        svg("", attributes='onload="x()"'),
        svg('<image href="https://example.org/a.png"/>'),
        svg('<use href="https://example.org/a.svg#p"/>'),
        svg('<use xmlns:x="http://www.w3.org/1999/xlink" x:href="data:image/svg+xml;base64,AA=="/>'),
        svg('<rect fill="url(https://example.org/a)"/>'),
        svg("<rect style=\"fill: URL( '//example.org/a')\"/>"),
        svg('<rect style="fill: \\75 rl(//example.org/a)"/>'),
        svg("<foreignObject/>"),
        svg("<style>@import url(//example.org)</style>"),
        svg('<a href="#x"><rect/></a>'),
        svg('<x:script xmlns:x="http://www.w3.org/1999/xhtml"/>'),
        svg("&a;", before='<!DOCTYPE svg [<!ENTITY a "aaaa">]>'),
        svg("", before='<?xml-stylesheet href="https://example.org/a.css"?>'),
        svg("<g>" * 50 + "</g>" * 50),
        svg("<g>"),
        f"data:{SVG};base64,{base64.b64encode(b'<html/>').decode()}",
        f"data:{PNG};base64,{base64.b64encode(b'GIF89a').decode()}",
        f"data:{PNG};base64,{base64.b64encode(png()[:-3]).decode()}",
        f"data:{PNG};base64,AAA",
        "data:text/html;base64,AAAA",
        "https://example.org/a.png",
        "picture.svg",
        svg("x" * PICTURE_BYTES_MAX),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(uri: str) -> None:
    with pytest.raises(ValueError, match="; expected "):
        read_picture(uri)
    with pytest.raises(ValidationError):
        RequirementCore.model_validate(MANUAL | {"picture": uri})


def test_what_is_not_said_leaves_no_trace_in_the_digest() -> None:
    assert {"picture", "timeout_h", "second_person"}.isdisjoint(RequirementCore.model_validate(MANUAL).model_dump())


@pytest.mark.parametrize("said", [{"picture": svg("")}, {"timeout_h": 2}, {"second_person": True}])
def test_how_people_are_asked_goes_with_a_manual_requirement_only(said: dict[str, object]) -> None:
    (name,) = said
    assert name in RequirementCore.model_validate(MANUAL | said).model_dump()
    with pytest.raises(ValidationError, match="is there, and TC-1 measures it"):
        RequirementCore.model_validate({**MANUAL, **said, "case": "TC-1"})


@pytest.mark.parametrize("timeout_h", [0, -1, 9000, float("nan")])
def test_a_timeout_is_between_nothing_and_a_year(timeout_h: float) -> None:
    with pytest.raises(ValidationError):
        RequirementCore.model_validate(MANUAL | {"timeout_h": timeout_h})
