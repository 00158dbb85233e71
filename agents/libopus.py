"""The system's Opus codec (RFC 6716) by ctypes: mono, 16 bit. Knows nothing of RTP.

It is a codec and no protocol, so that the instruments and the reference phone both have it from here, as they have
G.722 from one package. Where the library is missing, nothing here works and the error says what to install.
"""

import ctypes
from array import array
from functools import lru_cache

from lab_inventory.errors import BadInput, InvariantBroken, Unavailable

RATE_HZ = 48_000
FRAMES_A_SECOND = 50
FRAME_SAMPLES = RATE_HZ // FRAMES_A_SECOND
BIT_RATE = 32_000
_NAME = "libopus.so.0"
_APPLICATION_AUDIO = 2049
_SET_BITRATE = 4002
_PACKET_BYTES_MAX = 1275
_PACKET_SAMPLES_MAX = 5760
"""120 ms at 48 kHz, the longest packet (RFC 6716, 3.2.5)."""


class OpusMissing(Unavailable):
    """The system's Opus library is not installed"""

    slug = "opus-missing"


class MalformedOpus(BadInput):
    """The bytes are no Opus packet (RFC 6716, 3.4)"""

    slug = "malformed-opus"


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        raise OpusMissing(f"{_NAME} cannot be loaded ({error}): apt-get install libopus0") from None
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    library.opus_strerror.argtypes, library.opus_strerror.restype = [ctypes.c_int], ctypes.c_char_p
    library.opus_get_version_string.argtypes, library.opus_get_version_string.restype = [], ctypes.c_char_p
    library.opus_encoder_get_size.argtypes = [ctypes.c_int]
    library.opus_encoder_init.argtypes = [pointer, size, ctypes.c_int, ctypes.c_int]
    library.opus_encode.argtypes = [pointer, pointer, ctypes.c_int, ctypes.c_char_p, size]
    library.opus_encode.restype = size
    library.opus_decoder_get_size.argtypes = [ctypes.c_int]
    library.opus_decoder_init.argtypes = [pointer, size, ctypes.c_int]
    library.opus_decode.argtypes = [pointer, ctypes.c_char_p, size, pointer, ctypes.c_int, ctypes.c_int]
    return library


def version() -> str:
    """What the library calls itself. Raises OpusMissing."""
    told: bytes = _library().opus_get_version_string()
    return told.decode()


class OpusEncoder:
    """One stream of mono at 48 kHz, or another rate that Opus has (8, 12, 16 or 24 kHz). Its state is memory of
    Python's, so that it goes with the object. Raises OpusMissing.
    """

    def __init__(self, *, bit_rate: int = BIT_RATE, rate_hz: int = RATE_HZ) -> None:
        self._library = _library()
        self._state = ctypes.create_string_buffer(self._library.opus_encoder_get_size(1))
        _check(self._library.opus_encoder_init(self._state, rate_hz, 1, _APPLICATION_AUDIO))
        _check(self._library.opus_encoder_ctl(self._state, _SET_BITRATE, ctypes.c_int32(bit_rate)))
        self._packet = ctypes.create_string_buffer(_PACKET_BYTES_MAX)
        self._samples = rate_hz // FRAMES_A_SECOND

    def encode(self, frame: "array[int]") -> bytes:
        """The packet of one frame of 20 ms (960 samples at 48 kHz)."""
        if frame.typecode != "h" or len(frame) != self._samples:
            raise InvariantBroken(f"a frame is {self._samples} samples of 16 bit, not {len(frame)} of {frame.typecode}")
        start, _ = frame.buffer_info()
        size = self._library.opus_encode(self._state, start, self._samples, self._packet, _PACKET_BYTES_MAX)
        return self._packet.raw[: _check(size)]


class OpusDecoder:
    """One stream, mixed down to mono where it has two channels, at a rate that Opus has. Raises OpusMissing."""

    def __init__(self, *, rate_hz: int = RATE_HZ) -> None:
        self._library = _library()
        self._state = ctypes.create_string_buffer(self._library.opus_decoder_get_size(1))
        _check(self._library.opus_decoder_init(self._state, rate_hz, 1))
        self._pcm = (ctypes.c_int16 * _PACKET_SAMPLES_MAX)()

    def decode(self, packet: bytes) -> "array[int]":
        """The samples of one packet, 2.5 to 120 ms of them. Raises MalformedOpus; the stream goes on with the next."""
        if not packet:  # the library would take it for a packet that was lost
            raise MalformedOpus("an empty payload")
        samples = self._library.opus_decode(
            self._state, packet, len(packet), ctypes.addressof(self._pcm), _PACKET_SAMPLES_MAX, 0
        )
        if samples < 0:
            raise MalformedOpus(f"{len(packet)} bytes: {self._library.opus_strerror(samples).decode()}")
        pcm = array("h")
        pcm.frombytes(ctypes.string_at(ctypes.addressof(self._pcm), samples * pcm.itemsize))
        return pcm


def _check(result: int) -> int:
    if result < 0:
        raise InvariantBroken(f"libopus: {_library().opus_strerror(result).decode()}")
    return result
