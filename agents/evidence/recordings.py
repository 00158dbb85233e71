"""The sound of a case's calls as WAV files: what the bench sent and what came, decoded, each for itself. Pure.

Samples stand where the time stamps put them: what was lost, or not sent, is silence. Bounded: of each direction of a
call the first ``SECONDS_MAX``, of a case ``FILES_MAX`` files and ``BYTES_MAX``; names say what is left out.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from agents.evidence.case_files import CaseFile, Heard
from agents.instruments.audio import decode, sample_rate_hz
from agents.instruments.rtp import SentFrame
from agents.instruments.rtp_analysis import in_sequence, main_source
from agents.instruments.sdp import G722, PCMA, PCMU, TELEPHONE_EVENT, AudioFormat
from lab_inventory.errors import AssayError
from lab_inventory.evidence.wav import MEDIA_TYPE, SAMPLE_BYTES, write_wav

SECONDS_MAX = 60.0
FILES_MAX = 12
"""A measurement names at most 16 files; beside these there are messages, packets and capture."""
BYTES_MAX = 16_000_000
NAME_CHARACTERS_MAX = 100
RESTARTS_S = 1.0
"""Time stamps that go apart from the times of arrival by more than this have begun anew."""

FIXED_RATE = frozenset({PCMU.encoding, PCMA.encoding, G722.encoding})


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One packet's payload in the order sent, and where it belongs: ticks of the RTP clock, and s of the bench."""

    timestamp: int
    at_s: float
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What passed in one direction of a call in one encoding, as long as it may be."""

    name: str
    rate_hz: int
    samples: "array[int]"


def recordings(heard: Sequence[Heard]) -> tuple[CaseFile, ...]:
    """The files, call by call, sent before received; directions without audio that can be decoded have none."""
    files: list[CaseFile] = []
    places: dict[bytes, int] = {}
    left_out = size_bytes = 0
    for number, one in enumerate(heard, start=1):
        label = one.name or f"call {number}"
        for recording in (*_of("sent", label, one), *_of("received", label, one)):
            data = write_wav(recording.rate_hz, recording.samples)
            if (place := places.setdefault(data, len(files))) < len(files):  # files are kept by what is in them
                same = files[place]
                files[place] = replace(same, name=f"{same.name}, {label}"[:NAME_CHARACTERS_MAX])
                continue
            if len(files) == FILES_MAX or size_bytes + len(data) > BYTES_MAX:
                del places[data]
                left_out += 1
                continue
            size_bytes += len(data)
            files.append(CaseFile(name=recording.name, media_type=MEDIA_TYPE, data=data))
    if left_out and files:
        files[-1] = replace(files[-1], name=f"{files[-1].name} ({left_out} more recordings are not kept)")
    return tuple(files)


def _of(direction: str, label: str, one: Heard) -> Iterator[Recording]:
    frames: dict[str, list[Frame]] = {}
    formats = {format_.payload_type: format_ for format_ in one.formats}
    for encoding, frame in _sent(one, formats) if direction == "sent" else _received(one, formats):
        frames.setdefault(encoding, []).append(frame)
    for encoding, found in frames.items():
        clock_hz = next(format_.clock_hz for format_ in one.formats if format_.encoding == encoding)
        starts = _starts(found, clock_hz)
        kept = [frame for frame, start_s in zip(found, starts, strict=True) if start_s < SECONDS_MAX]
        try:
            rate_hz = sample_rate_hz(encoding)
            pieces = _decoded(encoding, kept)
        except AssayError:  # no decoder for what a phone sent: packets and capture tell of it
            continue
        samples = _placed([start_s for start_s in starts if start_s < SECONDS_MAX], pieces, rate_hz)
        whole_s = max(starts)
        cut = f", first {SECONDS_MAX:g} s of {whole_s:.0f}" if whole_s >= SECONDS_MAX else ""
        yield Recording(name=f"audio {direction} {label} {encoding}{cut}", rate_hz=rate_hz, samples=samples)


def _sent(one: Heard, formats: Mapping[int, AudioFormat]) -> Iterator[tuple[str, Frame]]:
    for sent in _in_order(one.sent):
        format_ = formats.get(sent.payload_type)
        if format_ is not None and format_.encoding != TELEPHONE_EVENT.encoding:
            yield format_.encoding, Frame(timestamp=sent.timestamp, at_s=sent.at_ns / 1e9, payload=sent.payload)


def _in_order(sent: Sequence[SentFrame]) -> list[SentFrame]:
    """As the time stamps have it, copies left out: what is impaired on purpose leaves late, twice or out of order."""
    by_time: dict[int, SentFrame] = {}
    for frame in sent:
        by_time.setdefault(_signed(frame.timestamp - sent[0].timestamp), frame)
    return [by_time[at] for at in sorted(by_time)]


def _received(one: Heard, formats: Mapping[int, AudioFormat]) -> Iterator[tuple[str, Frame]]:
    for packet in in_sequence(main_source(one.packets)):
        format_ = formats.get(packet.payload_type)
        if format_ is not None and format_.encoding != TELEPHONE_EVENT.encoding:
            yield format_.encoding, Frame(timestamp=packet.timestamp, at_s=packet.at_ns / 1e9, payload=packet.payload)


def _decoded(encoding: str, frames: Sequence[Frame]) -> Iterable["array[int]"]:
    """The samples of each frame. One decoder hears all of them in their order, for it may adapt.

    Raises InvariantBroken where there is no decoder.
    """
    samples = decode(encoding, (frame.payload for frame in frames))
    octets = sum(len(frame.payload) for frame in frames)
    if encoding in FIXED_RATE and octets:  # so many samples an octet: one in G.711, two in G.722
        sizes = [len(frame.payload) * (len(samples) // octets) for frame in frames]
    else:
        share, rest = divmod(len(samples), len(frames))
        sizes = [share + (number < rest) for number in range(len(frames))]
    start = 0
    pieces = []
    for size in sizes:
        pieces.append(samples[start : start + size])
        start += size
    return pieces


def _starts(frames: Sequence[Frame], clock_hz: int) -> list[float]:
    """When each frame begins, in s since the first."""
    starts = [0.0]
    for before, frame in pairwise(frames):
        step_s = _signed(frame.timestamp - before.timestamp) / clock_hz
        waited_s = frame.at_s - before.at_s
        step_s = step_s if abs(step_s - waited_s) <= RESTARTS_S else max(0.0, waited_s)
        starts.append(max(0.0, starts[-1] + step_s))
    return starts


def _placed(starts: Sequence[float], pieces: Iterable["array[int]"], rate_hz: int) -> "array[int]":
    """The samples on one axis of time, cut at ``SECONDS_MAX``."""
    most = round(SECONDS_MAX * rate_hz)
    samples = array("h")
    for start_s, piece in zip(starts, pieces, strict=True):
        start = round(start_s * rate_hz)
        end = min(start + len(piece), most)
        if start >= end:
            continue
        if end > len(samples):
            samples.frombytes(bytes(SAMPLE_BYTES * (end - len(samples))))
        samples[start:end] = piece[: end - start]
    return samples


def _signed(difference: int) -> int:
    """A difference of time stamps, which wrap at 32 bits, as the nearer of both ways."""
    return (difference + (1 << 31)) % (1 << 32) - (1 << 31)
