"""A signal that is sent once, and what is heard of it."""

from agents.instruments.rtp import RtpPort
from agents.instruments.rtp_analysis import payloads
from lab_inventory.clock import SystemClock

SIGNAL = [bytes([number]) * 160 for number in range(10)]


async def test_a_signal_is_sent_once_and_silence_follows_it() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    sent = near.send_signal(far.address, payload_type=0, frames=SIGNAL, then=[b"\xff" * 160])
    await far.heard.first(lambda _: len(far.heard) >= 12, timeout_s=3)
    near.close()
    far.close()

    assert payloads(far.packets(), 0)[:12] == (*SIGNAL, b"\xff" * 160, b"\xff" * 160)
    assert sent.first_sequence == far.packets()[0].sequence
    assert sent.ends_ns - sent.started_ns == 200_000_000
