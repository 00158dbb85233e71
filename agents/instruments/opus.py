"""Opus as RTP carries it (RFC 7587): PCM to payloads of 20 ms and back, and how long a payload is.

The codec is the system's library (``agents.libopus``), whose absence raises OpusMissing; pure but for that.
"""

import re
from array import array
from collections.abc import Iterable, Sequence

from agents.libopus import BIT_RATE, FRAME_SAMPLES, MalformedOpus, OpusDecoder, OpusEncoder

_HALF_MS = 24
"""Ticks in half a millisecond: the RTP clock of Opus is 48 kHz whatever is sampled (RFC 7587, 4.1)."""
_SILK_MS, _HYBRID_MS, _CELT_HALVES = (10, 20, 40, 60), (10, 20), (5, 10, 20, 40)
_LONGEST_TICKS = 120 * 2 * _HALF_MS
_BIT_RATE_MIN = 6_000
_WANTED_RATE = re.compile(r"(?:^|;)[ \t]*maxaveragebitrate[ \t]*=[ \t]*([0-9]{1,9})[ \t]*(?:;|$)", re.IGNORECASE)


def opus_bit_rate(parameters: str) -> int:
    """Bits in a second to send to whoever tells these parameters: what the bench sends, or what they want at most.

    At least 6,000, the lowest that there is (RFC 7587, 6.1: maxaveragebitrate).
    """
    wanted = _WANTED_RATE.search(parameters)
    return max(_BIT_RATE_MIN, min(BIT_RATE, int(wanted[1]))) if wanted else BIT_RATE


def encode_opus(pcm: Sequence[int], *, bit_rate: int = BIT_RATE) -> tuple[bytes, ...]:
    """Payloads of 20 ms of mono at 48 kHz; what is left over of the last frame is not encoded."""
    encoder = OpusEncoder(bit_rate=bit_rate)
    starts = range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    return tuple(encoder.encode(array("h", pcm[start : start + FRAME_SAMPLES])) for start in starts)


def decode_opus(payloads: Iterable[bytes]) -> "array[int]":
    """The PCM (mono, 48 kHz) of one stream's payloads; one that is no Opus packet is heard as 20 ms of silence."""
    decoder = OpusDecoder()
    pcm = array("h")
    for payload in payloads:
        try:
            pcm.extend(decoder.decode(payload))
        except MalformedOpus:
            pcm.extend([0] * FRAME_SAMPLES)
    return pcm


def opus_ticks(payload: bytes) -> int | None:
    """How long a payload is in ticks of 48 kHz, by its first bytes (RFC 6716, 3.1 and 3.2); None where it is no packet.

    The library is not asked, so that this is a second opinion on what it decodes.
    """
    if not payload:
        return None
    configuration, code = payload[0] >> 3, payload[0] & 3
    if configuration < 12:
        halves = 2 * _SILK_MS[configuration & 3]
    elif configuration < 16:
        halves = 2 * _HYBRID_MS[configuration & 1]
    else:
        halves = _CELT_HALVES[configuration & 3]
    frames = (1, 2, 2, payload[1] & 0x3F if len(payload) > 1 else 0)[code]
    ticks = halves * _HALF_MS * frames
    return ticks if 0 < ticks <= _LONGEST_TICKS else None
