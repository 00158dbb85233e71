"""The bench proves itself on loopback, without a device: two endpoints of our own register, call and send audio.

Takes the host address and a clock, gives measurements held against the bench's own limits; runs for about two seconds.
Everything in it is the code that measures phones. A bench outside its limits measures nothing.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from agents.instruments.audio import decode, encode, level_dbfs, sample_rate_hz, tone, tone_share
from agents.instruments.dialog import Dialog, expecting_calls, ignoring_calls
from agents.instruments.digest import Account, answer_challenge
from agents.instruments.dtmf import digit_packets, event_faults, key_events
from agents.instruments.packets import Peer
from agents.instruments.registrar import Registrar
from agents.instruments.rtp import RtpPacket, RtpPort
from agents.instruments.rtp_analysis import main_source, missing, pace, payloads
from agents.instruments.sdp import PCMU, TELEPHONE_EVENT, LocalAudio
from agents.instruments.sender.sender import Sender
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Response
from agents.instruments.sip_transactions import Timers
from agents.instruments.stall import StallMeter
from lab_inventory.clock import Clock, boottime_ns
from lab_inventory.errors import AssayError
from lab_inventory.measurement import Limit, Measurement, Unit, Value

MEDIA_S = 1.0
DIGITS = "159#"
EVENTS = TELEPHONE_EVENT.payload_type
LEVEL_DBFS = -20.0
ANSWER_S = 1.0
_FAST = Timers(t1_s=0.05, t2_s=0.4)  # the timer check repeats an INVITE; at the RFC's pace that would take seconds
_REPEATS = 3

LIMITS: dict[str, tuple[Unit, Limit]] = {
    "registration_works": (Unit.BOOL, Limit(equals=True)),
    "wrong_password_refused": (Unit.BOOL, Limit(equals=True)),
    "call_works": (Unit.BOOL, Limit(equals=True)),
    "packets_missing": (Unit.COUNT, Limit(max=0)),
    "digits_correct": (Unit.BOOL, Limit(equals=True)),
    "tone_level_error_db": (Unit.DECIBEL, Limit(min=-0.5, max=0.5)),
    "tone_share": (Unit.RATIO, Limit(min=0.95)),
    "pacing_sd_ms": (Unit.MILLISECOND, Limit(max=5.0)),
    "receive_time_error_ms": (Unit.MILLISECOND, Limit(min=0.0, max=1.0)),
    "timer_error_ms": (Unit.MILLISECOND, Limit(min=0.0, max=20.0)),
    "loop_lateness_ms": (Unit.MILLISECOND, Limit(max=50.0)),
}
"""What the bench asks of itself (our choice: a third of what the tightest programme limits ask, or looser where the
window that is measured carries its own bench stall)."""


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """The measurements in the order of LIMITS, and for each that is outside its limit a sentence."""

    measurements: tuple[Measurement, ...]
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the bench may measure."""
        return not self.faults


async def check_bench(host: str, *, clock: Clock, instrument: str) -> SelfCheck:
    """Let the bench measure itself. A step that breaks leaves its quantities without a value, which is a fault."""
    values: dict[str, Value] = {}
    notes: list[str] = []
    meter = StallMeter()
    meter.start()
    began_ns = boottime_ns()
    for step in (_check_signalling, _check_timers):
        try:
            values |= await step(host, clock)
        except (AssayError, OSError) as error:
            notes.append(f"{step.__name__.removeprefix('_').replace('_', ' ')}: {error}")
    values["loop_lateness_ms"] = meter.lateness_ms(began_ns, boottime_ns())
    meter.stop()
    measurements = tuple(
        Measurement(quantity=quantity, unit=unit, value=values.get(quantity), instrument=instrument)
        for quantity, (unit, _) in LIMITS.items()
    )
    return SelfCheck(measurements=measurements, faults=(*(_faults(measurements)), *notes))


def _faults(measurements: tuple[Measurement, ...]) -> list[str]:
    faults: list[str] = []
    for measured in measurements:
        unit, limit = LIMITS[measured.quantity]
        if measured.value is None:
            faults.append(f"{measured.quantity} could not be measured")
        elif not limit.admits(measured.value):
            faults.append(f"{measured.quantity} is {measured.value} {unit}, asked is {limit}")
    return faults


