"""One run of the bench's measuring loop without a device, where every truth is known: a call between two endpoints of
the bench's own, and what its instruments see of it against what was really done.

Takes the address of the host; gives errors (measured minus truth). It uses the code that measures phones and nothing
else, and judges nothing. A run that does not come about raises Unavailable.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

from agents.instruments.audio import decode, encode, level_dbfs, sample_rate_hz, tone, tone_share
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.rtp import FRAME_S, RtpPacket, RtpPort
from agents.instruments.rtp_analysis import jitter_ticks, longest_gap_ms, main_source, missing, pace, payloads
from agents.instruments.sdp import G722, PCMA, PCMU, AudioFormat, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable
from lab_inventory.measurement import Unit

ANSWER_S = 2.0
FRAMES = 20
"""Of each direction: 0.4 s."""
ARRIVES_S = 2.0
ONE_LEFT_OUT_OF = 10
BURST_S = 0.02
BURST_DBFS = -15.0
TONE_FROM_FRAME = 6
"""Behind the burst, and a frame later, when the decoder of G.722 has settled."""
DELAYS_S = (0.0, 0.06)
RING_S = (0.005, 0.04)
LEVELS_DBFS = (-35.0, -10.0)
CODECS: tuple[AudioFormat, ...] = (PCMU, PCMA, G722)

QUANTITIES: Mapping[str, tuple[Unit, str]] = {
    "response_time": (
        Unit.MILLISECOND,
        "from the arrival of the INVITE to the sending of the 180, by the clock of the endpoint that waited",
    ),
    "receive_time": (Unit.MILLISECOND, "the time at which the sender sent; given is the 95th percentile of a run"),
    "packet_interval_sd": (Unit.MILLISECOND, "of the intervals at which the sender sent"),
    "packet_gap": (Unit.MILLISECOND, "the longest interval at which the sender sent"),
    "jitter": (Unit.MILLISECOND, "RFC 3550, 6.4.1, from the times at which the sender sent; the highest of a run"),
    "audio_delay": (Unit.MILLISECOND, "a burst of noise behind so much silence, through PCMU, PCMA and G.722 in turn"),
    "packets_lost": (Unit.PERCENT, "the share that the sender numbered and left out"),
    "tone_level": (Unit.DBFS, "of the tone that was encoded, -35 to -10 dBFS, in PCMU, PCMA and G.722 in turn"),
    "tone_share": (Unit.RATIO, "1: nothing but the tone was encoded"),
}
"""What is found in a run, in which unit, and against which truth."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What one run does: the wait before the 180, the codec, the silence before the burst, the level of the tone."""

    ring_s: float
    codec: AudioFormat
    delay_samples: int
    level_dbfs: float


