"""The ladder of a case: what it shows, what it leaves out and says so, and that foreign text stays text."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from lab_inventory.evidence.ladder import ARROWS_MAX, BENCH, OTHERS, PARTIES_MAX, Ladder, ladder
from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from lab_inventory.evidence.lines import RtpStream, SipLine, read_rtp, read_sip, write_sip

PHONE = "192.0.2.7:5060"
SVG = "{http://www.w3.org/2000/svg}"


def line(at_ms: float, first: str, cseq: str = "1 INVITE", *, incoming: bool = False, **told: str) -> SipLine:
    raw = f"{first}\r\nCall-ID: {told.pop('call', 'a@b')}\r\nCSeq: {cseq}\r\n\r\n".encode()
    return SipLine(at_ns=5_000_000_000 + int(at_ms * 1e6), incoming=incoming, peer=told.pop("peer", PHONE), raw=raw)


CALL = (
    line(0, "INVITE sip:1001@192.0.2.7 SIP/2.0"),
    line(500, "INVITE sip:1001@192.0.2.7 SIP/2.0"),
    line(512.5, "SIP/2.0 180 Ringing", incoming=True),
    line(900, "SIP/2.0 200 OK", incoming=True),
    line(901, "ACK sip:1001@192.0.2.7 SIP/2.0", "1 ACK"),
)
AUDIO = RtpStream(
    call="a@b", incoming=True, payload_type=0, ssrc=7, packets=50, first_ns=5_950_000_000, last_ns=6_950_000_000
)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - made here


def test_arrows_say_when_who_what_and_what_was_sent_again() -> None:
    made = ladder("TC-1", CALL, (AUDIO,))

    assert [(a.at_ms, a.sender, a.receiver, a.text, a.cseq, a.marks) for a in made.arrows] == [
        (0.0, BENCH, PHONE, "INVITE sip:1001@192.0.2.7 SIP/2.0", "1 INVITE", ()),
        (500.0, BENCH, PHONE, "INVITE sip:1001@192.0.2.7 SIP/2.0", "1 INVITE", ("retransmission",)),
        (512.5, PHONE, BENCH, "SIP/2.0 180 Ringing", "1 INVITE", ()),
        (900.0, PHONE, BENCH, "SIP/2.0 200 OK", "1 INVITE", ()),
        (901.0, BENCH, PHONE, "ACK sip:1001@192.0.2.7 SIP/2.0", "1 ACK", ()),
        (950.0, PHONE, BENCH, "RTP PCMU: 50 packets in 1.00 s", "", ("source 00000007",)),
    ]
    assert made.calls == ("a@b",)


def test_what_could_not_be_read_says_why_and_keep_alives_are_no_retransmissions() -> None:
    broken = SipLine(at_ns=1, incoming=True, peer=PHONE, raw=b"\x00garbage", fault="no empty line")
    alive = [SipLine(at_ns=at, incoming=True, peer=PHONE, raw=b"\r\n\r\n") for at in (2, 3)]

    arrows = ladder("", [broken, *alive]).arrows

    assert [arrow.text for arrow in arrows] == ["\\x00garbage", "keep-alive of 4 bytes", "keep-alive of 4 bytes"]
    assert [arrow.marks for arrow in arrows] == [("cannot be read: no empty line",), (), ()]


def test_a_long_trace_keeps_its_beginning_and_its_end_and_says_how_many_are_left_out() -> None:
    made = ladder("long", [line(at, f"OPTIONS sip:{at} SIP/2.0", f"{at} OPTIONS") for at in range(ARROWS_MAX + 70)])

    assert len(made.arrows) == ARROWS_MAX + 1
    assert made.left_out == 70
    assert [arrow.gap for arrow in made.arrows if arrow.gap] == [70]
    assert (made.arrows[0].number, made.arrows[-1].number) == (1, ARROWS_MAX + 70)
    assert "70 arrows in the middle are left out" in ladder_text(made)
    assert "70 arrows are left out" in ladder_svg(made)


def test_more_parties_than_columns_share_one() -> None:
    made = ladder("", [line(at, "OPTIONS sip:a SIP/2.0", peer=f"192.0.2.7:{5000 + at}") for at in range(10)])

    assert len(made.parties) == PARTIES_MAX + 1
    assert made.arrows[-1].receiver == OTHERS
    parsed(ladder_svg(made))


def test_connections_of_one_host_share_a_column_and_one_that_brought_nothing_says_why() -> None:
    said = [
        SipLine(at_ns=at, incoming=True, peer=f"192.0.2.7:{50000 + at}", raw=b"", fault="unknown_ca", transport="tls")
        for at in range(10)
    ]

    made = ladder("", said)

    assert made.parties == (BENCH, "192.0.2.7 TLS")
    assert {(arrow.text, arrow.marks) for arrow in made.arrows} == {("no message", ("unknown_ca", "TLS"))}


def test_the_text_has_each_message_in_full_and_nothing_that_steers_a_terminal() -> None:
    evil = SipLine(
        at_ns=1, incoming=True, peer=PHONE, raw=b"OPTIONS sip:a SIP/2.0\r\nSubject: \x1b[2J\xe2\x80\xae\r\n\r\n"
    )

    text = ladder_text(ladder("", [evil]))

    assert "Subject: \\x1b[2J\\xe2\\x80\\xae" in text
    assert "\x1b" not in text


def test_the_picture_has_no_script_style_or_link_and_markup_stays_text() -> None:
    evil = line(0, '</text><script>alert(1)</script><image href="http://192.0.2.1/" style="x"/> SIP/2.0')

    drawn = ladder_svg(ladder('<b onload="x">', [evil]), alone=True)

    elements = {element.tag.removeprefix(SVG) for element in parsed(drawn).iter()}
    attributes = {name for element in parsed(drawn).iter() for name in element.attrib}
    assert elements == {"svg", "title", "rect", "text", "line", "polygon"}
    assert not {name for name in attributes if name == "style" or name.startswith("on") or "href" in name}


@given(st.lists(st.tuples(st.binary(max_size=80), st.booleans(), st.text(max_size=20)), max_size=20))
def test_whatever_came_can_be_drawn_and_written_and_read_again(seen: list[tuple[bytes, bool, str]]) -> None:
    lines = tuple(
        SipLine(at_ns=at, incoming=incoming, peer=PHONE, raw=raw, fault=fault, digest=fault)
        for at, (raw, incoming, fault) in enumerate(seen)
    )

    assert read_sip(write_sip(lines)).lines == lines
    parsed(ladder_svg(ladder("any", lines)))
    assert ladder_text(ladder("any", lines))


def test_lines_that_are_none_are_counted_and_new_fields_passed_over() -> None:
    data = (
        b'{"at_ns": 1, "direction": "in", "peer": "192.0.2.7:5060", "raw": "x", "newer": 3}\n'
        b'{"at_ns": "1", "direction": "in", "peer": "p", "raw": "x"}\n[1]\nnonsense\n'
        b'{"at_ns": 1, "direction": "up", "peer": "p", "raw": "x"}\n'
        b'{"at_ns": 1, "direction": "in", "peer": "p", "raw": "\\u4e2d"}\n'
    )

    read = read_sip(data)

    assert [line.raw for line in read.lines] == [b"x"]
    assert read.unreadable == 5


def test_packets_become_streams_by_call_source_and_type() -> None:
    packets = b"".join(
        b'{"call": "a", "at_ns": %d, "payload_type": %d, "ssrc": %d}\n' % (at, kind, source)
        for at, kind, source in ((3, 0, 1), (1, 0, 1), (2, 101, 1), (9, 0, 2))
    )

    streams = read_rtp(packets).lines

    assert [(s.payload_type, s.ssrc, s.packets, s.first_ns, s.last_ns) for s in streams] == [
        (0, 1, 2, 1, 3),
        (101, 1, 1, 2, 2),
        (0, 2, 1, 9, 9),
    ]


def test_an_empty_trace_gives_an_empty_ladder() -> None:
    made = ladder("nothing", ())

    assert isinstance(made, Ladder)
    assert made.arrows == ()
    parsed(ladder_svg(made))
