"""What a procedure works with: the slot's endpoint, its driver, calls with audio, and a place for what was found."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from agents.drivers import DriverRefused, KeyGoesDown, PhoneDriver, driver_in, installed_drivers, traits_of
from agents.instruments.conduct import ORDINARY, Conduct
from agents.instruments.dialog import Dialog
from agents.instruments.registrar import Binding, Registrar
from agents.instruments.rtp import RtpPort
from agents.instruments.sdp import (
    PCMU,
    TELEPHONE_EVENT,
    AudioFormat,
    LocalAudio,
)
from agents.instruments.sender.sender import Sender
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Response
from agents.instruments.sip_streams import Transport, transport_of
from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.sip_transport import Received
from agents.instruments.stall import StallMeter
from agents.instruments.subscriptions import Notifier
from agents.measure import LabError, Procedure
from agents.suites.ip_phone.call import Call, rtp_line
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
    calls: list[Call] = field(default_factory=list)
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
    ) -> tuple[Call, ClientTransaction]:
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


def driver_for(assignment: Assignment) -> PhoneDriver:
    """The driver that the unit was registered with; raises LabError where it is not here."""
    name, control = assignment.dut.registration.driver, assignment.slot.control
    found = installed_drivers().get(name or "")
    if found is None or control is None:
        raise LabError(f"there is no driver {name or '(none)'} for the unit in slot {assignment.slot.name}")
    return with_its_pace(driver_in(assignment.slot, found))
