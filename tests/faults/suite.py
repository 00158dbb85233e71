"""A suite whose every step is a key that its device writes down, with the run and its epoch; and the driver for it.

Procedures have the names that the programme gives them, last a fraction of what the programme says, and measure values
well inside every limit: whatever is judged *fail* in the end, no device deserved it.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import ClassVar

from agents.discover import identity_of
from agents.drivers import DriverUnreachable, Server
from agents.measure import LabError, Procedure, Recorder
from agents.probes.sip import SipProbe
from agents.suites import BenchCheck, Identified, OpenSuite, OpenSuiteFor
from lab_inventory.clock import Clock
from lab_inventory.device import Product
from lab_inventory.errors import Unavailable
from lab_inventory.measurement import Limit, Unit, Value
from lab_inventory.messages import Assignment
from lab_inventory.noun import host_and_port
from lab_inventory.programme import Programme, TestCase
from tests.faults.witness import RESET

PRESS_S = 2.0
GAP_S = 0.15
REGISTERS_WITHIN_S = 20.0
_USER_AGENT = re.compile(r"^Witness (\w+)/([0-9.]+)$")


class WitnessDriver:
    """Presses keys of a device; in nobody's name unless a run lends its own."""

    name: ClassVar[str] = "witness"

    def __init__(self, control: str) -> None:
        self._address = host_and_port(control)
        self._as: dict[str, object] = {"run": "", "epoch": 0}
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        match = _USER_AGENT.match(user_agent)
        return Product(maker="Witness", model=match[1], firmware=match[2]) if match else None

    def press_as(self, run: str, epoch: int) -> None:
        self._as = {"run": run, "epoch": epoch}

    async def open(self) -> None:
        await self.close()
        try:
            async with asyncio.timeout(PRESS_S):
                self._open = await asyncio.open_connection(*self._address)
        except (OSError, TimeoutError) as error:
            raise DriverUnreachable("the device does not answer") from error

    async def close(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None

    async def press(self, key: str) -> int:
        """Press a key; gives the number under which the device wrote it down."""
        if self._open is None:
            await self.open()
        assert self._open is not None
        reader, writer = self._open
        try:
            async with asyncio.timeout(PRESS_S):
                writer.write(json.dumps({**self._as, "key": key}).encode() + b"\n")
                return int(json.loads(await reader.readline())["number"])
        except (OSError, TimeoutError, ValueError) as error:
            raise DriverUnreachable("the device does not take a key") from error

    async def dial(self, uri: str) -> None:
        await self.press("dial")

    async def answer(self) -> None:
        await self.press("answer")

    async def hang_up(self) -> None:
        await self.press("hang-up")

    async def hold(self) -> None:
        await self.press("hold")

    async def resume(self) -> None:
        await self.press("resume")

    async def press_keys(self, digits: str) -> None:
        for digit in digits:
            await self.press(digit)

    async def transfer(self, uri: str) -> None:
        await self.press("transfer")

    async def consult(self, uri: str) -> None:
        await self.press("consult")

    async def complete_transfer(self) -> None:
        await self.press("complete-transfer")

    async def use_server(self, server: Server | None) -> None:
        await self.press("use-server")

    async def reset(self) -> None:
        await self.press(RESET)


class WitnessedSuite:
    """One run's hold on a slot: it has the registrar's address, as the suite of real phones has."""

    def __init__(
        self, assignment: Assignment, clock: Clock, values: Mapping[str, Mapping[str, tuple[Unit, Value]]], scale: float
    ) -> None:
        self._assignment = assignment
        self._clock = clock
        self._values = values
        self._scale = scale
        self._probe = SipProbe(assignment.slot, clock)
        self._closed = False
        assert assignment.slot.control is not None
        self.driver = WitnessDriver(assignment.slot.control)
        self.driver.press_as(assignment.run, assignment.epochs[f"slot:{assignment.host}/{assignment.slot.name}"])
        self.procedures = {
            case.procedure: Procedure(
                id=case.procedure,
                measures={name: unit for name, (unit, _) in values.get(case.id, {}).items()},
                carry_out=self._by_case,
            )
            for case in assignment.cases
        }

    async def _by_case(self, bench: object, recorder: Recorder) -> None:
        raise NotImplementedError

    async def check_bench(self) -> BenchCheck:
        """The bench is the registrar's address."""
        try:
            self._probe.bind()
        except Unavailable as error:
            raise LabError(str(error)) from error
        return BenchCheck(passed=True, measurements=(), reason="")

    async def identify_device(self) -> Identified:
        await self.driver.reset()
        deadline_s = self._clock.boottime_s() + REGISTERS_WITHIN_S
        while (sighting := self._probe.sighting()) is None:
            if self._clock.boottime_s() > deadline_s:
                raise LabError(f"no device registered in the slot within {REGISTERS_WITHIN_S:g} s")
            await asyncio.sleep(0.05)
        found, wanted = identity_of(sighting, self._assignment.host), self._assignment.dut.registration.identity
        reason = "" if found == wanted else f"it is {found.value}, expected was {wanted.value}"
        return Identified(same=not reason, user_agent=sighting.user_agent, reason=reason)

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        """Press keys for as long as the case takes, and keep their numbers as evidence."""
        until_s = self._clock.boottime_s() + case.duration_s * self._scale
        numbers = [await self.driver.press(case.id)]
        while self._clock.boottime_s() < until_s:
            await asyncio.sleep(GAP_S)
            numbers.append(await self.driver.press(case.id))
        kept = json.dumps({"run": self._assignment.run, "case": case.id, "presses": numbers}).encode()
        address = recorder.attach("presses", "application/json", kept)
        for quantity, (_, value) in self._values.get(case.id, {}).items():
            recorder.measure(quantity, value, bench_stall=0.0, evidence=(address,))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._probe.release()
        try:
            await self.driver.reset()
        finally:
            await self.driver.close()


def good_values(programme: Programme) -> dict[str, dict[str, tuple[Unit, Value]]]:
    """By case and quantity, a value that every level admits with room to spare."""
    found: dict[str, dict[str, tuple[Unit, Value]]] = {}
    for requirement in programme.requirements:
        for check in requirement.checks:
            value = _inside(list(check.limits.values()), check.unit)
            found.setdefault(requirement.case, {})[check.quantity] = (check.unit, value)
    return found


def _inside(limits: list[Limit], unit: Unit) -> Value:
    if any(limit.equals is not None for limit in limits):
        return all(limit.equals is not False for limit in limits)
    low = max((limit.min for limit in limits if limit.min is not None), default=None)
    high = min((limit.max for limit in limits if limit.max is not None), default=None)
    if low is not None and high is not None:
        value = (low + high) / 2
    elif low is not None:
        value = low * 1.5
    else:
        value = (high or 0.0) / 2
    return round(value) if unit is Unit.COUNT else float(value)


def opens(programmes: tuple[Programme, ...], scale: float) -> OpenSuiteFor:
    """What opens the suite for an assignment of one of the programmes."""
    values = {f"{programme.id} {programme.version}": good_values(programme) for programme in programmes}

    async def open_suite(assignment: Assignment, clock: Clock) -> OpenSuite:
        return WitnessedSuite(assignment, clock, values[assignment.programme], scale)

    return open_suite
