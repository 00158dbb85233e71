"""One torture message: what is odd about it, what is due to it, and how its bytes are built. Pure.

Takes a scene (whom it goes to, who sends it, a mark of its own), gives bytes. The mark stands in the branch, the From
tag and the Call-ID, so that whatever comes back can be told from the answers to every other message, even where the
message lacks one of the three.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.instruments.packets import Peer


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a message is built for: the phone's contact URI, the bench's address, a unique mark, an SDP offer."""

    target: str
    own: Peer
    mark: str
    offer: bytes

    @property
    def host(self) -> str:
        """The bench's address as ``host:port``."""
        return f"{self.own[0]}:{self.own[1]}"

    @property
    def via(self) -> str:
        """An ordinary Via value."""
        return f"SIP/2.0/UDP {self.host};branch=z9hG4bK{self.mark};rport"

    @property
    def sender(self) -> str:
        """An ordinary From value."""
        return f"<sip:bench@{self.host}>;tag={self.mark}"


_RINGING = frozenset(range(180, 184))


@dataclass(frozen=True, kw_only=True)
class Due:
    """What may come back: one of these statuses, or also nothing. The first answer above 100 counts."""

    statuses: frozenset[int] = frozenset()
    silence: bool = False

    def allows(self, came: int | None) -> bool:
        """Whether this status, or no answer (None), is as it should be."""
        return self.silence if came is None else came in self.statuses

    @property
    def refuses(self) -> bool:
        """Whether only a failure may come."""
        return bool(self.statuses) and min(self.statuses) >= 300

    def __or__(self, other: "Due") -> "Due":
        return Due(statuses=self.statuses | other.statuses, silence=self.silence or other.silence)

    def __str__(self) -> str:
        words = [str(status) for status in sorted(self.statuses - _RINGING)]
        if self.statuses & _RINGING:
            words.insert(0, "180 to 183")
        if self.silence:
            words.append("no answer")
        return " or ".join(words)


def due(*statuses: int) -> Due:
    """One of these statuses."""
    return Due(statuses=frozenset(statuses))


SILENCE = Due(silence=True)
RINGS = due(*_RINGING, 200)
"""The call is taken (RFC 3261, 13.3.1.1)."""
ANSWERS = due(200, 486)
"""OPTIONS is answered as an INVITE would be (RFC 3261, 11.2)."""
BAD = due(400)
NO_METHOD = due(405, 501)
"""405 by RFC 3261, 8.2.1; 501 by 21.5.2 where the method is not even recognised."""


@dataclass(frozen=True, kw_only=True)
class TortureMessage:
    """``odd`` says in a sentence what is odd, ``clause`` where what is ``due`` is written, ``valid`` whether it is SIP.

    ``brings`` names headers that the answer must have.
    """

    slug: str
    odd: str
    clause: str
    due: Due
    valid: bool
    build: Callable[[Scene], bytes]
    brings: tuple[str, ...] = ()


def request(
    scene: Scene,
    method: str = "OPTIONS",
    *,
    start_line: str | None = None,
    headers: Mapping[str, str | None] | None = None,
    extra: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """A right request with what is odd put in: ``headers`` replaces values (None leaves the header out), ``extra`` are
    put before Content-Length, ``start_line`` replaces the first line.
    """
    values: dict[str, str | None] = {
        "Via": scene.via,
        "Max-Forwards": "70",
        "From": scene.sender,
        "To": f"<{scene.target}>",
        "Call-ID": scene.mark,
        "CSeq": f"1 {method}",
        "Contact": f"<sip:bench@{scene.host}>",
    }
    if body:
        values["Content-Type"] = "application/sdp"
    values |= headers or {}
    length = values.pop("Content-Length", str(len(body)))
    written = [*values.items(), *extra, ("Content-Length", length)]
    lines = [start_line if start_line is not None else f"{method} {scene.target} SIP/2.0"]
    lines += [f"{name}: {value}" for name, value in written if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def invite(
    scene: Scene,
    *,
    start_line: str | None = None,
    headers: Mapping[str, str | None] | None = None,
    extra: Sequence[tuple[str, str]] = (),
) -> bytes:
    """As :func:`request`, an INVITE with an offer."""
    return request(scene, "INVITE", start_line=start_line, headers=headers, extra=extra, body=scene.offer)


def response(scene: Scene, status_line: str, headers: Mapping[str, str | None] | None = None) -> bytes:
    """A response to a request that the phone never sent."""
    return request(scene, "INVITE", start_line=status_line, headers={"Max-Forwards": None, **(headers or {})})
