"""Evidence of a signalling case, as an agent keeps it: an INVITE, sent twice, and its answers."""

import json

from lab_inventory.evidence.lines import SipLine, write_sip

PEER = "192.0.2.7:5060"
EVIL = "<script>alert(1)</script>"


def message(first: str, cseq: str) -> bytes:
    return f"{first}\r\nCall-ID: call@bench\r\nCSeq: {cseq}\r\nSubject: {EVIL}\r\nContent-Length: 0\r\n\r\n".encode()


def files(case: str, messages: int = 5) -> list[tuple[str, str, bytes]]:
    """Name, media type and content of each."""
    invite = message("INVITE sip:1001@192.0.2.7 SIP/2.0", "1 INVITE")
    said = [
        (0, False, invite),
        (500, False, invite),
        (510, True, message("SIP/2.0 180 Ringing", "1 INVITE")),
        (900, True, message("SIP/2.0 200 OK", "1 INVITE")),
        (901, False, message("ACK sip:1001@192.0.2.7 SIP/2.0", "1 ACK")),
    ]
    said += [(1000 + at, True, message(f"OPTIONS sip:{at} SIP/2.0", f"{at} OPTIONS")) for at in range(messages - 5)]
    sip = write_sip(
        SipLine(at_ns=7_000_000_000 + at * 1_000_000, incoming=incoming, peer=PEER, raw=raw)
        for at, incoming, raw in said
    )
    packets = [
        {"call": "call@bench", "at_ns": 7_950_000_000 + at * 20_000_000, "payload_type": 0, "ssrc": 1}
        for at in range(9)
    ]
    rtp = "".join(f"{json.dumps(one)}\n" for one in packets).encode()
    return [
        (f"{case} SIP messages", "application/jsonl", sip),
        (f"{case} RTP packets", "application/jsonl", rtp),
        (f"{case} capture", "application/x-pcapng", b"\n\r\r\n" + case.encode()),
    ]
