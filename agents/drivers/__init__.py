"""The port of phone drivers: they press keys, and nothing else. What a phone did is for the instruments to see.

Drivers are found through the entry-point group ``assay.drivers``: a name, and a class that meets :class:`PhoneDriver`
with two members of the class itself, ``name`` and ``recognises``.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import entry_points
from typing import ClassVar, Protocol

from agents.measure import LabError
from lab_inventory.device import Product


class DriverUnreachable(LabError):
    """The phone's control cannot be reached"""

    slug = "driver-unreachable"


class DriverRefused(LabError):
    """The phone's control does not take this"""

    slug = "driver-refused"


class Srtp(StrEnum):
    """How a phone's account is told to protect its audio with keys in the session description (RFC 4568)."""

    OFF = "off"
    MANDATORY = "mandatory"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A SIP server as it is entered into a phone, with the account to use there.

    ``uri``: ``sip:HOST:PORT`` with ``;transport=tcp`` or ``;transport=tls`` where it is not UDP.
    """

    uri: str
    user: str
    password: str = field(repr=False)
    srtp: Srtp = Srtp.OFF


class PhoneDriver(Protocol):
    """Presses the keys of one phone.

    The contract, which tests hold over every implementation: each verb returns None when the key was pressed; within
    5 s it raises DriverUnreachable where nobody answers, DriverRefused where the press was not taken. It never says
    what the phone did. ``reset`` and ``close`` may be called at any time and more than once.
    """

    name: ClassVar[str]

    def __init__(self, control: str) -> None:
        """``control``: the address in the lab file's slot, ``host:port``."""
        ...

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """Maker, model and firmware, where this driver knows the maker of a phone by what it says on the wire."""
        ...

    async def open(self) -> None:
        """Connect to the control."""
        ...

    async def close(self) -> None:
        """Let go of the control; the phone stays as it is."""
        ...

    async def dial(self, uri: str) -> None:
        """Dial a SIP URI and press the call key."""
        ...

    async def answer(self) -> None:
        """Take the call that rings."""
        ...

    async def hang_up(self) -> None:
        """End, refuse or give up the call."""
        ...

    async def hold(self) -> None:
        """Put the call on hold."""
        ...

    async def resume(self) -> None:
        """Take the held call back."""
        ...

    async def press_keys(self, digits: str) -> None:
        """Press digits (0-9, *, #, A-D) in a call, one after the other."""
        ...

    async def transfer(self, uri: str) -> None:
        """Transfer the call to a SIP URI without asking there first (blind)."""
        ...

    async def consult(self, uri: str) -> None:
        """Hold the call and dial a SIP URI, to ask there before the call is transferred."""
        ...

    async def complete_transfer(self) -> None:
        """Transfer the call that is held to the one that was dialled by ``consult`` (attended)."""
        ...

    async def use_server(self, server: Server | None) -> None:
        """Enter another SIP server into the phone, which then registers there and calls from there; whether it stays
        registered at its own as well is open. None: take it out again, and back to the phone's own.

        DriverRefused where the phone's control cannot do this.
        """
        ...

    async def reset(self) -> None:
        """Hang up everything and go back to the phone's own server: the idle state."""
        ...


def installed_drivers() -> dict[str, type[PhoneDriver]]:
    """Every driver that is installed, by name."""
    return {entry.name: entry.load() for entry in entry_points(group="assay.drivers")}
