"""Words for people made of what came from elsewhere, so that they fit the texts of messages. Pure."""

import re

TEXT_LENGTH_MAX = 2000
LABEL_LENGTH_MAX = 120

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def as_text(words: str) -> str:
    """``words`` as a Text of the wire: on one line, without control characters, cut at its length."""
    return _CONTROL.sub(" ", words)[:TEXT_LENGTH_MAX]


def as_label(words: str) -> str:
    """``words`` as a Label of the wire; what is empty is said to be so."""
    return _CONTROL.sub(" ", words)[:LABEL_LENGTH_MAX] or "(empty)"


def describe(error: BaseException) -> str:
    """An exception on one line: its class and what it says."""
    return as_text(f"{type(error).__name__}: {error}")
