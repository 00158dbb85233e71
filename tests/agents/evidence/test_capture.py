"""The capture as somebody else reads it: tshark finds what the trace holds, and nothing malformed."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agents.evidence.case_files import CaseFile, Heard, Seen, case_files
from agents.evidence.masking import Masking
from agents.instruments.packets import Packet
from agents.instruments.rtcp import build_report
from agents.instruments.rtp import RtpPacket
from lab_inventory.evidence.lines import SipLine, read_rtp, read_sip, write_sip

NEEDS_TSHARK = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (package tshark)")
BENCH, PHONE = ("127.0.0.1", 5060), ("127.0.0.2", 5060)
PEER = f"{PHONE[0]}:{PHONE[1]}"
OFFSET_NS = 1_790_000_000_123_456_789
RESPONSE = "0f" * 16
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n"


def message(start: str, cseq: str, *more: str, body: str = "", call: str = "call-1@127.0.0.1") -> bytes:
    lines = [
        start,
        "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1",
        "From: <sip:bench@127.0.0.1>;tag=a",
        "To: <sip:1001@127.0.0.2>",
        f"Call-ID: {call}",
        f"CSeq: {cseq}",
        *more,
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


INVITE = message("INVITE sip:1001@127.0.0.2 SIP/2.0", "1 INVITE", "Content-Type: application/sdp", body=SDP)
RINGING = message("SIP/2.0 180 Ringing", "1 INVITE")
REGISTER = message(
    "REGISTER sip:127.0.0.1 SIP/2.0",
    "2 REGISTER",
    f'Authorization: Digest username="1001", realm="assay", nonce="n", uri="sip:127.0.0.1", response="{RESPONSE}"',
    call="reg@127.0.0.2",
)
LINES = (
    SipLine(at_ns=1_000_000_001, incoming=False, peer=PEER, raw=INVITE),
    SipLine(at_ns=1_500_000_002, incoming=False, peer=PEER, raw=INVITE),
    SipLine(at_ns=1_520_000_003, incoming=True, peer=PEER, raw=RINGING),
    SipLine(at_ns=1_600_000_004, incoming=True, peer=PEER, raw=REGISTER),
)


def packet(number: int, payload_type: int = 0, payload: bytes = bytes(160)) -> RtpPacket:
    return RtpPacket(
        at_ns=2_000_000_000 + 20_000_000 * number,
        payload_type=payload_type,
        marker=number == 0,
        sequence=100 + number,
        timestamp=160 * number,
        ssrc=0xABCDEF01,
        payload=payload,
    )


def files(
    lines: tuple[SipLine, ...] = LINES, packets: tuple[RtpPacket, ...] = (), reports: tuple[Packet, ...] = ()
) -> dict[str, CaseFile]:
    heard = Heard(
        call="call-1@127.0.0.1",
        address=("127.0.0.1", 6000),
        source=("127.0.0.2", 4000),
        packets=packets,
        sent_ns=(2_000_000_000, 2_500_000_000),
        reports=reports,
    )
    seen = Seen(
        bench=BENCH,
        interface="slot-1",
        trace=write_sip(lines),
        records=(),
        heard=(heard,),
        rtp=b"",
        wall_offset_ns=OFFSET_NS,
    )
    masking = Masking(key=b"k" * 32, user="1001", realm="assay", password="quiet-secret")
    return {file.name: file for file in case_files(seen, masking)}


def dissected(capture: bytes, folder: Path, *fields: str, options: tuple[str, ...] = ()) -> list[list[str]]:
    path = folder / "case.pcapng"
    path.write_bytes(capture)
    asked = [part for field in fields for part in ("-e", field)]
    command = ["tshark", "-r", str(path), *options, "-T", "fields", "-E", "separator=|", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("|") for line in done.stdout.splitlines()]


@NEEDS_TSHARK
def test_tshark_reads_every_message_with_its_time_and_nothing_is_malformed(tmp_path: Path) -> None:
    rows = dissected(
        files()["capture"].data,
        tmp_path,
        "frame.time_epoch",
        "ip.src",
        "sip.Method",
        "sip.Status-Code",
        "sip.Call-ID",
        "_ws.malformed",
        "ip.checksum.status",
        options=("-o", "ip.check_checksum:TRUE"),
    )

    def told(line: SipLine) -> str:
        whole, part = divmod(line.at_ns + OFFSET_NS, 1_000_000_000)
        return f"{whole}.{part:09d}"

    calls = ["call-1@127.0.0.1"] * 3 + ["reg@127.0.0.2"]
    methods = [("INVITE", ""), ("INVITE", ""), ("", "180"), ("REGISTER", "")]
    sources = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"]
    assert rows == [
        [told(line), source, method, status, call, "", "1"]
        for line, source, (method, status), call in zip(LINES, sources, methods, calls, strict=True)
    ]


@NEEDS_TSHARK
def test_tshark_reads_audio_headers_and_whole_events_where_audio_itself_is_cut(tmp_path: Path) -> None:
    event = packet(2, 101, bytes([5, 0x8A, 0, 160]))
    capture = files((), (packet(0), packet(1), event))["capture"].data

    decode = ("-d", "udp.port==6000,rtp")
    rows = dissected(capture, tmp_path, "rtp.seq", "rtp.p_type", "udp.length", "_ws.malformed", options=decode)

    assert rows == [["100", "0", "180", ""], ["101", "0", "180", ""], ["102", "101", "24", ""]]


@NEEDS_TSHARK
def test_the_marks_that_came_stand_in_the_capture_and_so_does_rtcp(tmp_path: Path) -> None:
    report = Packet(at_ns=6_000_000_000, peer=(PHONE[0], 4001), data=build_report(7, sent=None, heard=(), name="x"))
    lines = (LINES[0], replace(LINES[2], dscp=24))
    found = files(lines, (replace(packet(0), dscp=46),), (replace(report, dscp=34),))

    decode = ("-d", "udp.port==6000,rtp", "-d", "udp.port==6001,rtcp")
    fields = ("ip.dsfield.dscp", "rtcp.pt", "rtp.seq", "_ws.malformed")
    rows = dissected(found["capture"].data, tmp_path, *fields, options=decode)

    assert sorted(rows) == [["0", "", "", ""], ["24", "", "", ""], ["34", "201,202", "", ""], ["46", "", "100", ""]]
    assert [line.dscp for line in read_sip(found["SIP messages"].data).lines] == [None, 24]


@NEEDS_TSHARK
def test_messages_over_tcp_and_tls_stand_in_a_stream(tmp_path: Path) -> None:
    lines = tuple(
        SipLine(at_ns=line.at_ns, incoming=line.incoming, peer=PEER, raw=line.raw, transport=transport)
        for line, transport in zip(LINES, ("tcp", "tcp", "tcp", "tls"), strict=True)
    )

    rows = dissected(
        files(lines)["capture"].data,
        tmp_path,
        "tcp.stream",
        "sip.CSeq.method",
        "tcp.analysis.flags",
        "_ws.malformed",
        "frame.comment",
    )

    assert [row[:4] for row in rows[:3]] == [["0", "INVITE", "", ""]] * 3
    assert rows[3][:4] == ["0", "REGISTER", "", ""]
    assert "came over TLS" in rows[3][4]


@NEEDS_TSHARK
def test_what_could_not_be_sent_is_in_the_lines_and_in_no_packet(tmp_path: Path) -> None:
    found = files((replace(LINES[0], fault="not sent: the connection is closed", transport="tcp"), LINES[2]))

    assert dissected(found["capture"].data, tmp_path, "sip.Status-Code") == [["180"]]
    assert [line.fault for line in read_sip(found["SIP messages"].data).lines] == [
        "not sent: the connection is closed",
        "",
    ]


def test_no_file_holds_the_response_and_the_lines_say_that_it_was_replaced() -> None:
    found = files()

    assert all(RESPONSE.encode() not in file.data for file in found.values())
    assert [line.masked for line in read_sip(found["SIP messages"].data).lines] == [(), (), (), ("response",)]


def test_a_capture_over_its_bound_says_how_many_packets_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.evidence.case_files.CAPTURE_BYTES_MAX", 1000)

    assert b"2 packets at the end are left out" in files()["capture"].data


def test_what_the_bench_sent_is_summed_up_in_one_line() -> None:
    lines = files()["RTP packets"].data

    (stream,) = read_rtp(lines).lines
    assert (stream.incoming, stream.packets, json.loads(lines)["sent"]) == (False, 2, 2)
