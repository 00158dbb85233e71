"""Defects that a proxy can put on an honest phone, each disturbing one thing. Pure but for what each remembers.

A defect sees what passes and says what becomes of it: a list of (delay in seconds, bytes); an empty list swallows it.
"""

import re
from collections.abc import Callable, Hashable
from typing import ClassVar

from lab_inventory.clock import Clock

Fate = list[tuple[float, bytes]]
AT_ONCE = 0.0

_CSEQ = re.compile(rb"^CSeq\s*:\s*\d+\s+(\w+)", re.MULTILINE | re.IGNORECASE)
_CALL_ID = re.compile(rb"^(?:Call-ID|i)\s*:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_BRANCH = re.compile(rb"branch=([^;\s,]+)")
_EXPIRES = re.compile(rb"expires\s*[=:]\s*(\d+)", re.IGNORECASE)
_DIRECTION = re.compile(rb"^a=(?:sendonly|recvonly|inactive)(?=\r?$)", re.MULTILINE)
_RESPONSE = re.compile(rb'(?<=[ ,]response=")[0-9a-fA-F]{32}')
TELEPHONE_EVENT = 101
G722 = 9
REMEMBERED_MAX = 1024


def status_of(message: bytes) -> int:
    """The status of a response, 0 for a request."""
    return int(message[8:11]) if message.startswith(b"SIP/2.0 ") and message[8:11].isdigit() else 0


def method_of(message: bytes) -> bytes:
    """The method in CSeq."""
    found = _CSEQ.search(message)
    return found[1].upper() if found else b""


def call_of(message: bytes) -> bytes:
    """The Call-ID."""
    found = _CALL_ID.search(message)
    return found[1] if found else b""


class _Memory:
    """Things that were seen; the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, None] = {}

    def __contains__(self, thing: Hashable) -> bool:
        return thing in self._seen

    def add(self, thing: Hashable) -> None:
        if len(self._seen) >= REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[thing] = None


class Defect:
    """Does nothing wrong; the base of those that do. ``slug`` names it, ``wrong`` says what is wrong."""

    slug: ClassVar[str] = "none"
    wrong: ClassVar[str] = "nothing"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def sip_from_phone(self, message: bytes) -> Fate:
        """What becomes of a SIP message of the phone."""
        return [(AT_ONCE, message)]

    def sip_to_phone(self, message: bytes) -> None:
        """Look at a SIP message to the phone."""

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """What becomes of an RTP packet of the phone in a call."""
        return [(AT_ONCE, packet)]


class RingingNever(Defect):
    """No provisional response."""

    slug = "ringing-never"
    wrong = "180 is never sent"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow 180 and 183."""
        return [] if status_of(message) in (180, 183) else [(AT_ONCE, message)]


class RingingLate(Defect):
    """A late provisional response."""

    slug = "ringing-late"
    wrong = "180 comes 2 s late"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Delay 180."""
        return [(2.0 if status_of(message) == 180 else AT_ONCE, message)]


class AnswerCodecNotOffered(Defect):
    """An answer that does not fit the offer."""

    slug = "answer-codec-not-offered"
    wrong = "the SDP answer names a codec that was not offered (RFC 3264, 6.1)"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Add G.729 to the answer of an INVITE."""
        if status_of(message) == 200 and method_of(message) == b"INVITE":
            message = re.sub(rb"(?m)^(m=audio \d+ \S+ [\d ]*\d)", rb"\1 18", message)
        return [(AT_ONCE, message)]


class HoldAsSendrecv(Defect):
    """Hold that holds nothing."""

    slug = "hold-as-sendrecv"
    wrong = "hold is offered and answered as sendrecv (RFC 3264, 8.4)"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Rewrite the direction."""
        return [(AT_ONCE, _DIRECTION.sub(b"a=sendrecv", message))]


class ResumeNoMedia(Defect):
    """Silence after hold."""

    slug = "resume-no-media"
    wrong = "after a hold the phone sends no audio any more"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._held = _Memory()

    def sip_from_phone(self, message: bytes) -> Fate:
        """Note calls that the phone puts on hold."""
        if message.startswith(b"INVITE ") and b"a=sendonly" in message:
            self._held.add(call_of(message))
        return [(AT_ONCE, message)]

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Swallow the audio of calls that were held."""
        return [] if call in self._held else [(AT_ONCE, packet)]


class DtmfEndMissing(Defect):
    """Ends of events that may get lost."""

    slug = "dtmf-end-missing"
    wrong = "the end of a DTMF event is sent once and not three times (RFC 4733, 2.5.1.4)"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._ended = _Memory()

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Swallow every end but the first of each event."""
        if _is_event(packet) and packet[13] & 0x80:
            key = (call, packet[4:8])
            if key in self._ended:
                return []
            self._ended.add(key)
        return [(AT_ONCE, packet)]


class DtmfDigitLost(Defect):
    """A key that does not work."""

    slug = "dtmf-digit-lost"
    wrong = "the key 5 sends nothing"

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Swallow the event of the digit 5."""
        return [] if _is_event(packet) and packet[12] == 5 else [(AT_ONCE, packet)]


class OptionsUnanswered(Defect):
    """A phone that cannot be asked."""

    slug = "options-unanswered"
    wrong = "OPTIONS is not answered"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow the answers."""
        return [] if status_of(message) and method_of(message) == b"OPTIONS" else [(AT_ONCE, message)]


class ByeUnanswered(Defect):
    """A call that is left hanging."""

    slug = "bye-unanswered"
    wrong = "BYE is not answered"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow the answers."""
        return [] if status_of(message) and method_of(message) == b"BYE" else [(AT_ONCE, message)]


class CancelNo487(Defect):
    """A cancelled call that is never ended."""

    slug = "cancel-no-487"
    wrong = "after CANCEL the INVITE is not ended with 487 (RFC 3261, 9.2)"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow 487."""
        return [] if status_of(message) == 487 else [(AT_ONCE, message)]


class RtpJitter(Defect):
    """Uneven packets."""

    slug = "rtp-jitter"
    wrong = "RTP packets leave unevenly, up to 30 ms late"

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Delay each audio packet by another time."""
        return [(AT_ONCE if _is_event(packet) else self._clock.uniform(0.0, 0.03), packet)]


class InviteNoRetransmission(Defect):
    """One try only."""

    slug = "invite-no-retransmission"
    wrong = "an INVITE that is not answered is not repeated (RFC 3261, 17.1.1.2)"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._sent = _Memory()

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow the repeats."""
        found = _BRANCH.search(message) if message.startswith(b"INVITE ") else None
        if found is None:
            return [(AT_ONCE, message)]
        if found[1] in self._sent:
            return []
        self._sent.add(found[1])
        return [(AT_ONCE, message)]


class RegisterWrongDigest(Defect):
    """A phone that needs two tries to know its password."""

    slug = "register-wrong-digest"
    wrong = "each registration is tried first with a wrong digest response (RFC 3261, 22.4)"

    def sip_from_phone(self, message: bytes) -> Fate:
        """Send a wrong copy ahead, in a transaction of its own: the phone passes over the answer to that."""
        if not message.startswith(b"REGISTER ") or not _RESPONSE.search(message):
            return [(AT_ONCE, message)]
        wrong = _RESPONSE.sub(b"0" * 32, _BRANCH.sub(rb"\g<0>w", message, count=1))
        return [(AT_ONCE, wrong), (AT_ONCE, message)]


class RegisterRefreshLate(Defect):
    """A registration with gaps."""

    slug = "register-refresh-late"
    wrong = "the registration is refreshed only after it has expired"

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._not_before_s = 0.0

    def sip_to_phone(self, message: bytes) -> None:
        """Note how long a registration was granted for."""
        granted = [int(value) for value in _EXPIRES.findall(message)]
        if status_of(message) == 200 and method_of(message) == b"REGISTER" and granted:
            self._not_before_s = self._clock.boottime_s() + 1.2 * max(granted)

    def sip_from_phone(self, message: bytes) -> Fate:
        """Swallow refreshes until it is too late."""
        early = self._clock.boottime_s() < self._not_before_s
        return [] if early and message.startswith(b"REGISTER ") else [(AT_ONCE, message)]


class G722Silent(Defect):
    """Wideband in name only."""

    slug = "codec-g722-silent"
    wrong = "G.722 is negotiated and then not sent"

    def rtp_from_phone(self, call: bytes, packet: bytes) -> Fate:
        """Swallow G.722."""
        return [] if packet[1] & 0x7F == G722 else [(AT_ONCE, packet)]


def _is_event(packet: bytes) -> bool:
    return len(packet) >= 16 and packet[1] & 0x7F == TELEPHONE_EVENT


DEFECTS: dict[str, Callable[[Clock], Defect]] = {
    defect.slug: defect
    for defect in (
        RingingNever,
        RingingLate,
        AnswerCodecNotOffered,
        HoldAsSendrecv,
        ResumeNoMedia,
        DtmfEndMissing,
        DtmfDigitLost,
        OptionsUnanswered,
        ByeUnanswered,
        CancelNo487,
        RtpJitter,
        InviteNoRetransmission,
        RegisterWrongDigest,
        RegisterRefreshLate,
        G722Silent,
    )
}
