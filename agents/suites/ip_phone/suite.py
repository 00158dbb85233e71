"""The open suite: identifies the phone, carries out cases, keeps what was said on the wire as evidence."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from agents.discover import identity_of
from agents.evidence.case_files import CaseFile, Heard, Seen, case_files
from agents.evidence.masking import Masking
from agents.evidence.recordings import recordings
from agents.instruments.registrar import RegisterRecord
from agents.instruments.self_check import check_bench
from agents.measure import LabError, Procedure, Recorder
from agents.probes.sip import sighting_of
from agents.suites import BenchCheck, Identified
from agents.suites.ip_phone.bench import LOOKS_BACK, PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.to_score import have_scored
from lab_inventory.clock import boottime_ns, wall_ns
from lab_inventory.errors import AssayError
from lab_inventory.messages import Assignment
from lab_inventory.programme import TestCase

REGISTERS_WITHIN_S = 20.0


class PhoneSuite:
    """One run's hold on a slot."""

    def __init__(self, *, bench: PhoneBench, assignment: Assignment, procedures: Mapping[str, Procedure]) -> None:
        self.procedures = procedures
        self._bench = bench
        self._assignment = assignment
        self._closed = False
        account = bench.registrar.account
        self._masking = Masking(
            key=bench.clock.token("").encode(), user=account.username, realm=account.realm, password=account.password
        )

    async def check_bench(self) -> BenchCheck:
        """Let the bench measure itself on the slot's own host."""
        instrument = self._assignment.instruments[0].name
        checked = await check_bench(self._bench.endpoint.address[0], clock=self._bench.clock, instrument=instrument)
        return BenchCheck(passed=checked.passed, measurements=checked.measurements, reason="; ".join(checked.faults))

    async def identify_device(self) -> Identified:
        """Reset the phone, and wait until it registers here and says who it is."""
        bench = self._bench
        await bench.driver.open()
        await bench.driver.reset()
        record = await bench.registrar.records.first(_binds, timeout_s=REGISTERS_WITHIN_S)
        bindings = bench.registrar.bindings(boottime_ns())
        if record is None or not bindings:
            raise LabError(f"no phone registered in the slot within {REGISTERS_WITHIN_S:g} s")
        sighting = sighting_of(bindings[0], self._assignment.slot.name, bench.clock)
        expected = self._assignment.dut.registration
        identity = identity_of(sighting, self._assignment.host)
        if identity != expected.identity:
            return Identified(
                same=False,
                user_agent=sighting.user_agent,
                reason=f"it is {identity.value}, expected was {expected.identity.value}",
            )
        if sighting.user_agent != expected.user_agent:
            return Identified(
                same=False,
                user_agent=sighting.user_agent,
                reason=f"it now calls itself {sighting.user_agent!r}, it was {expected.user_agent!r}",
            )
        return Identified(same=True, user_agent=sighting.user_agent, reason="")

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        """One repeat of one case; the messages of its time are kept as evidence, whatever comes of it."""
        bench = self._bench
        began_ns = boottime_ns()
        # A case that looks back over the whole run keeps the whole trace.
        since_ns = 0 if case.procedure in LOOKS_BACK else began_ns
        try:
            async with bench.one_case(case):
                await self.procedures[case.procedure].carry_out(bench, recorder)
        finally:
            # Beside the loop: the phone may refresh its registration meanwhile, and is to be answered in time.
            kept = await asyncio.to_thread(_kept, self._seen(since_ns), self._masking)
            evidence = [recorder.attach(f"{case.id} {file.name}", file.media_type, file.data) for file in kept]
        bench.check_complete()
        for found in bench.found:
            recorder.measure(
                found.quantity,
                found.value,
                bench_stall=found.bench_stall,
                uncertainty=found.uncertainty,
                added_uncertainty=found.added_uncertainty,
                note=self._masking.text(found.note),
                evidence=evidence,
            )
        for wanted in bench.to_score:
            have_scored(recorder, case.id, wanted)
        for quantity, why in bench.unmeasured.items():
            recorder.leave_unmeasured(quantity, why)

    def _seen(self, since_ns: int) -> Seen:
        """What the bench saw since a moment, and in the calls of the case."""
        bench = self._bench
        return Seen(
            bench=bench.endpoint.address,
            interface=self._assignment.slot.name,
            trace=bench.endpoint.transport.trace.json_lines(since_ns=since_ns),
            records=bench.registrar.records.all(),
            heard=[_heard(call) for call in bench.calls],
            rtp=bench.rtp_lines(),
            wall_offset_ns=wall_ns() - boottime_ns(),
        )

    async def close(self) -> None:
        """Leave the phone idle and the address free."""
        if self._closed:
            return
        self._closed = True
        for call in self._bench.calls:
            call.end()
        try:
            with suppress(AssayError):
                await self._bench.driver.reset()
        finally:
            await self._bench.driver.close()
            self._bench.close()


def _kept(seen: Seen, masking: Masking) -> tuple[CaseFile, ...]:
    return (*case_files(seen, masking), *recordings(seen.heard))


def _heard(call: Call) -> Heard:
    return Heard(
        call=call.dialog.call_id,
        address=call.port.address,
        source=call.media.destination if call.media else None,
        packets=call.port.packets(),
        sent_ns=tuple(call.port.sent_ns.values()),
        reports=tuple(call.port.rtcp_heard),
        formats=call.formats,
        sent=tuple(call.port.sent_frames),
    )


def _binds(record: RegisterRecord) -> bool:
    return record.binds
