"""The bench's own reports on a call: a sender report to the phone at the intervals of RFC 3550, 6.3.1.

Takes a port and where reports go; sends while it is entered. What it tells of the phone is what it really hears.
"""

import asyncio

from agents.instruments.packets import Peer
from agents.instruments.rtcp import NTP_EPOCH_S, ReceptionReport, SenderInfo, build_report
from agents.instruments.rtp import RtpPort
from agents.instruments.rtp_analysis import extended_sequence, jitter_ticks, main_source, missing
from lab_inventory.clock import Clock, wall_ns
from lab_inventory.errors import Unavailable

INTERVAL_S = 5.0
SPREAD = (0.5 / 1.21828, 1.5 / 1.21828)
NAME = "bench"


class RtcpReporter:
    """Reports for one call; ``sent`` counts them. A secured call gets none: its RTCP would have to be secured too."""

    def __init__(self, port: RtpPort, destination: Peer, *, clock: Clock) -> None:
        self._port = port
        self._destination = destination
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._before = (0, 0)
        self.sent = 0

    def __enter__(self) -> "RtcpReporter":
        if not self._port.secured:
            self._wait(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, share: float) -> None:
        wait_s = INTERVAL_S * share * self._clock.uniform(*SPREAD)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._send)

    def _send(self) -> None:
        port = self._port
        sent = SenderInfo(
            ntp=((wall_ns() + NTP_EPOCH_S * 1_000_000_000) << 32) // 1_000_000_000,
            timestamp=port.timestamp,
            packets=port.packets_sent,
            octets=port.octets_sent & 0xFFFF_FFFF,
        )
        data = build_report(port.source, sent=sent, heard=self._heard(), name=NAME)
        try:
            port.send_report(data, self._destination)
            self.sent += 1
        except (OSError, Unavailable):  # nobody listens there: the phone has no port for reports
            pass
        self._wait(1.0)

    def _heard(self) -> tuple[ReceptionReport, ...]:
        packets = main_source(self._port.packets())
        if not packets:
            return ()
        numbers = extended_sequence(packets)
        lost, expected = missing(packets), max(numbers) - min(numbers) + 1
        lost_since, expected_since = lost - self._before[0], expected - self._before[1]
        self._before = (lost, expected)
        fraction = max(0.0, lost_since / expected_since) if expected_since > 0 else 0.0
        return (
            ReceptionReport(
                at_ns=0,
                source=packets[0].ssrc,
                lost=lost,
                highest_sequence=max(numbers),
                fraction_lost=fraction,
                jitter_ticks=round(max((0.0, *jitter_ticks(packets, packets[-1].payload_type)[-1:]))),
            ),
        )
