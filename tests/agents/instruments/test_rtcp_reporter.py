"""The bench's own reports, as another port of the bench reads them."""

import asyncio

import pytest

from agents.instruments import rtcp_reporter
from agents.instruments.rtcp_reporter import RtcpReporter
from agents.instruments.rtp import RtpPort
from lab_inventory.clock import SystemClock

FRAMES = (bytes(160),)


async def test_a_report_tells_what_was_sent_and_what_was_heard_of_a_stream_with_a_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtcp_reporter, "INTERVAL_S", 1.0)
    clock = SystemClock()
    near, far = RtpPort(clock=clock).open("127.0.0.1"), RtpPort(clock=clock).open("127.0.0.1")
    far.leave_out_every = 4
    far.start_sending(near.address, payload_type=0, frames=FRAMES)
    near.start_sending(far.address, payload_type=0, frames=FRAMES)
    with RtcpReporter(near, (far.address[0], far.address[1] + 1), clock=clock) as reporter:
        report = await far.rtcp.first(lambda found: bool(found.heard), timeout_s=5)
        await asyncio.sleep(0)
    for port in (near, far):
        port.close()

    assert report is not None
    assert report.source == near.source
    assert report.sent is not None
    assert report.sent.octets == 160 * report.sent.packets
    assert abs(report.sent.packets - sum(at_ns < report.at_ns for at_ns in near.sent_ns.values())) <= 1
    (block,) = report.heard
    left_out = [number for number in far.left_out if number <= block.highest_sequence]
    assert (block.source, block.lost) == (far.source, len(left_out))
    assert block.fraction_lost == pytest.approx(0.25, abs=0.1)
    assert reporter.sent >= 1


async def test_a_secured_call_gets_no_report_in_clear() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    port.secure()
    with RtcpReporter(port, port.address, clock=SystemClock()) as reporter:
        assert reporter._timer is None
    port.close()