@dataclass(frozen=True, kw_only=True)
class _Far:
    """The phone's side of the check."""

    endpoint: SipEndpoint
    bench: Peer
    account: Account
    clock: Clock

    async def register(self, password: str) -> int | None:
        """Register with this password; the final status, or None."""
        local_call_id = self.clock.new_id("call")
        challenged = await self._send_register(local_call_id, 1, None)
        if challenged is None or challenged.status != 401:
            return None
        header = answer_challenge(
            challenged.get("WWW-Authenticate") or "",
            account=Account(username=self.account.username, password=password, realm=self.account.realm),
            method="REGISTER",
            uri=self._uri,
            client_nonce=self.clock.new_id("c"),
        )
        final = await self._send_register(local_call_id, 2, header)
        return None if final is None else final.status

    @property
    def _uri(self) -> str:
        return f"sip:{self.bench[0]}:{self.bench[1]}"

    async def _send_register(self, local_call_id: str, number: int, authorization: str | None) -> Response | None:
        host, port = self.endpoint.address
        address = f"<sip:{self.account.username}@{self.bench[0]}>"
        headers = [
            ("Via", self.endpoint.via()),
            ("Max-Forwards", "70"),
            ("From", f"{address};tag={self.clock.new_id('t')}"),
            ("To", address),
            ("Call-ID", local_call_id),
            ("CSeq", f"{number} REGISTER"),
            ("Contact", f"<sip:{self.account.username}@{host}:{port}>"),
            ("Expires", "60"),
        ]
        if authorization is not None:
            headers.append(("Authorization", authorization))
        transaction = self.endpoint.send_request("REGISTER", self._uri, headers, peer=self.bench)
        final = await transaction.final(timeout_s=ANSWER_S)
        return None if final is None else final.message


async def _check_signalling(host: str, clock: Clock) -> dict[str, Value]:
    """Registration, a call and its media."""
    account = Account(username="self-check", password=clock.token(""), realm="bench")
    registrar = Registrar(account, expires_s=60, clock=clock)
    with contextlib.ExitStack() as opened:
        bench = SipEndpoint(clock=clock, registrar=registrar).open((host, 0))
        opened.callback(bench.close)
        far_endpoint = SipEndpoint(clock=clock).open((host, 0))
        opened.callback(far_endpoint.close)
        far = _Far(endpoint=far_endpoint, bench=bench.address, account=account, clock=clock)
        refused = await far.register(clock.token("")) == 403
        registered = await far.register(account.password) == 200
        values: dict[str, Value] = {"wrong_password_refused": refused, "registration_works": registered}
        bindings = registrar.bindings(boottime_ns())
        if bindings:
            sender = Sender()
            opened.callback(sender.close)
            await sender.ready()
            near_port, far_port = RtpPort(clock=clock, sender=sender), RtpPort(clock=clock, sender=sender)
            for port in (near_port, far_port):
                port.open(host)
                opened.callback(port.close)
            near_audio, far_audio = _audio(near_port), _audio(far_port)
            call = Dialog.outgoing(bench, audio=near_audio, peer=bindings[0].peer, target=bindings[0].uri)
            values |= await _check_call(call, far_endpoint, near_port, far_port, far_audio)
    return values


def _audio(port: RtpPort) -> LocalAudio:
    host, number = port.address
    return LocalAudio(host=host, port=number, formats=(PCMU, TELEPHONE_EVENT))


async def _check_call(
    call: Dialog, far_endpoint: SipEndpoint, near: RtpPort, far: RtpPort, far_audio: LocalAudio
) -> dict[str, Value]:
    with expecting_calls(far_endpoint, audio=far_audio) as arrived:
        invite = call.invite()
        answered = await arrived.first(lambda _: True, timeout_s=ANSWER_S)
        if answered is None:
            return {"call_works": False}
        answered.ring()
        ringing = await invite.response(180, timeout_s=ANSWER_S)
        answered.accept()
        final = await invite.final(timeout_s=ANSWER_S)
    invitation = answered.invitation
    acknowledged = invitation is not None and await invitation.acknowledged(timeout_s=ANSWER_S) is not None
    rang = ringing is not None and ringing.message.status == 180
    established = rang and acknowledged and final is not None and final.message.status == 200
    values = await _check_media(near, far) if established else {}
    ended = await call.bye().final(timeout_s=ANSWER_S)
    return {"call_works": established and ended is not None and ended.message.status == 200, **values}


