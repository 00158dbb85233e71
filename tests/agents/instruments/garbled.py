"""Right messages, and what becomes of them when some of their bytes are others: what the fuzz tests are fed with."""

import os
import re
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from agents.instruments.digest import Account
from agents.instruments.dtls_sdp import fingerprint_of
from agents.instruments.sdp import G722, OPUS, PCMU, TELEPHONE_EVENT, LocalAudio
from agents.instruments.sip_message import request_bytes, response_bytes
from agents.instruments.torture import MESSAGES, Scene

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=5),  # a hang is a failure, a busy machine is none
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PEER = ("127.0.0.1", 9)
AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(G722, OPUS, PCMU, TELEPHONE_EVENT))
ACCOUNT = Account(username="1001", password="secret", realm="bench")
DTLS = replace(AUDIO, fingerprint=fingerprint_of(b"certificate"))
SCENE = Scene(target="sip:1001@127.0.0.1:9", own=PEER, mark="m", offer=AUDIO.describe(version=1))
REGISTER = request_bytes(
    "REGISTER",
    "sip:127.0.0.1",
    [
        ("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport"),
        ("Max-Forwards", "70"),
        ("From", "<sip:1001@127.0.0.1>;tag=1"),
        ("To", "<sip:1001@127.0.0.1>"),
        ("Call-ID", "register"),
        ("CSeq", "1 REGISTER"),
        ("Contact", '"A" <sip:1001@127.0.0.1:9>;expires=60;+sip.instance="<urn:uuid:1>"'),
        ("Authorization", 'Digest username="1001", realm="bench", nonce="n", uri="sip:b", response="0", nc=00000001'),
    ],
)
OK = response_bytes(
    200,
    "OK",
    [
        ("Via", "SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1"),
        ("From", "<sip:a@b>;tag=1"),
        ("To", "<sip:a@b>;tag=2"),
        ("Call-ID", "call"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:1001@127.0.0.1:9>"),
    ],
    SCENE.offer,
)
TORTURE = [message.build(SCENE) for message in MESSAGES]
SIP = [*TORTURE, *(raw.replace(b";rport", b"") for raw in TORTURE), REGISTER, OK]
SDP = [
    SCENE.offer,
    DTLS.describe(version=1),
    b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=inactive\r\nm=audio 9/2 RTP/AVP 8 0 96 101\r\n"
    b"a=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1\r\na=ptime:20\r\nm=video 0 RTP/SAVP 99\r\nc=IN IP6 ::1\r\n",
]
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(b'\r\n|\n|\r| |\t|\0|"|\\|<|>|;|,|=|:|@|[|]|*|-1|0|65536|9999999999|%00|sips:|tag='.split(b"|")),
    st.sampled_from([b"\xff", b"\xd9\xa1", b"\xe2\x80\xa8", b"\xef\xbb\xbf"]),
)


NUMBERS = st.sampled_from(b"0 00 1 -1 255 256 65535 65536 4294967296 99999999999999999999".split())


PLACES = {"number": rb"(?<![\w.])[0-9]+(?![\w.])", "digits": rb"[0-9]+", "place": rb""}


@st.composite
def mutated(draw: st.DrawFn, bases: list[bytes]) -> bytes:
    """A right message with some lines doubled or lost, and numbers and places within some others replaced."""
    lines = draw(st.sampled_from(bases)).splitlines(keepends=True)
    for kind in draw(st.lists(st.sampled_from(["number", "digits", "place", "place", "line"]), max_size=3)):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        if kind == "line":
            lines[index] = line * draw(st.sampled_from([0, 2]))
            continue
        places = [match.span() for match in re.finditer(PLACES[kind], line)]
        if not places:
            continue
        start, end = draw(st.sampled_from(places))
        if kind == "place":
            end = min(len(line), start + draw(st.integers(0, 20)))
        middle = draw(PIECES | st.sampled_from([b"", line[start:end] * 2]) if kind == "place" else NUMBERS)
        lines[index] = line[:start] + middle + line[end:]
    return b"".join(lines)
