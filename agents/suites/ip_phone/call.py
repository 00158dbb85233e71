"""One call of the bench: a dialog with its audio, and what is sent in it and heard of the phone."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from agents.instruments.audio import decode, encode, level_dbfs, sample_rate_hz, tone, tone_share
from agents.instruments.dialog import Dialog
from agents.instruments.dtls import DtlsAssociation, DtlsIdentity, DtlsRole
from agents.instruments.dtls_sdp import DTLS_TRANSPORTS, Setup
from agents.instruments.opus import encode_opus, opus_bit_rate
from agents.instruments.packets import Peer
from agents.instruments.rtp import FRAME_S, RtpPacket, RtpPort, SignalSent
from agents.instruments.rtp_analysis import main_source, payloads
from agents.instruments.sdes import Crypto
from agents.instruments.sdp import (
    OPUS,
    SECURED,
    TELEPHONE_EVENT,
    AudioFormat,
    LocalAudio,
    Media,
    SessionDescription,
)
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sip_transactions import ClientTransaction
from agents.libopus import BIT_RATE
from lab_inventory.clock import boottime_ns

NO_FORMATS: Mapping[int, AudioFormat] = {}
FIRST_PACKET_S = 2.0
LISTEN_S = 0.6
LEVEL_DBFS_MIN = -50.0
TONE_SHARE_MIN = 0.5
TONE_LEVEL_DBFS = -20.0


def rtp_line(call_id: str, packet: RtpPacket, formats: Mapping[int, AudioFormat] = NO_FORMATS) -> str:
    """The header of one RTP packet of a call, with mark, key and format where they are known: one JSON line.

    Of a telephone event its number is kept too (RFC 4733, 2.3.1).
    """
    format_ = formats.get(packet.payload_type)
    is_event = format_ is not None and format_.encoding == TELEPHONE_EVENT.encoding and len(packet.payload) >= 4
    header = {
        "call": call_id,
        "at_ns": packet.at_ns,
        "payload_type": packet.payload_type,
        "marker": packet.marker,
        "sequence": packet.sequence,
        "timestamp": packet.timestamp,
        "ssrc": packet.ssrc,
        "payload_bytes": len(packet.payload),
        **({"key": packet.key} if packet.key else {}),
        **({} if packet.dscp is None else {"dscp": packet.dscp}),
        **({} if format_ is None else {"encoding": format_.encoding}),
        **({} if format_ is None or format_.clock_hz == 8000 else {"clock_hz": format_.clock_hz}),
        **({"event": packet.payload[0]} if is_event else {}),
    }
    return json.dumps(header) + "\n"


class Call:
    """A dialog with audio: what the phone asks for is sent, what it sends is kept."""

    def __init__(
        self, dialog: Dialog, port: RtpPort, audio: LocalAudio, *, identity: DtlsIdentity | None = None
    ) -> None:
        """``identity``: the bench's certificate, where the audio is keyed by DTLS."""
        self.dialog = dialog
        self.port = port
        self.dtls: DtlsAssociation | None = None
        self._audio = audio
        self._identity = identity
        dialog.on_remote = self._follow
        if dialog.remote is not None:
            self._follow(dialog.remote)

    @property
    def media(self) -> Media | None:
        """The phone's audio as it described it last."""
        return self.dialog.remote.audio if self.dialog.remote else None

    @property
    def codec(self) -> AudioFormat | None:
        """The codec agreed on: the phone's first that the bench has in this call too, under the phone's number."""
        return next((found for found in self._agreed() if found.codec != TELEPHONE_EVENT.codec), None)

    @property
    def formats(self) -> tuple[AudioFormat, ...]:
        """What payload types mean in this call: under the bench's numbers, which the phone sends, before its own."""
        return (*self._audio.formats, *(self.media.formats if self.media else ()))

    @property
    def event_format(self) -> AudioFormat | None:
        """The format of telephone events, where both sides have it in this call."""
        return next((found for found in self._agreed() if found.codec == TELEPHONE_EVENT.codec), None)

    def _agreed(self) -> tuple[AudioFormat, ...]:
        ours = {format_.codec for format_ in self._audio.formats}
        return tuple(found for found in (self.media.formats if self.media else ()) if found.codec in ours)

    def _follow(self, remote: SessionDescription) -> None:
        """Send a tone to where the phone wants it, in the codec agreed on; nothing where it wants nothing."""
        audio, codec = remote.audio, self.codec
        if audio is None or codec is None or audio.destination is None or not audio.direction.receives:
            self.port.stop_sending()
            return
        if audio.protocol in DTLS_TRANSPORTS and self._identity is not None:
            if self.dtls is None:
                self._begin_dtls(audio, audio.destination, self._identity)
                return
            if self.dtls.own is None:
                return
        elif (audio.protocol == SECURED or self.port.secured) and not self._agree_on_keys(audio):
            self.port.stop_sending()
            return
        is_opus = codec.codec == OPUS.codec
        frames = opus_tone(opus_bit_rate(codec.parameters)) if is_opus else tone_frames(codec.encoding)
        self.port.start_sending(audio.destination, payload_type=codec.payload_type, frames=frames, ticks=_ticks(codec))

    def send(self, frames: Sequence[bytes]) -> None:
        """Send these frames over and over, in the codec agreed on, in place of the tone; nothing where nobody listens.

        What the phone asks for after this (a hold, another codec) brings the tone back.
        """
        media, codec = self.media, self.codec
        if media is not None and codec is not None and media.destination is not None and media.direction.receives:
            self.port.start_sending(media.destination, payload_type=codec.payload_type, frames=frames)

    async def send_speech(
        self, samples: Sequence[int], *, impairment: Impairment = CLEAN, seed: int = 0
    ) -> SignalSent | None:
        """Send a signal in place of the tone, and wait until it is over.

        None where the phone wants no audio, or asked for something else in the middle of it.

        ``samples``: PCM, signed 16 bit, at the rate of the codec agreed on (:func:`sample_rate_hz`); what is left over
        of the last 20 ms is not sent. Silence follows it, until the phone asks for something else. What is given back
        says when it began, which packets were which, and what was done to them; what came meanwhile is in
        :meth:`packets`, each with the kernel's time and its payload.
        """
        audio, codec = self.media, self.codec
        if audio is None or codec is None or audio.destination is None or not audio.direction.receives:
            return None
        frames = await asyncio.to_thread(encode, codec.encoding, samples)  # the loop is not held up by it
        sent = self.port.send_signal(
            audio.destination,
            payload_type=codec.payload_type,
            frames=frames,
            then=silent_frames(codec.encoding),
            impairment=impairment,
            seed=seed,
            ticks=_ticks(codec),
        )
        if sent is None:
            return None
        await asyncio.sleep(max(0.0, (sent.ends_ns - boottime_ns()) / 1e9))
        return sent if self.port.signal is sent else None

    def _begin_dtls(self, audio: Media, peer: Peer, identity: DtlsIdentity) -> None:
        """Begin the handshake, or wait for it; audio follows when it has ended well. One lasts for the whole call."""
        association = DtlsAssociation(
            # Whoever is active begins; to actpass the bench has answered active, and an answer without is passive.
            role=DtlsRole.SERVER if audio.setup is Setup.ACTIVE else DtlsRole.CLIENT,
            identity=identity,
            told=audio.fingerprints,
            send=lambda datagram: self.port.send_datagram(datagram, peer),
            on_agreed=self._dtls_agreed,
        )
        self.dtls = association
        self.port.hear_dtls(lambda packet: association.receive(packet.data) if packet.peer[0] == peer[0] else None)
        association.start()

    def _dtls_agreed(self) -> None:
        if self.dtls is None or self.dtls.own is None or self.dtls.theirs is None or self.dialog.remote is None:
            return
        self.port.use_keys(own=self.dtls.own, theirs=self.dtls.theirs)
        self._follow(self.dialog.remote)

    def rekey(self, key: Crypto) -> ClientTransaction:
        """Offer another key of ours within the call; it is used once the phone has answered."""
        self._audio = replace(self._audio, key=key)
        return self.dialog.invite(audio=self._audio)

    def _agree_on_keys(self, audio: Media) -> bool:
        """Whether both sides have a key; then they are in use."""
        if self._audio.key is None or audio.protocol != SECURED or not audio.keys:
            return False
        theirs = audio.keys[0]
        own = replace(self._audio.key, tag=theirs.tag, suite=theirs.suite)
        self.port.use_keys(own=own, theirs=theirs)
        return True

    def packets(self, since_ns: int = 0, until_ns: int | None = None) -> tuple[RtpPacket, ...]:
        """What the phone sent, of its main source."""
        return main_source(self.port.packets(since_ns=since_ns, until_ns=until_ns))

    async def first_packet(self, since_ns: int, timeout_s: float) -> RtpPacket | None:
        """The first packet after a moment; looks again every 5 ms, times are the kernel's."""
        until_ns = since_ns + int(timeout_s * 1e9)
        while True:
            found = self.port.packets(since_ns=since_ns, until_ns=until_ns)
            if found:
                return found[0]
            if boottime_ns() > until_ns:
                return None
            await asyncio.sleep(0.005)

    async def audio_heard(self, tone_hz: float) -> tuple[bool, str]:
        """Whether the microphone's tone comes in the codec that was agreed on, and in words what came."""
        since_ns = boottime_ns()
        if await self.first_packet(since_ns, FIRST_PACKET_S) is None:
            return False, "no audio packets came"
        await asyncio.sleep(LISTEN_S)
        codec = self.codec
        if codec is None:
            return False, "no codec was agreed on"
        pcm = decode(codec.encoding, payloads(self.packets(since_ns), codec.payload_type))
        rate_hz = sample_rate_hz(codec.encoding)
        settled = pcm[rate_hz // 10 :]
        level = level_dbfs(settled)
        share = tone_share(settled, rate_hz=rate_hz, frequency_hz=tone_hz)
        words = f"{codec.encoding} at {level:.0f} dBFS, {share:.0%} of it at {tone_hz:g} Hz"
        return level >= LEVEL_DBFS_MIN and share >= TONE_SHARE_MIN, words

    async def falls_silent(self, after_ns: int) -> bool:
        """Whether the phone sends nothing any more from 0.2 s after a moment on, looked at for 0.5 s."""
        from_ns = after_ns + 200_000_000
        until_ns = from_ns + 500_000_000
        await asyncio.sleep(max(0.0, (until_ns - boottime_ns()) / 1e9))
        return not self.port.packets(since_ns=from_ns, until_ns=until_ns)

    def end(self) -> None:
        """Hang up what is still up, and let go of the port."""
        if self.dialog.established and not self.dialog.ended:
            self.dialog.bye()
        if self.dtls is not None:
            self.dtls.close()
        self.port.close()


def _ticks(codec: AudioFormat) -> int:
    """How much of the RTP clock a frame of 20 ms is."""
    return round(codec.clock_hz * FRAME_S)


@lru_cache(maxsize=8)
def tone_frames(encoding: str) -> tuple[bytes, ...]:
    """A second of the bench's tone; kept, because encoding it takes longer than a packet may be late."""
    return encode(encoding, tone(encoding, seconds=1.0, level_dbfs=TONE_LEVEL_DBFS))


@lru_cache(maxsize=8)
def opus_tone(bit_rate: int = BIT_RATE) -> tuple[bytes, ...]:
    """The same in Opus: the second second, so that its end goes over into its begin. Raises OpusMissing."""
    pcm = tone(OPUS.encoding, seconds=2.0, level_dbfs=TONE_LEVEL_DBFS)
    return encode_opus(pcm, bit_rate=bit_rate)[-round(1 / FRAME_S) :]


@lru_cache(maxsize=8)
def silent_frames(encoding: str) -> tuple[bytes, ...]:
    """A second of silence."""
    return encode(encoding, [0] * sample_rate_hz(encoding))
