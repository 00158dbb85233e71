"""What a procedure works with: the slot's endpoint, its driver, calls with audio, and a place for what was found."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

from agents.drivers import DriverRefused, KeyGoesDown, PhoneDriver, driver_in, installed_drivers, traits_of
from agents.instruments.audio import decode, encode, level_dbfs, sample_rate_hz, tone, tone_share
from agents.instruments.conduct import ORDINARY, Conduct
from agents.instruments.dialog import Dialog
from agents.instruments.dtls import DtlsAssociation, DtlsIdentity, DtlsRole
from agents.instruments.dtls_sdp import DTLS_TRANSPORTS, Setup
from agents.instruments.opus import encode_opus, opus_bit_rate
from agents.instruments.packets import Peer
from agents.instruments.registrar import Binding, Registrar
from agents.instruments.rtp import FRAME_S, RtpPacket, RtpPort, SignalSent
from agents.instruments.rtp_analysis import main_source, payloads
from agents.instruments.sdes import Crypto
from agents.instruments.sdp import (
    OPUS,
    PCMU,
    SECURED,
    TELEPHONE_EVENT,
    AudioFormat,
    LocalAudio,
    Media,
    SessionDescription,
)
from agents.instruments.sender.impairment import CLEAN, Impairment
from agents.instruments.sender.sender import Sender
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Response
from agents.instruments.sip_streams import Transport, transport_of
from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.sip_transport import Received
from agents.instruments.stall import StallMeter
from agents.instruments.subscriptions import Notifier
from agents.libopus import BIT_RATE
from agents.measure import LabError, Procedure
from agents.suites.ip_phone.slow_keys import Press, presses_of, said_too_late, with_its_pace
from agents.suites.ip_phone.to_score import SoundWanted
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.ics import Answers, IxitValues
from lab_inventory.measurement import Value
from lab_inventory.messages import Assignment
from lab_inventory.programme import TestCase

SPOKEN = (PCMU, TELEPHONE_EVENT)
RING_TIMEOUT_S = 5.0
RING_SOON_S = 1.0
ANSWER_TIMEOUT_S = 5.0
FIRST_PACKET_S = 2.0
LISTEN_S = 0.6
LEVEL_DBFS_MIN = -50.0
TONE_SHARE_MIN = 0.5
TONE_LEVEL_DBFS = -20.0
NO_FORMATS: Mapping[int, AudioFormat] = {}
LOOKS_BACK = frozenset({"registration-refresh"})
"""Procedures that measure what came before their case began."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One value for the recorder, with what the bench suffered meanwhile in the same unit."""

    quantity: str
    value: Value | None
    note: str
    bench_stall: float | None
    uncertainty: float | None
    added_uncertainty: float = 0.0


