"""Answers with a part of what was asked for: a player asks so when somebody moves its cursor (RFC 9110, 14)."""

import re
from collections.abc import Mapping

from fastapi import Response

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def part_of(data: bytes, asked: str, media_type: str, *, headers: Mapping[str, str]) -> Response:
    """The whole, or the one range of bytes that ``asked`` (the header ``Range``) names; 416 where it has none of it.

    A header that is not understood, or names several ranges, is passed over, as 14.2 allows.
    """
    said = {**headers, "Accept-Ranges": "bytes"}
    match = _ONE_RANGE.fullmatch(asked.strip())
    if match is None or not any(match.groups()):
        return Response(data, media_type=media_type, headers=said)
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
    else:  # the last so many bytes
        start, end = max(0, len(data) - int(last)), len(data) - 1
    if first and last and int(last) < int(first):
        return Response(data, media_type=media_type, headers=said)
    if start >= len(data):
        return Response(status_code=416, headers={**said, "Content-Range": f"bytes */{len(data)}"})
    said["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Response(data[start : end + 1], status_code=206, media_type=media_type, headers=said)
