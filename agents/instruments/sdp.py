"""Session descriptions of audio calls: read, build, and compare an answer with its offer. Pure.

Takes and gives SDP text (RFC 8866) in the offer/answer model (RFC 3264). The text as sent is kept.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from agents.instruments.dtls_sdp import DTLS_TRANSPORTS, Fingerprint, MalformedFingerprint, Setup, read_fingerprint
from agents.instruments.packets import Peer
from agents.instruments.sdes import Crypto, MalformedCrypto, answer_faults, read_crypto
from lab_inventory.errors import BadInput

LINES_MAX = 500
PLAIN, SECURED = "RTP/AVP", "RTP/SAVP"
"""Audio in clear (RFC 3551) and with SRTP (RFC 3711, 12)."""
_RTPMAP = re.compile(r"(\d{1,3}) ([^/ ]+)/(\d{1,6})(?:/(\d{1,2}))?(?:/.*)?")
_FMTP = re.compile(r"(\d{1,3}) (.+)")
_MEDIA = re.compile(r"(\S+) (\d{1,5})(?:/\d+)? (\S+) (.+)")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_CONNECTION = re.compile(rf"IN IP4 ({_OCTET}(?:\.{_OCTET}){{3}})")


class MalformedSdp(BadInput):
    """The session description cannot be read"""

    slug = "malformed-sdp"


class MediaDirection(StrEnum):
    """Seen from the side that says it (RFC 8866, 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether this side may send."""
        return self in {MediaDirection.SENDRECV, MediaDirection.SENDONLY}

    @property
    def receives(self) -> bool:
        """Whether this side wants to receive."""
        return self in {MediaDirection.SENDRECV, MediaDirection.RECVONLY}

    def answer(self) -> "MediaDirection":
        """The widest answer to an offer of this direction (RFC 3264, 6.1)."""
        mirrored = {MediaDirection.SENDONLY: MediaDirection.RECVONLY, MediaDirection.RECVONLY: MediaDirection.SENDONLY}
        return mirrored.get(self, self)


@dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """One RTP payload type: encoding name in upper case, RTP clock in Hz, channels, format parameters."""

    payload_type: int
    encoding: str
    clock_hz: int = 8000
    parameters: str = ""
    channels: int = 1

    @property
    def codec(self) -> tuple[str, int, int]:
        """What two sides mean by the same format, whatever number they give it (RFC 8866, 6.6)."""
        return (self.encoding, self.clock_hz, self.channels)


PCMU = AudioFormat(payload_type=0, encoding="PCMU")
PCMA = AudioFormat(payload_type=8, encoding="PCMA")
# The clock of G.722 is 8000 though it samples at 16 kHz (RFC 3551, 4.5.2).
G722 = AudioFormat(payload_type=9, encoding="G722")
TELEPHONE_EVENT = AudioFormat(payload_type=101, encoding="TELEPHONE-EVENT", parameters="0-15")
# Always 48000 and 2 channels, whatever is sent (RFC 7587, 7); what the parameters tell is that we want one channel.
OPUS = AudioFormat(payload_type=111, encoding="OPUS", clock_hz=48_000, channels=2, parameters="sprop-stereo=0;stereo=0")
_NAMES = {"TELEPHONE-EVENT": "telephone-event", "OPUS": "opus"}
"""As they are registered (RFC 4733, RFC 7587): names are compared without case, but not by every phone."""
_STATIC = {format_.payload_type: format_ for format_ in (PCMU, PCMA, G722)}


@dataclass(frozen=True, kw_only=True)
class Media:
    """One m= section: where it wants its packets, its formats in order of preference, its direction.

    ``keys``: those of its crypto attributes that the bench can use; ``key_faults``: why it cannot use the others, nor
    other fingerprints than those in ``fingerprints``. ``setup``: who begins the handshake of DTLS.
    """

    kind: str
    port: int
    protocol: str
    host: str | None
    formats: tuple[AudioFormat, ...]
    direction: MediaDirection
    ptime_ms: int | None
    keys: tuple[Crypto, ...] = ()
    key_faults: tuple[str, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    report_port: int | None = None
    """Where it wants RTCP, if it is told and not the next port (RFC 3605)."""

    @property
    def accepted(self) -> bool:
        """Whether the section is in use: port 0 refuses it (RFC 3264, 6)."""
        return self.port != 0

    @property
    def destination(self) -> Peer | None:
        """Where RTP goes; None when refused or without an address."""
        return (self.host, self.port) if self.accepted and self.host else None

    @property
    def report_destination(self) -> Peer | None:
        """Where RTCP goes; None where RTP goes nowhere."""
        return (self.host, self.report_port or self.port + 1) if self.accepted and self.host else None

    def format(self, payload_type: int) -> AudioFormat | None:
        """The format with this payload type."""
        return next((found for found in self.formats if found.payload_type == payload_type), None)


@dataclass(frozen=True, kw_only=True)
class SessionDescription:
    """A whole description: the text as sent and its m= sections in order."""

    text: str
    origin: str
    media: tuple[Media, ...]

    @property
    def audio(self) -> Media | None:
        """The first audio section that is in use."""
        return next((media for media in self.media if media.kind == "audio" and media.accepted), None)


def parse_sdp(body: bytes) -> SessionDescription:
    """Read a description. Raises MalformedSdp; lines that are not understood are passed over."""
    text = body.decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > LINES_MAX:
        raise MalformedSdp(f"more than {LINES_MAX} lines")
    if any(len(line) < 2 or line[1] != "=" for line in lines):
        raise MalformedSdp("a line is not letter=value (RFC 8866, 5)")
    if lines[0] != "v=0":
        raise MalformedSdp("the first line is not v=0 (RFC 8866, 5.1)")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    head, *media = sections
    origin = next((line[2:] for line in head if line.startswith("o=")), None)
    if origin is None:
        raise MalformedSdp("o= is missing (RFC 8866, 5.2)")
    return SessionDescription(text=text, origin=origin, media=tuple(_parse_media(section, head) for section in media))


def answer_problems(offer: SessionDescription, answer: SessionDescription) -> tuple[str, ...]:
    """What is wrong with an answer to this offer, each with its clause; empty when nothing is (RFC 3264, 6 and 6.1).

    Formats are compared by encoding and clock. A format that was not offered is named as a problem: RFC 3264, 6.1 lets
    an answer list one beside a common one, but the offerer may then be sent what it never said it can hear.
    """
    if len(offer.media) != len(answer.media):
        return (f"{len(answer.media)} m= lines answer {len(offer.media)} (RFC 3264, 6)",)
    problems: list[str] = []
    for offered, answered in zip(offer.media, answer.media, strict=True):
        if (offered.kind, offered.protocol) != (answered.kind, answered.protocol):
            problems.append("kind of media or transport is not the one offered (RFC 3264, 6)")
        if not answered.accepted:
            continue
        if answered.host is None:
            problems.append("no connection address (RFC 8866, 5.7)")
        if offered.keys and answered.protocol == SECURED:
            problems.extend(answer_faults(offered.keys, answered.keys))
        if answered.protocol in DTLS_TRANSPORTS:
            problems.extend(_dtls_answer_faults(offered, answered))
        known = {format_.codec for format_ in offered.formats}
        strange = [format_.encoding for format_ in answered.formats if format_.codec not in known]
        if strange:
            problems.append(f"formats that were not offered: {', '.join(strange)} (RFC 3264, 6.1)")
        if not any(format_.codec in known and format_.encoding != "TELEPHONE-EVENT" for format_ in answered.formats):
            problems.append("no codec of the offer (RFC 3264, 6.1)")
        if (answered.direction.sends and not offered.direction.receives) or (
            answered.direction.receives and not offered.direction.sends
        ):
            problems.append(f"{answered.direction} does not answer {offered.direction} (RFC 3264, 6.1)")
    return tuple(problems)


@dataclass(frozen=True, kw_only=True)
class LocalAudio:
    """The audio side of the bench in one call: where it listens, what it speaks, and its key where it speaks SRTP.

    ``fingerprint``: of its certificate, where SRTP is keyed by DTLS; ``setup`` says then who begins.
    """

    host: str
    port: int
    formats: tuple[AudioFormat, ...]
    ptime_ms: int = 20
    key: Crypto | None = None
    fingerprint: Fingerprint | None = None
    setup: Setup = Setup.ACTPASS
    dtls_transport: str = DTLS_TRANSPORTS[0]

    def describe(
        self,
        *,
        version: int,
        direction: MediaDirection = MediaDirection.SENDRECV,
        formats: tuple[AudioFormat, ...] | None = None,
    ) -> bytes:
        """The description with this version number in its o= line; ``formats`` narrows what is spoken."""
        spoken = self.formats if formats is None else formats
        transport = SECURED if self.key else self.dtls_transport if self.fingerprint else PLAIN
        lines = [
            "v=0",
            f"o=bench {self.port} {version} IN IP4 {self.host}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.port} {transport} {' '.join(str(format_.payload_type) for format_ in spoken)}",
        ]
        for format_ in spoken:
            name = _NAMES.get(format_.encoding, format_.encoding)
            channels = f"/{format_.channels}" if format_.channels != 1 else ""
            lines.append(f"a=rtpmap:{format_.payload_type} {name}/{format_.clock_hz}{channels}")
            if format_.parameters:
                lines.append(f"a=fmtp:{format_.payload_type} {format_.parameters}")
        if self.key is not None:
            lines.append(f"a=crypto:{self.key.attribute()}")
        elif self.fingerprint is not None:
            lines += [f"a=fingerprint:{self.fingerprint.attribute()}", f"a=setup:{self.setup}"]
        lines += [f"a=ptime:{self.ptime_ms}", f"a={direction}"]
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")

    def answer(self, offer: SessionDescription, *, version: int) -> bytes | None:
        """Our answer: common formats under the offer's numbers, direction mirrored, and the first key we can use.

        None where no codec is common, or the transport is not one we speak here (RFC 3264, 6).
        """
        audio = offer.audio
        if audio is None or len(offer.media) != 1:
            return None
        known = {format_.codec: format_ for format_ in self.formats}
        # The parameters of Opus say what their own side wants to receive and are not echoed (RFC 7587, 7.1).
        common = tuple(
            replace(format_, parameters=known[format_.codec].parameters) if format_.codec == OPUS.codec else format_
            for format_ in audio.formats
            if format_.codec in known
        )
        if not any(format_.encoding != "TELEPHONE-EVENT" for format_ in common):
            return None
        spoken = replace(self, key=None, fingerprint=None)
        if audio.protocol == SECURED and self.key is not None and audio.keys:
            spoken = replace(spoken, key=replace(self.key, tag=audio.keys[0].tag, suite=audio.keys[0].suite))
        elif audio.protocol in DTLS_TRANSPORTS and self.fingerprint is not None and audio.fingerprints:
            ours = (audio.setup or Setup.ACTIVE).answer()  # without a=setup the offerer is active (RFC 4145, 4.1)
            spoken = replace(spoken, fingerprint=self.fingerprint, setup=ours, dtls_transport=audio.protocol)
        elif audio.protocol != PLAIN:
            return None
        return spoken.describe(version=version, direction=audio.direction.answer(), formats=common)


def _parse_media(section: list[str], head: list[str]) -> Media:
    match = _MEDIA.fullmatch(section[0][2:])
    if match is None:
        raise MalformedSdp("an m= line is not kind, port, protocol and formats (RFC 8866, 5.14)")
    if int(match[2]) > 65535:
        raise MalformedSdp("the port of an m= line is above 65535")
    attributes = [line[2:] for line in section if line.startswith("a=")]
    maps = (_RTPMAP.fullmatch(line.removeprefix("rtpmap:")) for line in attributes)
    named = {int(found[1]): found for found in maps if found}
    told = (_FMTP.fullmatch(line.removeprefix("fmtp:")) for line in attributes)
    parameters = {int(match[1]): match[2] for match in told if match}
    formats: list[AudioFormat] = []
    for number in (int(word) for word in match[4].split() if word.isdecimal() and len(word) <= 3):
        if number in named:
            encoding, clock_hz, channels = named[number][2].upper(), int(named[number][3]), int(named[number][4] or 1)
        elif number in _STATIC:
            encoding, clock_hz, channels = _STATIC[number].codec
        else:
            encoding, clock_hz, channels = f"UNNAMED-{number}", 0, 1
        formats.append(
            AudioFormat(
                payload_type=number,
                encoding=encoding,
                clock_hz=clock_hz,
                channels=channels,
                parameters=parameters.get(number, ""),
            )
        )
    keys, key_faults = _keys(attributes)
    fingerprints, fingerprint_faults = _fingerprints(attributes, head)
    reported = next((line[5:].split()[:1] for line in attributes if line.startswith("rtcp:")), [])
    ptime = next((line[6:] for line in attributes if line.startswith("ptime:")), "")
    return Media(
        kind=match[1],
        port=int(match[2]),
        protocol=match[3],
        host=_host(section) or _host(head),
        formats=tuple(formats),
        direction=_direction(section) or _direction(head) or MediaDirection.SENDRECV,
        ptime_ms=int(ptime) if ptime.isdecimal() and len(ptime) <= 4 else None,
        keys=keys,
        key_faults=(*key_faults, *fingerprint_faults),
        fingerprints=fingerprints,
        setup=_setup(section) or _setup(head),
        report_port=_port(reported[0]) if reported else None,
    )


def _port(word: str) -> int | None:
    """A port number; None for what is none."""
    return int(word) if word.isdecimal() and len(word) <= 5 and 0 < int(word) < 1 << 16 else None


def _keys(attributes: list[str]) -> tuple[tuple[Crypto, ...], tuple[str, ...]]:
    keys: list[Crypto] = []
    faults: list[str] = []
    for value in (line.removeprefix("crypto:") for line in attributes if line.startswith("crypto:")):
        try:
            keys.append(read_crypto(value))
        except MalformedCrypto as error:
            faults.append(error.detail)
    return tuple(keys), tuple(faults)


def _fingerprints(attributes: list[str], head: list[str]) -> tuple[tuple[Fingerprint, ...], tuple[str, ...]]:
    """Those of the section, or else those of the whole description (RFC 8122, 5); and what is wrong with others."""
    own = [line.removeprefix("fingerprint:") for line in attributes if line.startswith("fingerprint:")]
    whole = [line.removeprefix("a=fingerprint:") for line in head if line.startswith("a=fingerprint:")]
    read: list[Fingerprint] = []
    faults: list[str] = []
    for value in own or whole:
        try:
            read.append(read_fingerprint(value))
        except MalformedFingerprint as error:
            faults.append(error.detail)
    return tuple(read), tuple(faults)


def _setup(lines: list[str]) -> Setup | None:
    words = {f"a=setup:{setup}": setup for setup in Setup}
    return next((words[line.strip()] for line in lines if line.strip() in words), None)


def _dtls_answer_faults(offered: Media, answered: Media) -> tuple[str, ...]:
    """What is wrong with fingerprint and setup of an answer (RFC 5763, 5; RFC 4145, 4.1)."""
    problems = [] if answered.fingerprints else ["the answer has no usable fingerprint (RFC 5763, 5)"]
    fits = {
        Setup.ACTPASS: {Setup.ACTIVE, Setup.PASSIVE},
        Setup.ACTIVE: {Setup.PASSIVE},
        Setup.PASSIVE: {Setup.ACTIVE},
    }.get(offered.setup or Setup.ACTIVE, set())
    # An answer without a=setup is passive (RFC 4145, 4.1).
    if (answered.setup or Setup.PASSIVE) not in fits:
        problems.append(f"setup {answered.setup or 'left out'} does not answer {offered.setup} (RFC 4145, 4.1)")
    return tuple(problems)


def _host(lines: list[str]) -> str | None:
    found = (_CONNECTION.fullmatch(line[2:]) for line in lines if line.startswith("c="))
    return next((match[1] for match in found if match), None)


def _direction(lines: list[str]) -> MediaDirection | None:
    words = {f"a={direction}": direction for direction in MediaDirection}
    return next((words[line] for line in lines if line in words), None)
