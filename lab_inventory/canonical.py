"""Canonical JSON (RFC 8785) and content addresses (SHA-256). Pure."""

import hashlib
from typing import Any

import rfc8785
from pydantic import BaseModel


def canonical_bytes(value: Any) -> bytes:
    """The one way to write a noun or plain JSON data down: RFC 8785, UTF-8.

    Raises ValueError for what JSON cannot hold (NaN, infinity, integers beyond 2**53).
    """
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return rfc8785.dumps(plain)


def sha256(data: bytes) -> str:
    """The content address of ``data``: ``sha256:`` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """The content address of a noun's canonical JSON."""
    return sha256(canonical_bytes(value))
