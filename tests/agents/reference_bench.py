"""A reference phone on the bench, and the cases of the basic programme."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agent_nouns import INSTRUMENT, assignment, registration, slot

from agents.measure import Recorder
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import PROCEDURES, open_phone_suite
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind
from lab_inventory.measurement import Measurement, Value
from lab_inventory.messages import Assignment, DeviceUnderTest
from lab_inventory.programme import TestCase
from lab_inventory.shipped import shipped_programmes
from tests.ports import free_port

CASES = {
    case.id: case
    for programme in shipped_programmes()
    if programme.id == "ip-phone-basic"
    for suite in programme.suites
    for case in suite.cases
}
INSTANCE = "b7430ca5-0000-4000-8000-000000000001"
UNIT = Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{INSTANCE}")
USER_AGENT = "Assay-Reference-Phone/1.0"


def a_reference_assignment(*, wired: bool = False) -> Assignment:
    """``wired``: a sound interface is at its handset socket."""
    place = slot(
        "slot-1",
        registrar=f"127.0.0.1:{free_port()}",
        control=f"127.0.0.1:{free_port()}",
    )
    place = place.model_copy(update={"audio": f"127.0.0.1:{free_port()}"}) if wired else place
    unit = registration(driver="reference").model_copy(update={"identity": UNIT, "user_agent": USER_AGENT})
    return assignment(slot=place, dut=DeviceUnderTest(device="device-1", registration=unit), cases=(*CASES.values(),))


@asynccontextmanager
async def reference_on_bench(
    folder: Path, *, defects: Sequence[str] = (), ca: Path | None = None, wired: bool = False
) -> AsyncIterator[PhoneSuite]:
    configuration, work = folder / "configuration", folder / "phone"
    configuration.mkdir()
    work.mkdir()
    (configuration / "kind").write_text("reference")
    if ca is not None:
        shutil.copy(ca, configuration / "ca.pem")
    (configuration / "defects").write_text("\n".join(defects))
    (work / "uuid").write_text(INSTANCE)
    assigned = a_reference_assignment(wired=wired)
    suite = await open_phone_suite(assigned, SystemClock())
    phone = BenchPhone(assigned.slot, configuration, work)
    try:
        await phone.start()
        assert (await suite.identify_device()).same
        yield suite
    finally:
        await phone.stop()
        await suite.close()


async def values_of(suite: PhoneSuite, case: TestCase, folder: Path) -> dict[str, Value | None]:
    return {found.quantity: found.value for found in await measurements_of(suite, case, folder)}


async def measurements_of(suite: PhoneSuite, case: TestCase, folder: Path) -> tuple[Measurement, ...]:
    evidence = folder / "evidence"
    evidence.mkdir(exist_ok=True)
    recorder = Recorder(declared=PROCEDURES[case.procedure].measures, instrument=INSTRUMENT, folder=evidence)
    await suite.carry_out(case, recorder)
    return recorder.measurements()
