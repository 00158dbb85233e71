"""Audio that is passed on between two phones and heard on its way: the descriptions led over the bench, and its ports.

A relay stands in the middle of a call as the media part of a back-to-back user agent does: each phone is told an
address of the bench, and what comes there goes on to where the other phone wants it, byte for byte.
"""

import re

from agents.instruments.packets import Packet, Peer
from agents.instruments.rtp import RtpPort
from agents.instruments.sdp import TELEPHONE_EVENT, MalformedSdp, SessionDescription, parse_sdp
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable

HEARD = frozenset({"PCMU", "PCMA", "G722", "TELEPHONE-EVENT"})
"""What the bench can hear; other formats are left out of what is passed on."""

_NUMBERED = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d{1,3})\b")
_LEADS_PAST = ("a=rtcp:", "a=candidate:", "a=ice-", "a=end-of-candidates", "a=remote-candidates:")
"""Attributes by which media would find its way past the bench."""


class RelayPort(RtpPort):
    """A port that faces one phone: keeps what comes from it, and sends it on from the port that faces the other.

    ``destination``: where its own phone wants to be sent to; None: nowhere. ``unsent`` counts what found no way on.
    """

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.other: RelayPort | None = None
        self.destination: Peer | None = None
        self.unsent = 0

    def pass_on(self, data: bytes) -> None:
        """Send to its own phone what came from the other."""
        if self.destination is None:
            self.unsent += 1
            return
        try:
            self._media().send(data, self.destination)
        except (OSError, Unavailable):
            self.unsent += 1

    def _on_packet(self, packet: Packet) -> None:
        super()._on_packet(packet)
        if self.other is not None:
            self.other.pass_on(packet.data)


def relay_between(host: str, other_host: str, clock: Clock) -> tuple[RelayPort, RelayPort]:
    """Two ports, each facing one phone, that pass on to each other. Raises Unavailable where there is no free one."""
    first = RelayPort(clock=clock).open(host)
    try:
        second = RelayPort(clock=clock).open(other_host)
    except Unavailable:
        first.close()
        raise
    first.other, second.other = second, first
    return first, second


def description_of(body: bytes) -> SessionDescription | None:
    """The description in a body, or None where there is none that can be read."""
    try:
        return parse_sdp(body) if body else None
    except MalformedSdp:
        return None


def led_over(body: bytes, address: Peer) -> bytes:
    """A description whose audio comes to ``address``, without other media and formats that the bench cannot hear.

    Everything else stays as it was sent. What cannot be read is passed on as it is.
    """
    described = description_of(body)
    if described is None:
        return body
    lines = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n").split("\n")
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")] + [len(lines)]
    led = [_here(line, address) for line in lines[: starts[0]] if not line.startswith(_LEADS_PAST)]
    for media, start, end in zip(described.media, starts, starts[1:], strict=False):
        section = lines[start:end]
        kept = [one for one in media.formats if one.encoding in HEARD]
        if media is described.audio and any(one.codec != TELEPHONE_EVENT.codec for one in kept):
            led += _audio(section, address, {str(one.payload_type) for one in kept})
        else:
            led.append(re.sub(r"^(m=\S+) \d+(?:/\d+)?", r"\1 0", section[0]))
    return ("\r\n".join(led) + "\r\n").encode("utf-8", "surrogateescape")


def _audio(section: list[str], address: Peer, kept: set[str]) -> list[str]:
    kind, _, rest = section[0].partition(" ")
    _, protocol, *formats = rest.split()
    formats = [number for number in formats if number in kept]
    led = [f"{kind} {address[1]} {protocol} {' '.join(formats)}"]
    for line in section[1:]:
        numbered = _NUMBERED.match(line)
        if line.startswith(_LEADS_PAST) or (numbered is not None and numbered[1] not in kept):
            continue
        led.append(_here(line, address))
    return led


def _here(line: str, address: Peer) -> str:
    return f"c=IN IP4 {address[0]}" if line.startswith("c=") else line