class OwnLoop:
    """Two endpoints at one address, while it is entered; ``run`` is one run. Raises Unavailable where none opens."""

    def __init__(self, host: str, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._opened = contextlib.ExitStack()
        self._near = SipEndpoint(clock=clock)
        self._far = SipEndpoint(clock=clock)

    def __enter__(self) -> "OwnLoop":
        for endpoint in (self._near, self._far):
            endpoint.open((self._host, 0))
            self._opened.callback(endpoint.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    async def run(self, number: int) -> dict[str, float]:
        """The errors of one run, by quantity. The codecs take turns by ``number``, the other truths are drawn."""
        codec = CODECS[number % len(CODECS)]
        draw = self._clock.uniform
        truth = Truth(
            ring_s=draw(*RING_S),
            codec=codec,
            delay_samples=floor(draw(*DELAYS_S) * sample_rate_hz(codec.encoding)),
            level_dbfs=draw(*LEVELS_DBFS),
        )
        burst = self._noise(codec)
        frames = encode(codec.encoding, _signal(truth, burst))
        with contextlib.ExitStack() as opened:
            ports = [RtpPort(clock=self._clock).open(self._host) for _ in range(2)]
            for port in ports:
                opened.callback(port.close)
            near, far = ports
            errors = await self._call(truth, near, far, frames)
        heard_far, heard_near = main_source(far.packets()), main_source(near.packets())
        errors |= _packet_errors(near, heard_far, codec.payload_type)
        errors["packets_lost"] = _loss_error_percent(far, heard_near)
        return errors | _audio_errors(truth, burst, decode(codec.encoding, payloads(heard_far, codec.payload_type)))

    async def _call(self, truth: Truth, near: RtpPort, far: RtpPort, frames: Sequence[bytes]) -> dict[str, float]:
        """The call with its media; what it says of the time of a response, in ms."""
        near_audio, far_audio = (
            LocalAudio(host=port.address[0], port=port.address[1], formats=(truth.codec,)) for port in (near, far)
        )
        host, number = self._far.address
        call = Dialog.outgoing(self._near, audio=near_audio, peer=self._far.address, target=f"sip:loop@{host}:{number}")
        with expecting_calls(self._far, audio=far_audio) as arrived:
            invite = call.invite()
            answered = await arrived.first(lambda _: True, timeout_s=ANSWER_S)
            if answered is None or answered.invitation is None:
                raise Unavailable("an INVITE of the bench to itself did not arrive")
            await asyncio.sleep(truth.ring_s)
            rang_ns = answered.ring()
            ringing = await invite.response(180, timeout_s=ANSWER_S)
            answered.accept()
            final = await invite.final(timeout_s=ANSWER_S)
        if ringing is None or ringing.message.status != 180 or final is None or final.message.status != 200:
            raise Unavailable("a call of the bench to itself was not answered")
        waited_ns = rang_ns - answered.invitation.received.at_ns
        far.leave_out_every = ONE_LEFT_OUT_OF
        await _exchange(near, far, truth.codec.payload_type, frames)
        ended = await call.bye().final(timeout_s=ANSWER_S)
        if ended is None or ended.message.status != 200:
            raise Unavailable("the end of a call of the bench to itself was not answered")
        return {"response_time": (ringing.at_ns - invite.sent_ns[0] - waited_ns) / 1e6}

    def _noise(self, codec: AudioFormat) -> list[int]:
        peak = 32768 * 10 ** (BURST_DBFS / 20)
        return [round(self._clock.uniform(-peak, peak)) for _ in range(round(BURST_S * sample_rate_hz(codec.encoding)))]


async def _exchange(near: RtpPort, far: RtpPort, payload_type: int, frames: Sequence[bytes]) -> None:
    """Both send every frame once, or a little more; ends when that has come, or ``ARRIVES_S`` after it is due."""
    near.start_sending(far.address, payload_type=payload_type, frames=frames)
    far.start_sending(near.address, payload_type=payload_type, frames=frames)
    await far.heard.first(lambda _: len(far.heard) >= len(frames), timeout_s=len(frames) * FRAME_S + ARRIVES_S)
    near.stop_sending()
    far.stop_sending()
    await far.heard.first(lambda _: len(far.heard) >= near.packets_sent, timeout_s=ARRIVES_S)
    await near.heard.first(lambda _: len(near.heard) >= far.packets_sent, timeout_s=ARRIVES_S)


def _signal(truth: Truth, burst: Sequence[int]) -> list[int]:
    """Silence, the burst, silence, and the tone to the end."""
    rate_hz = sample_rate_hz(truth.codec.encoding)
    before = round(TONE_FROM_FRAME * FRAME_S * rate_hz)
    start = [0] * truth.delay_samples + list(burst)
    sounding = tone(truth.codec.encoding, seconds=(FRAMES - TONE_FROM_FRAME) * FRAME_S, level_dbfs=truth.level_dbfs)
    return [*start, *([0] * (before - len(start))), *sounding]


def _packet_errors(sender: RtpPort, heard: Sequence[RtpPacket], payload_type: int) -> dict[str, float]:
    """What the instruments see in the times at which packets came, against the times at which they were sent, in ms."""
    if len(heard) != sender.packets_sent or any(packet.sequence not in sender.sent_ns for packet in heard):
        raise Unavailable(f"of {sender.packets_sent} packets of the bench to itself {len(heard)} came")
    sent = [replace(packet, at_ns=sender.sent_ns[packet.sequence]) for packet in heard]
    seen, done = pace(heard, payload_type), pace(sent, payload_type)
    if seen is None or done is None:
        raise Unavailable("the bench sent too few packets to itself")
    late_ms = sorted((packet.at_ns - sender.sent_ns[packet.sequence]) / 1e6 for packet in heard)
    of_heard, of_sent = (max(jitter_ticks(of, payload_type)) / 8 for of in (heard, sent))
    gaps = [longest_gap_ms(of, of[0].at_ns, of[-1].at_ns) for of in (heard, sent)]
    return {
        "receive_time": late_ms[len(late_ms) * 95 // 100],
        "packet_interval_sd": seen.sd_ms - done.sd_ms,
        "packet_gap": gaps[0] - gaps[1],
        "jitter": of_heard - of_sent,
    }


def _loss_error_percent(sender: RtpPort, heard: Sequence[RtpPacket]) -> float:
    """The share of packets that is seen to be missing less the share that was left out, in per cent."""
    numbers = {packet.sequence for packet in heard}
    # One that was left out before the first or after the last that came is none that anybody could miss.
    inside = [n for n in sender.left_out if (n - 1) & 0xFFFF in numbers and (n + 1) & 0xFFFF in numbers]
    return 100 * (missing(heard) - len(inside)) / (sender.packets_sent + len(inside))


def _audio_errors(truth: Truth, burst: Sequence[int], pcm: Sequence[int]) -> dict[str, float]:
    """Delay, level and purity of what was decoded, against what was encoded."""
    rate_hz = sample_rate_hz(truth.codec.encoding)
    start = round((TONE_FROM_FRAME + 1) * FRAME_S * rate_hz)
    sounding = pcm[start : round(FRAMES * FRAME_S * rate_hz)]
    found = _lag(burst, pcm[:start])
    return {
        "audio_delay": 1000 * (found - truth.delay_samples) / rate_hz,
        "tone_level": level_dbfs(sounding) - truth.level_dbfs,
        "tone_share": tone_share(sounding, rate_hz=rate_hz) - 1,
    }


def _lag(pattern: Sequence[int], pcm: Sequence[int]) -> int:
    """Behind how many samples a pattern is found: where the correlation is highest."""
    lags = range(max(1, len(pcm) - len(pattern)))
    return max(lags, key=lambda lag: sum(a * b for a, b in zip(pattern, pcm[lag:], strict=False)))
