"""A suite without a phone: what it does is named by the procedure of the case. Also a run's process that uses it:
``python fake_suite.py DIR``.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from agents.measure import LabError, Procedure, Recorder
from agents.run import main
from agents.suites import BenchCheck, Identified, OpenSuite, OpenSuiteFor
from lab_inventory.clock import Clock
from lab_inventory.measurement import Unit
from lab_inventory.messages import Assignment
from lab_inventory.programme import TestCase

TELL = "tell"


class FakeSuite:
    """Remembers what was asked of it; ``behave`` changes what it does before the cases."""

    def __init__(self, assignment: Assignment, behave: str = "") -> None:
        self.assignment = assignment
        self.behave = behave
        self.did: list[str] = []
        self.windows = 0
        names = ("measures", "stalls", "stalls-once", "lab-error", "crash", "cancels-itself", "hang", "die", "block")
        self.procedures: Mapping[str, Procedure] = {
            name: Procedure(id=name, measures={"delay_ms": Unit.MILLISECOND}, carry_out=self._by_name) for name in names
        }

    async def _by_name(self, bench: object, recorder: Recorder) -> None:
        raise NotImplementedError

    async def check_bench(self) -> BenchCheck:
        self.did.append("check_bench")
        if self.behave == "bench-lab-error":
            raise LabError("the address is taken")
        return BenchCheck(passed=self.behave != "bad-bench", measurements=(), reason=self.behave)

    async def identify_device(self) -> Identified:
        self.did.append("identify_device")
        return Identified(same=self.behave != "other-unit", user_agent="Acme\x00 One", reason=self.behave)

    async def carry_out(self, case: TestCase, recorder: Recorder) -> None:
        self.did.append(case.id)
        self.windows += 1
        match case.procedure:
            case "lab-error":
                recorder.attach("trace.txt", "text/plain", b"what was seen")
                recorder.measure("delay_ms", 5.0)
                raise LabError("the phone's control cannot be reached")
            case "crash":
                raise KeyError("missing\x07")
            case "cancels-itself":
                raise asyncio.CancelledError
            case "hang":
                await asyncio.Event().wait()
            case "die":
                os._exit(9)
            case "block":
                while True:
                    pass
            case "stalls":
                recorder.measure("delay_ms", 5.0, bench_stall=99.0)
            case "stalls-once":
                recorder.measure("delay_ms", 5.0, bench_stall=99.0 if self.windows == 1 else 0.0)
            case _:
                address = recorder.attach("trace.txt", "text/plain", f"trace of {case.id}".encode())
                recorder.measure("delay_ms", 5.0, evidence=(address,))

    async def close(self) -> None:
        self.did.append("close")
        if self.behave == "bad-close":
            raise OSError("the socket is gone")


def opens(behave: str = "", opened: list[FakeSuite] | None = None) -> OpenSuiteFor:
    async def open_suite(assignment: Assignment, clock: Clock) -> OpenSuite:
        suite = FakeSuite(assignment, behave)
        if opened is not None:
            opened.append(suite)
        return suite

    return open_suite


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), find_suite=lambda category: opens()))
