"""Sound through ALSA's own library, by ctypes: one playing and one recording stream of a card, started together.

Nothing blocks: streams are opened non-blocking, and every wait of the library has a limit, so a stream that wedges
ends with StreamBroken and holds nobody up. Runs in a thread of the caller's.
"""

import ctypes
import errno
from functools import cache
from types import TracebackType
from typing import Self

import numpy as np

from agents.instruments.usb.port import HeadsetGone, Recording, Samples, StreamBroken, StreamRefused
from lab_inventory.clock import boottime_ns

BUFFER_US = 500_000
"""With less than 40 ms an emulated host runs dry; so much holds also where a busy machine lets it wait."""

WATCHDOG_S = 6.0
"""So long may no sample come."""

SLOWER_MAX = 6.0
"""So many times as long as it lasts may a recording take: an emulated bus waits for a busy machine."""

_PLAYBACK, _CAPTURE = 0, 1
_NONBLOCK = 1
_S16_LE = 2
_INTERLEAVED = 3
_WAIT_MS = 20
_CHUNK = 4096


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libasound.so.2")
    except OSError as error:
        raise StreamBroken(f"ALSA's library is missing: {error}; install libasound2") from error
    for name in ("snd_pcm_readi", "snd_pcm_writei", "snd_pcm_avail_update"):
        getattr(library, name).restype = ctypes.c_long
    library.snd_strerror.restype = ctypes.c_char_p
    return library


def _words(code: int) -> str:
    said: bytes = _library().snd_strerror(code)
    return said.decode(errors="replace")


def _raise(what: str, code: int) -> None:
    """Raise what a negative answer means."""
    if code >= 0:
        return
    if -code in (errno.ENODEV, errno.ENOENT, errno.ESHUTDOWN):
        raise HeadsetGone(f"{what}: {_words(code)}")
    raise StreamBroken(f"{what}: {_words(code)}")


class Pcm:
    """One stream of a device by its ALSA name, as ``hw:1,0``, 16 bits; with ``resample`` ALSA may change the rate.

    Raises StreamRefused where the device has no such format.
    """

    def __init__(
        self,
        device: str,
        *,
        capture: bool,
        channels: int,
        rate: int,
        resample: bool = False,
        buffer_us: int = BUFFER_US,
    ) -> None:
        self.channels = channels
        self._library = _library()
        self._handle = ctypes.c_void_p()
        way = _CAPTURE if capture else _PLAYBACK
        code = self._library.snd_pcm_open(ctypes.byref(self._handle), device.encode(), way, _NONBLOCK)
        self._what = f"{'recording' if capture else 'playing'} at {rate} Hz"
        _raise(f"{self._what} cannot be opened", code)
        code = self._library.snd_pcm_set_params(
            self._handle, _S16_LE, _INTERLEAVED, channels, rate, resample, buffer_us
        )
        if code < 0:
            self.close()
            if code == -errno.ENODEV:
                raise HeadsetGone(f"{self._what}: {_words(code)}")
            raise StreamRefused(f"{self._what}: {_words(code)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; once."""
        if self._handle:
            self._library.snd_pcm_drop(self._handle)
            self._library.snd_pcm_close(self._handle)
            self._handle = ctypes.c_void_p()

    def link(self, other: "Pcm") -> None:
        """Start and stop together with ``other``. Raises StreamBroken where their devices cannot."""
        _raise("two streams cannot be linked", self._library.snd_pcm_link(self._handle, other._handle))

    def start(self) -> None:
        """Start now; StreamRefused where the headset does not take it."""
        code = self._library.snd_pcm_start(self._handle)
        if code in (-errno.EPIPE, -errno.EPROTO, -errno.EINVAL, -errno.EIO):
            raise StreamRefused(f"{self._what}: {_words(code)}")
        _raise(f"{self._what} does not start", code)

    def wait(self) -> None:
        """Wait a moment for something to be read or written."""
        self._library.snd_pcm_wait(self._handle, _WAIT_MS)

    def free(self) -> int:
        """How many frames can be written or read without waiting."""
        count: int = self._library.snd_pcm_avail_update(self._handle)
        _raise(self._what, count)
        return count

    def write(self, sound: Samples) -> int:
        """Write what fits; gives how many frames."""
        raw = np.ascontiguousarray(sound)
        address = raw.ctypes.data_as(ctypes.c_void_p)
        count: int = self._library.snd_pcm_writei(self._handle, address, ctypes.c_ulong(len(sound)))
        if count == -errno.EAGAIN:
            return 0
        _raise(f"{self._what}: the bench came too late", count)
        return count

    def read(self) -> Samples:
        """What has been recorded since, shape (n, channels)."""
        into = np.empty((_CHUNK, self.channels), np.int16)
        address = into.ctypes.data_as(ctypes.c_void_p)
        count: int = self._library.snd_pcm_readi(self._handle, address, ctypes.c_ulong(_CHUNK))
        if count == -errno.EAGAIN:
            return into[:0]
        _raise(f"{self._what}: the bench came too late", count)
        return into[:count]

    def delay(self) -> int | None:
        """Frames between the program and the wire, as the driver reports them."""
        frames = ctypes.c_long()
        code = self._library.snd_pcm_delay(self._handle, ctypes.byref(frames))
        return frames.value if code == 0 else None


def play_and_record(
    card: str, sound: Samples, *, play_rate: int, record_rate: int, record_s: float, mic_channels: int = 1
) -> Recording:
    """Play stereo ``sound`` and then silence while recording the first channel for ``record_s``."""
    opened_ns = boottime_ns()
    with (
        Pcm(f"hw:{card},0", capture=False, channels=2, rate=play_rate) as playing,
        Pcm(f"hw:{card},0", capture=True, channels=mic_channels, rate=record_rate) as recording,
    ):
        recording.link(playing)
        behind = round((record_s + 2 * WATCHDOG_S) * play_rate) - len(sound)
        silence = np.zeros((max(0, behind), 2), np.int16)
        whole = np.concatenate([sound, silence])
        written = playing.write(whole[: playing.free() * 3 // 4])
        recording.start()
        wanted = round(record_s * record_rate)
        began_ns = last_ns = boottime_ns()
        parts: list[Samples] = []
        count = 0
        arrivals: list[tuple[int, int]] = []
        ahead: list[float] = []
        while count < wanted:
            now_ns = boottime_ns()
            if now_ns - last_ns > WATCHDOG_S * 1e9 and not count:
                raise StreamRefused(f"recording at {record_rate} Hz: not one sample came within {WATCHDOG_S:g} s")
            if now_ns - last_ns > WATCHDOG_S * 1e9 or (now_ns - began_ns) / 1e9 > SLOWER_MAX * record_s + WATCHDOG_S:
                raise StreamBroken(f"{count} of {wanted} samples came within {(now_ns - began_ns) / 1e9:.0f} s")
            recording.wait()
            got = recording.read()
            if len(got):
                parts.append(got[:, 0])
                count += len(got)
                last_ns = boottime_ns()
                arrivals.append((count, last_ns))
            written += playing.write(whole[written : written + max(0, playing.free())])
            played, recorded = playing.delay(), recording.delay()
            if played is not None and recorded is not None:
                ahead.append(count + recorded - (written - played) * record_rate / play_rate)
        low, middle, high = np.percentile(ahead, (10, 50, 90)) if ahead else (np.nan,) * 3
    return Recording(
        sound=np.concatenate(parts)[:wanted], rate=record_rate, ahead=float(middle),
        ahead_spread=float(high - low), opened_ns=opened_ns, arrivals=tuple(arrivals),
    )  # fmt: skip
