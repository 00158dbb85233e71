"""Two phones on one bench: the one under test, and the companion that it calls and is called by.

Each is registered at its own slot's address. The bench stands between them as the server does: it passes their calls
on, keeps what both say, hears the audio of each on its way to the other, and plays a third party. What the companion
fails to do is no fault of the device under test: it is the lab's, and an error.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import NoReturn

from agents.discover import identity_of
from agents.drivers import PhoneDriver, driver_in, installed_drivers
from agents.evidence.case_files import Heard
from agents.evidence.recordings import recordings
from agents.instruments.arrivals import Arrivals
from agents.instruments.audio import decode, level_dbfs, sample_rate_hz, tone_share
from agents.instruments.dialog import Dialog, SilentLeg
from agents.instruments.digest import Account
from agents.instruments.passed_call import PassedCall, Side, passed_call
from agents.instruments.registrar import Registrar
from agents.instruments.rtp import RtpPacket, RtpPort
from agents.instruments.rtp_analysis import main_source, payloads
from agents.instruments.rtp_relay import relay_between
from agents.instruments.sdp import TELEPHONE_EVENT, AudioFormat
from agents.instruments.sip_endpoint import Leg, SipEndpoint
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.sip_transport import Trace
from agents.measure import LabError, Recorder
from agents.probes.sip import sighting_of
from agents.suites import Identified
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import LEVEL_DBFS_MIN, LISTEN_S, TONE_SHARE_MIN, Call, rtp_line
from agents.suites.ip_phone.suite import REGISTERS_WITHIN_S, PhoneSuite
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import AssayError, Unavailable
from lab_inventory.lab import Role
from lab_inventory.messages import Assignment, CompanionDevice
from lab_inventory.noun import host_and_port
from lab_inventory.programme import TestCase

THIRD = "third-party"
"""Whom the bench plays: the user part of the number that is dialled for it."""
CALLS_MAX = 64
_REGISTERS = re.compile(rb"\\r\\nCSeq[ \t]*:[ \t]*[0-9]+[ \t]+REGISTER[ \t]*\\r\\n", re.IGNORECASE)
"""In a line of a trace, which has its line ends in the way of JSON."""
_KEY = re.compile(rb"(inline:)([A-Za-z0-9+/=]+)")
AUDIO_WITHIN_S = 2.0


class Failed(Exception):
    """The device under test did not do its part; the words say what."""


@dataclass(frozen=True, kw_only=True)
class Party:
    """One of the two phones: how it is called in notes, whether it is the one beside the device under test, its slot's
    endpoint and registrar, and its keys.
    """

    name: str
    is_companion: bool
    endpoint: SipEndpoint
    registrar: Registrar
    driver: PhoneDriver

    def uri(self, user: str) -> str:
        """What this phone dials to reach somebody behind the bench."""
        host, port = self.endpoint.address
        return f"sip:{user}@{host}:{port}"


@dataclass(kw_only=True)
class PairBench(PhoneBench):
    """The bench with a second phone. ``passed`` and ``third`` are the calls of the case that is carried out now: those
    between the phones, and those to the third party, which are not answered yet.
    """

    companion: Party
    passed: Arrivals[PassedCall] = field(default_factory=lambda: Arrivals(most=CALLS_MAX))
    third: Arrivals[Call] = field(default_factory=lambda: Arrivals(most=CALLS_MAX))

    @property
    def phone(self) -> Party:
        """The device under test."""
        return Party(
            name="the phone",
            is_companion=False,
            endpoint=self.endpoint,
            registrar=self.registrar,
            driver=self.driver,
        )

    def party_across(self, party: Party) -> Party:
        """The other of the two phones."""
        return self.phone if party.is_companion else self.companion

    @asynccontextmanager
    async def one_case(self, case: TestCase) -> AsyncIterator[None]:
        """Around a case: calls of either phone are passed on while it lasts, and none is left behind."""
        self.passed, self.third = Arrivals(most=CALLS_MAX), Arrivals(most=CALLS_MAX)
        self._companion_before = self._companion_suffered()
        async with super().one_case(case):
            with ExitStack() as expecting:
                for party in (self.phone, self.companion):
                    expecting.enter_context(party.endpoint.expecting_calls(self._server_of(party)))
                try:
                    yield
                finally:
                    for call in self.passed.all():
                        call.end()
                    for asked in self.third.all():
                        asked.end()
                    await self.companion.driver.reset()

    def _server_of(self, party: Party) -> "_Server":
        return _Server(self, party)

    def check_complete(self) -> None:
        """As for one phone, and of the companion's side and the ports between them too."""
        super().check_complete()
        ports: list[RtpPort] = [side.port for call in self.passed.all() for side in (call.caller, call.callee)]
        ports += [call.port for call in self.third.all()]
        now = self._companion_suffered()
        dropped, unkept, steps = (after - before for after, before in zip(now, self._companion_before, strict=True))
        dropped += sum(port.kernel_dropped for port in ports)
        unkept += sum(port.heard.dropped for port in ports)
        steps += sum(port.clock_steps for port in ports)
        if dropped or unkept:
            raise LabError(f"the bench lost {dropped} datagrams between the phones and had no room for {unkept}")
        if steps:
            raise LabError("the wall clock was set while the kernel's times of arrival counted")

    def _companion_suffered(self) -> tuple[int, int, int]:
        transport = self.companion.endpoint.transport
        return transport.port.dropped, transport.trace.dropped, transport.port.clock_steps

    def fail(self, party: Party, words: str) -> NoReturn:
        """Say that a phone did not do its part. Raises LabError where that is the companion, else Failed."""
        if party.is_companion:
            raise LabError(f"{party.name} {words}")
        raise Failed(f"{party.name} {words}")

    async def hears(self, call: PassedCall, party: Party, *, within_s: float = AUDIO_WITHIN_S) -> str:
        """Wait for the audio of a phone on its way to the other: in words what is wrong with it, or nothing.

        Of the phone under test the tone of its microphone must come; of the companion anything that is no silence.
        """
        side = self.side_of(call, party)
        since_ns = boottime_ns()
        await side.port.heard.first(lambda packet: packet.at_ns >= since_ns, timeout_s=within_s)
        await asyncio.sleep(LISTEN_S)
        known = {one.payload_type: one for one in (*side.formats, *call.other(side).formats)}
        packets = main_source(side.port.packets(since_ns=since_ns))
        spoken = [packet for packet in packets if _encoding(known, packet) not in ("", TELEPHONE_EVENT.encoding)]
        if not spoken:
            return f"no audio packets came from {party.name}"
        encoding = _encoding(known, spoken[-1])
        pcm = decode(encoding, payloads(spoken, spoken[-1].payload_type))
        rate_hz = sample_rate_hz(encoding)
        settled = pcm[rate_hz // 10 :]
        level = level_dbfs(settled)
        if level < LEVEL_DBFS_MIN:
            return f"{party.name} sends {encoding} at {level:.0f} dBFS"
        tone_hz = float(self.ixit.get("tone", 1000))
        share = tone_share(settled, rate_hz=rate_hz, frequency_hz=tone_hz)
        if not party.is_companion and share < TONE_SHARE_MIN:
            return f"{party.name} sends {encoding} at {level:.0f} dBFS, {share:.0%} of it at {tone_hz:g} Hz"
        return ""

    def side_of(self, call: PassedCall, party: Party) -> Side:
        """A phone's side of a call."""
        return call.caller if call.caller.endpoint is party.endpoint else call.callee

    def pair_rtp_lines(self) -> bytes:
        """The header of every RTP packet that either phone sent to the other, or to the third party."""
        heard = [
            (side.call_id, packet)
            for call in self.passed.all()
            for side in (call.caller, call.callee)
            for packet in side.port.packets()
        ]
        heard += [(call.dialog.call_id, packet) for call in self.third.all() for packet in call.port.packets()]
        return "".join(rtp_line(call, packet) for call, packet in heard).encode()

    def pair_heard(self) -> list[Heard]:
        """The audio of each phone in each call between them, on its way to the other."""
        return [
            Heard(
                call=side.call_id,
                address=side.port.address,
                source=None,
                packets=side.port.packets(),
                sent_ns=(),
                formats=(*side.formats, *call.other(side).formats),
                name=f"{whose} of passed call {number}",
            )
            for number, call in enumerate(self.passed.all(), start=1)
            for whose, side in (("caller", call.caller), ("callee", call.callee))
        ]


def _encoding(known: Mapping[int, AudioFormat], packet: RtpPacket) -> str:
    found = known.get(packet.payload_type)
    return "" if found is None else found.encoding


class _Server:
    """Takes each new call of one phone: on to the other phone, or to the third party."""

    def __init__(self, bench: PairBench, party: Party) -> None:
        self._bench = bench
        self._party = party

    def __call__(self, invitation: ServerTransaction) -> Leg:
        bench, party = self._bench, self._party
        if f"sip:{THIRD}@" in invitation.request.uri:
            port, audio = bench.open_call_audio()
            dialog = Dialog.incoming(party.endpoint, audio=audio, invitation=invitation)
            bench.third.add(Call(dialog, port, audio))
            return dialog
        across = bench.party_across(party)
        binding = next(iter(across.registrar.bindings(0)), None)
        if binding is None:
            party.endpoint.respond(invitation, 480)
            return SilentLeg()
        ports = relay_between(party.endpoint.address[0], across.endpoint.address[0], bench.clock)
        call = passed_call(invitation, party.endpoint, across.endpoint, ports, peer=binding.peer, target=binding.uri)
        bench.passed.add(call)
        return call.caller


class PairSuite(PhoneSuite):
    """One run's hold on two slots."""

    def __init__(
        self, *, bench: PairBench, suite: PhoneSuite, assignment: Assignment, companion: CompanionDevice
    ) -> None:
        super().__init__(bench=bench, assignment=assignment, procedures=suite.procedures)
        self._pair = bench
        self._companion = companion
        self._companion_closed = False

    async def identify_device(self) -> Identified:
        """Both phones are reset and say who they are. Raises LabError where the companion is not the one expected."""
        found = await super().identify_device()
        if found.same:
            await self._identify_companion()
        return found

    async def _identify_companion(self) -> None:
        party, expected = self._pair.companion, self._companion.registration
        await party.driver.open()
        await party.driver.reset()
        record = await party.registrar.records.first(lambda record: record.binds, timeout_s=REGISTERS_WITHIN_S)
        if record is None:
            raise LabError(f"{party.name} did not register within {REGISTERS_WITHIN_S:g} s")
        binding = party.registrar.bindings(boottime_ns())[0]
        sighting = sighting_of(binding, self._companion.slot.name, self._pair.clock)
        identity = identity_of(sighting, self._assignment.host)
        if (identity, sighting.user_agent) != (expected.identity, expected.user_agent):
            said = f"{identity.value}, {sighting.user_agent!r}"
            raise LabError(f"{party.name} is {said}; granted was {expected.identity.value}, {expected.user_agent!r}")

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        """One repeat of one case; what the companion's side said is kept beside what the phone's said."""
        began_ns = boottime_ns()
        try:
            await super().carry_out(case, recorder)
        finally:
            messages = calls_alone(self._pair.companion.endpoint.transport.trace, began_ns)
            kept = (("companion SIP messages", messages), ("passed RTP packets", self._pair.pair_rtp_lines()))
            for name, data in kept:
                if data:
                    recorder.attach(f"{case.id} {name}", "application/jsonl", data)
            for file in await asyncio.to_thread(recordings, self._pair.pair_heard()):
                recorder.attach(f"{case.id} {file.name}", file.media_type, file.data)

    async def close(self) -> None:
        """Leave both phones idle and both addresses free."""
        try:
            await super().close()
        finally:
            if not self._companion_closed:
                self._companion_closed = True
                party = self._pair.companion
                try:
                    with suppress(AssayError):
                        await party.driver.reset()
                finally:
                    await party.driver.close()
                    party.endpoint.close()


def calls_alone(trace: Trace, since_ns: int) -> bytes:
    """A trace as evidence without the registrations, which are the lab's own and have its credentials, and with stars
    in place of the keys of secured media (RFC 4568, 9).
    """
    lines = trace.json_lines(since_ns=since_ns).splitlines(keepends=True)
    kept = b"".join(line for line in lines if not _REGISTERS.search(line))
    return _KEY.sub(lambda found: found[1] + b"*" * len(found[2]), kept)


def pair_suite(
    suite: PhoneSuite, bench: PhoneBench, assignment: Assignment, *, realm: str, expires_s: int
) -> PairSuite:
    """The suite of a phone, with the companion of its run. Raises LabError where it cannot have it; then the suite's
    own address is free again.
    """
    try:
        companion = next(one for one in assignment.companions if one.role is Role.COMPANION)
        party = _party(companion, bench, realm=realm, expires_s=expires_s)
    except StopIteration:
        bench.close()
        raise LabError("the run has no companion among its devices") from None
    except LabError:
        bench.close()
        raise
    same = {one.name: getattr(bench, one.name) for one in fields(bench)}
    pair = PairBench(**same, companion=party)
    return PairSuite(bench=pair, suite=suite, assignment=assignment, companion=companion)


def _party(companion: CompanionDevice, bench: PhoneBench, *, realm: str, expires_s: int) -> Party:
    slot, name = companion.slot, companion.registration.driver
    found = installed_drivers().get(name or "")
    if found is None:
        raise LabError(f"there is no driver {name or '(none)'} for the companion in slot {slot.name}")
    driver = driver_in(slot, found)
    at, given = slot.sip
    account = Account(username=given.user, password=given.password.get_secret_value(), realm=realm)
    registrar = Registrar(account, expires_s=expires_s, clock=bench.clock)
    try:
        endpoint = SipEndpoint(clock=bench.clock, registrar=registrar).open(host_and_port(at))
    except Unavailable as error:
        raise LabError(f"the address of the companion's slot is not free: {error.detail}") from error
    named = f"the companion ({companion.registration.user_agent or slot.name})"
    return Party(name=named, is_companion=True, endpoint=endpoint, registrar=registrar, driver=driver)
