"""Torture messages for a phone, in the spirit of RFC 4475: built here from what its cases describe, and some more.

``MESSAGES`` has them in the order they are sent, ``ANSWERS`` odd answers to calls of the phone. What is sent to whom
and what comes of it is for the suite.
"""

from agents.instruments.torture.answers import ANSWERS, TortureAnswer
from agents.instruments.torture.invalid import INVALID
from agents.instruments.torture.meaning import MEANING
from agents.instruments.torture.message import Due, Scene, TortureMessage
from agents.instruments.torture.valid import VALID

MESSAGES: tuple[TortureMessage, ...] = (*VALID, *INVALID, *MEANING)

__all__ = ["ANSWERS", "MESSAGES", "Due", "Scene", "TortureAnswer", "TortureMessage"]