@dataclass(kw_only=True)
class PhoneBench:
    """One slot during one run. ``found``, ``unmeasured`` (by quantity why) and ``calls`` are those of the case that is
    carried out now.

    ``phone_gone``: the instruments saw the phone fall silent in this case; that its keys cannot be pressed any more is
    then no fault of the lab.
    """

    endpoint: SipEndpoint
    registrar: Registrar
    driver: PhoneDriver
    meter: StallMeter
    clock: Clock
    ics: Answers
    ixit: IxitValues
    case: TestCase | None = None
    found: list[Found] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    calls: list["Call"] = field(default_factory=list)
    to_score: list[SoundWanted] = field(default_factory=list)
    phone_gone: bool = False
    power_port: str | None = None
    light_port: str | None = None
    audio_port: str | None = None
    sender: Sender = field(default_factory=Sender)
    _before: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        """From now on the phone's subscriptions are taken."""
        self.notifier = Notifier(self.endpoint)

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        self.sender.close()
        self.meter.stop()
        self.endpoint.close()

    def measure(
        self,
        quantity: str,
        value: Value | None,
        note: str = "",
        *,
        bench_stall: float | None = None,
        uncertainty: float | None = None,
        added_uncertainty: float = 0.0,
    ) -> None:
        """Say what was found of one declared quantity; None where it was looked for in vain, which ``note`` says.

        ``uncertainty`` stands instead of the instrument's; ``added_uncertainty`` comes on top.
        """
        self.found.append(
            Found(
                quantity=quantity,
                value=value,
                note=note,
                bench_stall=bench_stall,
                uncertainty=uncertainty,
                added_uncertainty=added_uncertainty,
            )
        )

    def measure_rest(self, procedure: Procedure, note: str) -> None:
        """Say why nothing was seen of whatever the procedure has not measured yet."""
        known = {found.quantity for found in self.found} | {name for one in self.to_score for name in one.into}
        for quantity in procedure.measures:
            if quantity not in known:
                self.measure(quantity, None, note)

    def score_later(self, wanted: SoundWanted) -> None:
        """Have recordings scored once the run does not send any more: their quantities are measured then.

        Where the lab cannot score them the case is an error.
        """
        self.to_score.append(wanted)

    async def press(self, verb: Awaitable[None]) -> Press:
        """Press a key, as in ``await bench.press(bench.driver.hold())``, and keep when."""
        called_ns = boottime_ns()
        await verb
        return Press(called_ns=called_ns, returned_ns=boottime_ns())

    @property
    def knows_the_press(self) -> bool:
        """Whether it is known when a key goes down, so that a delay from there on can be measured."""
        return traits_of(self.driver).key_goes_down is not KeyGoesDown.UNKNOWN

    def measure_from_press(self, quantity: str, press: Press, seen_ns: int | None, note: str = "") -> None:
        """Say how many ms after a press something was seen (boot time); None where it was looked for in vain.

        Where nobody knows when the key went down it stays unmeasured, so it proves nothing in either direction. Where
        it went down somewhere between the call and the return of the verb, the time between them is uncertainty.
        """
        if not self.knows_the_press:
            self.leave_unmeasured(quantity, f"with driver {self.driver.name} nobody knows when the key goes down")
            return
        if seen_ns is None:
            self.measure(quantity, None, note)
            return
        stall = self.lateness_ms(press.called_ns, seen_ns)
        value = max(0.0, (seen_ns - press.called_ns) / 1e6)
        if traits_of(self.driver).key_goes_down is KeyGoesDown.BEFORE_THE_RETURN:
            between = (min(seen_ns, press.returned_ns) - press.called_ns) / 1e6
            self.measure(quantity, value, note, bench_stall=stall, added_uncertainty=max(0.0, between))
        else:
            self.measure(quantity, value, note, bench_stall=stall)

    async def press_answer(self, invite: ClientTransaction) -> None:
        """Press the answer key of the phone that rings.

        Raises LabError where a driver that takes its time came too late: what the phone said before it was pressed says
        nothing of its answer key.
        """
        await self.driver.answer()
        if self.knows_the_press:
            return
        final = await invite.final(timeout_s=0)
        if final is not None and final.message.status >= 300:
            ended = f"the call had ended with {final.message.status}"
            raise LabError(f"{ended} before the answer key was said to be pressed")

    def leave_unmeasured(self, quantity: str, why: str) -> None:
        """Say that this bench cannot measure a quantity, and why: it is inconclusive then."""
        self.unmeasured[quantity] = why

    def lateness_ms(self, since_ns: int, until_ns: int) -> float:
        """The worst lateness of the bench in a window."""
        return self.meter.lateness_ms(since_ns, until_ns)

    def parameter(self, name: str) -> str | float:
        """A parameter of the case; raises LabError where the programme does not give it."""
        value = self.case.parameters.get(name) if self.case else None
        if value is None:
            raise LabError(f"the test case has no parameter {name}")
        return value

    def declared_absent(self, feature: str) -> bool:
        """Whether the ICS says that the product lacks a feature: then its keys are not looked for."""
        return self.ics.get(feature) is False

    def registered(self) -> Binding:
        """Where the phone can be reached: its last registration; raises LabError where there is none.

        While it is pointed at a TLS server of the bench, that is its registration there, whichever it refreshed last:
        its keys go to that account, and what it is told about its audio holds there only.
        One that has expired serves as well: that it was refreshed too late is for another case to say.
        """
        bindings = self.registrar.bindings(0)
        if not bindings:
            raise LabError("the phone is not registered, so that it cannot be called")
        there = (one for one in bindings if transport_of(one.peer) is Transport.TLS)
        return next(there, bindings[0])

    def open_call_audio(self, formats: Sequence[AudioFormat] = SPOKEN) -> tuple[RtpPort, LocalAudio]:
        """A free audio port, and how it is described."""
        port = RtpPort(clock=self.clock, sender=self.sender).open(self.endpoint.address[0])
        host, number = port.address
        return port, LocalAudio(host=host, port=number, formats=tuple(formats))

    def call_phone(
        self,
        formats: Sequence[AudioFormat] = SPOKEN,
        *,
        conduct: Conduct = ORDINARY,
        offer: Callable[[LocalAudio], bytes] | None = None,
    ) -> tuple["Call", ClientTransaction]:
        """Call the phone at its registered contact; ``offer`` makes the description that is sent, where it is given."""
        binding = self.registered()
        port, audio = self.open_call_audio(formats)
        dialog = Dialog.outgoing(self.endpoint, audio=audio, peer=binding.peer, target=binding.uri)
        call = Call(dialog, port, audio)
        self.calls.append(call)
        dialog.conduct = conduct
        return call, dialog.invite(body=None if offer is None else offer(audio))

    async def try_key(self, key: Callable[[], Awaitable[None]]) -> None:
        """Press a key that every phone has. Where the phone does not take it the wire shows what it does instead."""
        with suppress(DriverRefused):
            await key()

    async def take_call(self, invite: ClientTransaction) -> Received[Response] | None:
        """Let the driver answer a call once it rings; the final response, or None where none came.

        A phone that does not say that it rings is answered all the same: ringing is for another case to judge.
        """
        await invite.response(180, timeout_s=RING_SOON_S)
        early = await invite.final(timeout_s=0)
        if early is None:
            with suppress(DriverRefused):
                await self.press_answer(invite)
        return await invite.final(timeout_s=ANSWER_TIMEOUT_S)

    async def established_call(
        self, formats: Sequence[AudioFormat] = SPOKEN, *, conduct: Conduct = ORDINARY
    ) -> "Call | None":
        """Call the phone, let the driver answer; the call, or None where the phone did not take it."""
        call, invite = self.call_phone(formats, conduct=conduct)
        final = await self.take_call(invite)
        return call if final is not None and final.message.status == 200 else None

    def check_complete(self) -> None:
        """Raise LabError where the bench itself lost something in this case, did not know when something came, or was
        held up by the person who presses the keys: then what it saw proves nothing. A case that looks back over the
        whole run needs all of it whole.
        """
        if self.sender.fault:
            raise LabError(self.sender.fault)
        presses = presses_of(self.driver)
        late = said_too_late(presses, self.endpoint.transport.trace.entries() if presses else ())
        if late:
            raise LabError(f"{late}, which may have given it up since; done has to be said at once")
        signalling = self.endpoint.transport.port
        dropped, unkept, stepped = self._suffered()
        before = (0, 0, 0) if self.case is not None and self.case.procedure in LOOKS_BACK else self._before
        lost = dropped - before[0] + sum(call.port.kernel_dropped for call in self.calls)
        unkept += sum(call.port.heard.dropped for call in self.calls) - before[1]
        if lost or unkept:
            raise LabError(f"the bench lost {lost} datagrams and had no room for {unkept}")
        for host in {binding.peer[0] for binding in self.registrar.bindings(0)}:
            unsent = sum(call.port.unsendable[host] for call in self.calls)
            if unsent:  # to any other host it is the phone that named what cannot be reached
                raise LabError(f"{unsent} audio packets could not be sent to the phone's own host {host}")
        steps = stepped - before[2] + sum(call.port.clock_steps for call in self.calls)
        if steps:
            raise LabError(
                f"the wall clock of {signalling.address[0]} was set while the kernel's times of arrival counted"
            )

    def _suffered(self) -> tuple[int, int, int]:
        """What the signalling side has lost, not kept, and how often its clock was set, since the run began."""
        transport = self.endpoint.transport
        return transport.port.dropped, transport.trace.dropped + transport.refused, transport.port.clock_steps

    def rtp_lines(self) -> bytes:
        """The header of every RTP packet of the case's calls, as they came: one JSON object a line."""
        lines = [
            rtp_line(call.dialog.call_id, packet, formats)
            for call in self.calls
            for formats in [{format_.payload_type: format_ for format_ in reversed(call.formats)}]
            for packet in call.port.packets()
        ]
        return "".join(lines).encode()

    @asynccontextmanager
    async def one_case(self, case: TestCase) -> AsyncIterator[None]:
        """Around a case: nothing of the case before is there, and nothing of this one stays."""
        self.case, self.found, self.unmeasured, self.calls, self.phone_gone = case, [], {}, [], False
        self.to_score = []
        self._before = self._suffered()
        presses_of(self.driver).clear()
        try:
            yield
        finally:
            for call in self.calls:
                call.end()
            try:
                await self.driver.reset()
            except LabError:
                if not self.phone_gone:
                    raise


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


def driver_for(assignment: Assignment) -> PhoneDriver:
    """The driver that the unit was registered with; raises LabError where it is not here."""
    name, control = assignment.dut.registration.driver, assignment.slot.control
    found = installed_drivers().get(name or "")
    if found is None or control is None:
        raise LabError(f"there is no driver {name or '(none)'} for the unit in slot {assignment.slot.name}")
    return with_its_pace(driver_in(assignment.slot, found))
