"""The session description of one call: offers, answers, and what was agreed on (RFC 3264, RFC 8866). Pure.

Audio in PCMU, PCMA, G.722 or Opus with telephone events; every other section of an offer is refused.
"""

import re
from dataclasses import dataclass

from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.dtls import HASHES
from agents.simulated.reference_phone.message import Unreadable
from agents.simulated.reference_phone.srtp import crypto_line, read_crypto

SPOKEN = {9: "G722/8000", 0: "PCMU/8000", 8: "PCMA/8000", 111: "opus/48000/2", 101: "telephone-event/8000"}
EVENT = "telephone-event/8000"
NEVER_OFFERED = 18
CLEAR = "RTP/AVP"
SECURED = "RTP/SAVP"
BY_DTLS = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
NOWHERE = "0.0.0.0"  # noqa: S104 - the hold of RFC 2543 (RFC 3264, 8.4), nothing is bound to it
_MEDIA = re.compile(r"m=(\S+) (\d{1,5})(?:/\d+)? (\S+)((?: \S+)+)")
_RTPMAP = re.compile(r"a=rtpmap:(\d{1,3})\s+([^/\s]+/\d+(?:/[2-9])?)(?:/1)?\s*")
_CONNECTION = re.compile(r"c=IN IP4 (\d{1,3}(?:\.\d{1,3}){3})(?:/\d+)*\s*")
_FINGERPRINT = re.compile(r"a=fingerprint:(\S+)\s+((?:[0-9A-F]{2}:)+[0-9A-F]{2})\s*", re.IGNORECASE)
_OF_DTLS = ("a=fingerprint:", "a=setup:")
_LINE = re.compile(r"[a-z]=.*")
_DIRECTIONS = {
    "sendrecv": (True, True),
    "sendonly": (True, False),
    "recvonly": (False, True),
    "inactive": (False, False),
}


def direction(sends: bool, receives: bool) -> str:
    """The attribute for what a side does."""
    return next(word for word, pair in _DIRECTIONS.items() if pair == (sends, receives))


@dataclass(frozen=True, kw_only=True)
class Section:
    """One m= section of the other side."""

    line: str
    kind: str
    port: int
    protocol: str
    formats: tuple[tuple[int, str], ...]
    """Payload type and name/clock, in order of preference; numbers without a name that is known are left out."""
    host: str
    sends: bool
    receives: bool
    lines: tuple[str, ...]

    @property
    def codec(self) -> tuple[int, str] | None:
        """The first codec that the phone speaks too."""
        return next((found for found in self.formats if found[1] != EVENT), None)

    @property
    def key(self) -> tuple[int, bytes] | None:
        """Tag and master of the first key that the phone can use; raises Unreadable."""
        return next((found for line in self.lines if (found := read_crypto(line)) is not None), None)

    @property
    def fingerprints(self) -> tuple[tuple[str, bytes], ...]:
        """Hash and bytes of each fingerprint whose hash is known (RFC 8122, 5)."""
        read = [found for found in map(_FINGERPRINT.fullmatch, self.lines) if found]
        told = ((found[1].lower(), bytes.fromhex(found[2].replace(":", ""))) for found in read)
        return tuple((name, value) for name, value in told if name in HASHES)

    @property
    def begins(self) -> bool:
        """Whether the other side begins the handshake of DTLS: only where it says that it is active (RFC 5763, 5)."""
        return any(line.strip() == "a=setup:active" for line in self.lines)

    @property
    def report_port(self) -> int:
        """Where RTCP goes: the next port, or what is told (RFC 3605, 2.1)."""
        told = next((line.removeprefix("a=rtcp:").split()[0] for line in self.lines if line.startswith("a=rtcp:")), "")
        return int(told) if told.isdecimal() and 0 < int(told) < 1 << 16 else self.port + 1

    @property
    def event(self) -> int | None:
        """The payload type of telephone events."""
        return next((number for number, name in self.formats if name == EVENT), None)


