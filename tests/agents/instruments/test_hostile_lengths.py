"""What is long and hostile is read or refused in a time that no call notices: no pattern runs away.

Each input repeats one unit up to the longest that is read, behind a beginning that leads into one of the patterns.
"""

import contextlib
import itertools
import time  # noqa: TID251 - the time of this process, whatever else the machine does
from collections.abc import Callable

import pytest

from agents.instruments.packets import Packet
from agents.instruments.rtp import RtpPacket, parse_rtp
from agents.instruments.rtp_analysis import in_sequence, missing
from agents.instruments.sdp import PCMU, LocalAudio, answer_problems, parse_sdp
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_message import Request, parse, request_bytes
from agents.instruments.sip_rules import invite_problems
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import VALUE_CHARACTERS_MAX, check_routable, contacts, credentials, tag
from lab_inventory.errors import BadInput

CPU_S_MAX = 0.5
DATAGRAM_BYTES_MAX = 65_507
HEADERS = {
    "Via": "SIP/2.0/UDP h;branch=z9hG4bK1",
    "From": "<sip:a@b>;tag=1",
    "To": "<sip:a@b>",
    "Call-ID": "c",
    "CSeq": "1 INVITE",
    "Contact": "<sip:a@b>",
}


def filled(beginning: str, unit: str, end: str, length: int) -> str:
    repeats = (length - len(beginning) - len(end)) // len(unit)
    return beginning + unit * repeats + end


def cpu_s(read: Callable[[], object]) -> float:
    began_s = time.process_time()
    with contextlib.suppress(BadInput):
        read()
    return time.process_time() - began_s


def read_all(raw: bytes) -> None:
    message = parse(raw)
    if isinstance(message, Request):
        invite_problems(message)
    check_routable(message)
    contacts(message)
    if isinstance(message, Request):
        answer_to(Received(message=message, at_ns=0, peer=("h", 1)), 200, to_tag="t")
    tag(message, "To")


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("Via", ""),
        ("Via", "SIP/2.0/UDP h"),
        ("Via", 'SIP/2.0/UDP h;branch=z9hG4bK1;a="'),
        ("Via", "SIP/2.0/UDP ["),
        ("From", ""),
        ("To", "<sip:"),
        ("To", '"'),
        ("Contact", "sip:a@b"),
        ("Contact", 'a <sip:a@b>;x="'),
        ("CSeq", "1"),
    ],
)
def test_a_hostile_header_value_is_done_with_at_once(name: str, beginning: str) -> None:
    units = [";a=b", ";a", "a.", "a-", '"', '\\"', '"\\', "<", "<a>,", " ", " ;", "%41", "1:", "::", '"a b ', ";rport"]
    worst = max(
        (cpu_s(lambda raw=raw: read_all(raw)), unit, end)  # type: ignore[misc]
        for unit, end in itertools.product(units, ("", "$", '"', "\0"))
        for value in [filled(beginning, unit, end, VALUE_CHARACTERS_MAX)]
        for raw in [request_bytes("INVITE", "sip:x", list((HEADERS | {name: value}).items()))]
    )
    assert worst[0] < CPU_S_MAX, worst


@pytest.mark.parametrize("beginning", ["", "INVITE sip:x SIP/2.0\r\n", "INVITE sip:x SIP/2.0\r\na:", "SIP/2.0 200 "])
def test_a_hostile_datagram_is_done_with_at_once(beginning: str) -> None:
    units = ["\r\n", "\n", "\r", "a", "a:", "a: b\r\n", " \r\n", " ", "\r\n ", "\t", "é", "l: 1\r\n", "v: ;rport\r\n"]
    worst = max(
        (cpu_s(lambda raw=raw: read_all(raw)), unit, end)  # type: ignore[misc]
        for unit, end in itertools.product(units, ("", "\r\n\r\n"))
        for raw in [filled(beginning, unit, end, DATAGRAM_BYTES_MAX // 2).encode()]
    )
    assert worst[0] < CPU_S_MAX, worst


@pytest.mark.parametrize("beginning", ["", "v=0\r\no=-\r\nm=", "v=0\r\no=-\r\nm=audio 1 RTP/AVP 0\r\na=rtpmap:0 "])
def test_a_hostile_session_description_is_done_with_at_once(beginning: str) -> None:
    def read(body: bytes) -> None:
        found = parse_sdp(body)
        answer_problems(found, found)
        LocalAudio(host="h", port=1, formats=(PCMU,)).answer(found, version=1)

    units = [
        "a=b\r\n",
        "m=audio 1 RTP/AVP 0 8\r\n",
        "0 ",
        "1/",
        "audio 1 ",
        "\r\n",
        " ",
        "a=rtpmap:0 a/1\r\n",
        "\r\na=fmtp:1 ",
    ]
    worst = max(
        (cpu_s(lambda body=body: read(body)), unit)  # type: ignore[misc]
        for unit in units
        for body in [filled(beginning, unit, "", DATAGRAM_BYTES_MAX).encode()]
    )
    assert worst[0] < CPU_S_MAX, worst


def test_hostile_credentials_are_done_with_at_once() -> None:
    beginnings, units = ("Digest ", 'Digest a="', "Digest a=", "Digest a=b,"), ("a=b,", " ", '\\"', "a", '"', ",", "a=")
    worst = max(
        (cpu_s(lambda value=value: credentials(value)), beginning, unit)  # type: ignore[misc]
        for beginning, unit in itertools.product(beginnings, units)
        for value in [filled(beginning, unit, "$", 20_000)]
    )
    assert worst[0] < CPU_S_MAX, worst


def test_the_longest_stream_that_is_kept_is_summed_up_at_once() -> None:
    first = parse_rtp(Packet(at_ns=0, peer=("h", 1), data=bytes([0x80]) + bytes(11)))
    assert isinstance(first, RtpPacket)
    # Sequence numbers that jump by half of their range each time, so that each seems newer or older than all others.
    stream = [
        RtpPacket(
            at_ns=place,
            payload_type=0,
            marker=False,
            sequence=place * 0x7FFF & 0xFFFF,
            timestamp=0,
            ssrc=0,
            payload=b"",
        )
        for place in range(60_000)
    ]
    assert cpu_s(lambda: (missing(stream), in_sequence(stream))) < 2 * CPU_S_MAX