async def _check_media(near: RtpPort, far: RtpPort) -> dict[str, Value]:
    """A tone both ways and digits one way; the worse of both directions is given."""
    frames = encode("PCMU", tone("PCMU", seconds=0.2, level_dbfs=LEVEL_DBFS))
    near.start_sending(far.address, payload_type=PCMU.payload_type, frames=frames)
    far.start_sending(near.address, payload_type=PCMU.payload_type, frames=frames)
    near.send_events(digit_packets(DIGITS, TELEPHONE_EVENT.payload_type))
    await asyncio.sleep(MEDIA_S)
    near.stop_sending()
    far.stop_sending()
    await asyncio.sleep(0)  # what is in the socket now is read before the analysis
    heard_far, heard_near = main_source(far.packets()), main_source(near.packets())
    paces = [pace(heard, PCMU.payload_type) for heard in (heard_far[len(DIGITS) * 7 :], heard_near)]
    audio = [decode("PCMU", payloads(heard, PCMU.payload_type)) for heard in (heard_far, heard_near)]
    errors_db = [level_dbfs(pcm) - LEVEL_DBFS for pcm in audio]
    keys = key_events(heard_far, EVENTS)
    values: dict[str, Value] = {
        "packets_missing": missing(heard_far) + missing(heard_near),
        "digits_correct": "".join(key.digit for key in keys) == DIGITS and not event_faults(heard_far, EVENTS),
        "tone_level_error_db": max(errors_db, key=abs),
        "tone_share": min(tone_share(pcm, rate_hz=sample_rate_hz("PCMU")) for pcm in audio),
    }
    if all(paces):
        values["pacing_sd_ms"] = max(found.sd_ms for found in paces if found is not None)
    transits_ms = sorted(_transits_ms(near, heard_far) + _transits_ms(far, heard_near))
    if transits_ms:
        values["receive_time_error_ms"] = transits_ms[len(transits_ms) * 95 // 100]
    return values


def _transits_ms(sender: RtpPort, heard: tuple[RtpPacket, ...]) -> list[float]:
    """From the sender's time stamp to the kernel's at the receiver: on loopback, the error of both."""
    sent_ns = sender.sent_ns
    return [(packet.at_ns - sent_ns[packet.sequence]) / 1e6 for packet in heard if packet.sequence in sent_ns]


async def _check_timers(host: str, clock: Clock) -> dict[str, Value]:
    """An INVITE that nobody answers, at a tenth of the RFC's pace: do its repeats come when they are due?"""
    with contextlib.ExitStack() as opened:
        caller = SipEndpoint(clock=clock, timers=_FAST).open((host, 0))
        opened.callback(caller.close)
        silent = SipEndpoint(clock=clock).open((host, 0))
        opened.callback(silent.close)
        audio = LocalAudio(host=host, port=9, formats=(PCMU,))
        target = f"sip:nobody@{silent.address[0]}:{silent.address[1]}"
        with ignoring_calls(silent) as arrived:
            Dialog.outgoing(caller, audio=audio, peer=silent.address, target=target).invite()
            await asyncio.sleep(_FAST.t1_s * 2**_REPEATS)
            (invitation,) = arrived.all() or (None,)
    if invitation is None or len(invitation.arrivals_ns) != _REPEATS + 1:
        return {}
    began_ns = invitation.arrivals_ns[0]
    due_ms = [_FAST.t1_s * 1000 * (2**repeat - 1) for repeat in range(_REPEATS + 1)]
    errors_ms = [abs((at - began_ns) / 1e6 - due) for at, due in zip(invitation.arrivals_ns, due_ms, strict=True)]
    return {"timer_error_ms": max(errors_ms)}