def read_sections(body: bytes) -> tuple[Section, ...]:
    """The sections of a description; raises Unreadable."""
    lines = [line for line in body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n") if line]
    if not lines or lines[0] != "v=0" or any(not _LINE.fullmatch(line) for line in lines):
        raise Unreadable("the session description does not begin with v=0, or a line is not letter=value")
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return tuple(_section(part, parts[0]) for part in parts[1:])


def _section(part: list[str], head: list[str]) -> Section:
    match = _MEDIA.fullmatch(part[0].rstrip())
    if match is None or int(match[2]) > 65535:
        raise Unreadable("an m= line cannot be read")
    named = {found[1]: found[2] for found in map(_RTPMAP.fullmatch, part) if found}
    spoken = {name.lower(): name for name in SPOKEN.values()}
    static = {str(number): name for number, name in SPOKEN.items() if number < 96}
    formats = []
    for number in match[4].split():
        name = spoken.get(named.get(number, static.get(number, "")).lower())
        if name is not None and number.isdecimal() and int(number) < 128:
            formats.append((int(number), name))
    hosts = [found[1] for line in (*part, *head) if (found := _CONNECTION.fullmatch(line))]
    words = [line[2:].strip() for line in (*part, *head) if line[2:].strip() in _DIRECTIONS]
    sends, receives = _DIRECTIONS[words[0]] if words else (True, True)
    host = hosts[0] if hosts else ""
    return Section(
        line=part[0], kind=match[1], port=int(match[2]), protocol=match[3], formats=tuple(formats), host=host,
        sends=sends, receives=receives and host != NOWHERE,
        lines=(*part, *[line for line in head if line.startswith(_OF_DTLS)]),
    )  # fmt: skip


@dataclass(kw_only=True)
class Session:
    """The phone's side of one call: what it describes, and ``remote``, the audio of the other side."""

    host: str
    port: int
    identity: int
    behaviour: Behaviour
    master: bytes
    """Key and salt of the phone's audio, where it is secured."""
    secures: bool = False
    """Whether it is to be secured, whatever the other side wants."""
    by_dtls: bool = False
    """Whether it is then offered with DTLS and not with the key in the description."""
    fingerprint: str = ""
    """Of the phone's certificate, as it is told."""
    version: int = 0
    holding: bool = False
    remote: Section | None = None
    _last: str = ""
    _offered: tuple[tuple[int, str], ...] = tuple(SPOKEN.items())

    @property
    def transport(self) -> str:
        """The transport of the audio: as it was agreed on, or else as it is offered."""
        if self.remote is not None:
            return self.remote.protocol
        return (BY_DTLS[0] if self.by_dtls else SECURED) if self.secures else CLEAR

    @property
    def secured(self) -> bool:
        """Whether the audio is under keys that stand in the descriptions."""
        return self.transport == SECURED

    @property
    def keyed_by_dtls(self) -> bool:
        """Whether the audio is under keys that a handshake gives."""
        return self.transport in BY_DTLS

    @property
    def sends(self) -> bool:
        """Whether audio goes out: neither side holds."""
        if self.remote is None or self.remote.port == 0 or self.holding:
            return False
        return self.remote.receives or not self.behaviour.silent_when_held

    def offer(self) -> bytes:
        """The phone's offer: what it speaks; on hold sendonly, or inactive where the other side holds too (8.4)."""
        held = self.remote is not None and not self.remote.receives
        way = direction(not held, not self.holding)
        if self.remote is not None and not self.holding:
            way = "sendrecv"
        if not self.behaviour.hold_direction:
            way = "sendrecv"
        return self._describe([self._audio(self._offered, way)])

    def take_answer(self, body: bytes) -> None:
        """Take the answer to the phone's offer; raises Unreadable where no audio is agreed on."""
        sections = read_sections(body)
        audio = next((found for found in sections if found.kind == "audio" and found.port and found.codec), None)
        if audio is None:
            raise Unreadable("the answer takes no audio")
        if audio.protocol != self.transport or (self.secured and audio.key is None):
            raise Unreadable("the answer has another transport than was offered, or no key")
        self.remote = audio

    def answer(self, body: bytes) -> bytes | None:
        """The answer to an offer, which is taken with it; None where nothing is common (6). Raises Unreadable."""
        sections = read_sections(body)
        chosen = next((found for found in sections if self._usable(found)), None)
        if chosen is None:
            return None
        self.remote = chosen
        self._offered = chosen.formats
        ours: list[list[str]] = []
        for found in sections:
            if found is not chosen:
                ours.append([f"m={found.kind} 0 {found.protocol} {found.line.split()[3]}"])
                continue
            ours.append(self._audio(chosen.formats, self._answered_way(chosen)))
        return self._describe(ours if self.behaviour.answers_every_section else ours[1:])

    def _answered_way(self, offered: Section) -> str:
        way = direction(offered.receives, offered.sends and not self.holding)
        if not self.behaviour.hold_direction or (not self.behaviour.answers_inactive and way == "inactive"):
            return "sendrecv"
        return way

    def _usable(self, found: Section) -> bool:
        if found.kind != "audio" or not found.port or found.codec is None:
            return False
        if found.protocol == SECURED:
            return found.key is not None
        if found.protocol in BY_DTLS:
            return bool(found.fingerprints)
        return found.protocol == CLEAR and not (self.secures and self.behaviour.refuses_clear_audio)

    def _audio(self, formats: tuple[tuple[int, str], ...], way: str) -> list[str]:
        numbers = [str(number) for number, _ in formats]
        answers = self.remote is not None
        if answers and not self.behaviour.answers_with_offered_only:
            numbers.append(str(NEVER_OFFERED))
        lines = [f"m=audio {self.port} {self.transport} {' '.join(numbers)}"]
        if self.secured:
            theirs = self.remote.key if self.remote is not None else None
            lines.append(crypto_line(theirs[0] if theirs else 1, self.master))
        if self.keyed_by_dtls:
            setup = "actpass" if self.remote is None else "passive" if self.remote.begins else "active"
            lines += [f"a=fingerprint:{self.fingerprint}", f"a=setup:{setup}"]
        lines += [f"a=rtpmap:{number} {name}" for number, name in formats]
        lines += [f"a=fmtp:{number} 0-15" for number, name in formats if name == EVENT]
        return [*lines, "a=ptime:20", f"a={way}"]

    def _describe(self, sections: list[list[str]]) -> bytes:
        """The text; the version in o= goes up by one when it is not what was said before (8)."""
        text = "\r\n".join(line for section in sections for line in section)
        if text != self._last:
            self.version, self._last = self.version + 1, text
        head = ["v=0", f"o=phone {self.identity} {self.version} IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}"]
        return "\r\n".join([*head, "t=0 0", text, ""]).encode()

    def could_answer(self, body: bytes) -> bool:
        """Whether an offer has something that the phone speaks; raises Unreadable."""
        return any(self._usable(found) for found in read_sections(body))
