import struct

from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.rtcp import ReceptionReport, reception_reports

BLOCK = struct.pack("!IIIIII", 0xCAFE, (5 << 24) | 3, 0x1_0007, 0, 0, 0)


def test_the_blocks_of_sender_and_receiver_reports_are_read() -> None:
    sender = struct.pack("!BBHI", 0x81, 200, 12, 1) + bytes(20) + BLOCK
    description = struct.pack("!BBHI", 0x81, 202, 1, 1)
    receiver = struct.pack("!BBHI", 0x81, 201, 7, 1) + BLOCK
    expected = ReceptionReport(
        at_ns=9, source=0xCAFE, lost=3, highest_sequence=0x1_0007, fraction_lost=5 / 256, jitter_ticks=0
    )
    assert reception_reports(sender + description + receiver, 9) == (expected, expected)


@given(st.binary(max_size=200))
def test_any_bytes_give_reports_or_none(data: bytes) -> None:
    assert len(reception_reports(data, 0)) <= len(data) // 24
