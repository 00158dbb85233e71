"""Two real phones that call each other through the bench: healthy, with a defect in the one under test, and with one in
the companion, which is the lab's fault.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT, assignment, registration, slot

from agents.instruments.sip_transport import Direction, Trace, TraceEntry
from agents.measure import LabError, Recorder, evidence_path
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import PROCEDURES, open_phone_suite
from agents.suites.ip_phone.pair import PairSuite, calls_alone
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind, Registration
from lab_inventory.lab import Role, Slot
from lab_inventory.measurement import Measurement, Value
from lab_inventory.messages import Assignment, CompanionDevice, DeviceUnderTest
from lab_inventory.programme import TestCase
from lab_inventory.shipped import shipped_programmes
from tests.ports import free_port

CASES = {
    case.procedure: case
    for programme in shipped_programmes()
    if programme.id == "skype-for-business.ip-phone"
    for suite in programme.suites
    if suite.id == "interoperability"
    for case in suite.cases
}
USER_AGENT = "Assay-Reference-Phone/1.0"


def a_place(number: int) -> Slot:
    registrar = f"127.0.0.1:{free_port()}"
    made = slot(f"slot-{number}", registrar=registrar, control=f"127.0.0.1:{free_port()}")
    return made.model_copy(update={"account": made.account.model_copy(update={"user": f"100{number}"})})


def instance(number: int) -> str:
    return f"b7430ca5-0000-4000-8000-00000000000{number}"


def a_unit(number: int) -> Registration:
    identity = Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{instance(number)}")
    said = {"identity": identity, "user_agent": USER_AGENT, "slot": f"slot-{number}"}
    return registration(driver="reference").model_copy(update=said)


def a_phone(folder: Path, number: int, place: Slot, defects: Sequence[str]) -> BenchPhone:
    configuration, work = folder / f"configuration-{number}", folder / f"phone-{number}"
    work.mkdir()
    (work / "uuid").write_text(instance(number))
    configuration.mkdir()
    (configuration / "kind").write_text("reference")
    (configuration / "defects").write_text("\n".join(defects))
    return BenchPhone(place, configuration, work)


@asynccontextmanager
async def two_phones(
    folder: Path,
    *,
    defects: Sequence[str] = (),
    companion_defects: Sequence[str] = (),
) -> AsyncIterator[PairSuite]:
    """The suite holds both slots before the phones are switched on."""
    places = [a_place(1), a_place(2)]
    assigned: Assignment = assignment(
        slot=places[0],
        dut=DeviceUnderTest(device="device-1", registration=a_unit(1)),
        companions=(CompanionDevice(role=Role.COMPANION, slot=places[1], device="device-2", registration=a_unit(2)),),
        cases=(*CASES.values(),),
    )
    suite = await open_phone_suite(assigned, SystemClock())
    assert isinstance(suite, PairSuite)
    phones = [
        a_phone(folder, 1, places[0], defects),
        a_phone(folder, 2, places[1], companion_defects),
    ]
    try:
        for phone in phones:
            await phone.start()
        assert (await suite.identify_device()).same
        yield suite
    finally:
        for phone in phones:
            await phone.stop()
        await suite.close()


async def measured(suite: PairSuite, procedure: str, folder: Path) -> dict[str, Measurement]:
    case: TestCase = CASES[procedure]
    evidence = folder / "evidence"
    evidence.mkdir(exist_ok=True)
    recorder = Recorder(declared=PROCEDURES[procedure].measures, instrument=INSTRUMENT, folder=evidence)
    await suite.carry_out(case, recorder)
    (folder / f"{procedure}.json").write_text(json.dumps({one.name: one.digest for one in recorder.evidence()}))
    return {found.quantity: found for found in recorder.measurements()}


async def values(suite: PairSuite, procedure: str, folder: Path) -> dict[str, Value | None]:
    return {name: found.value for name, found in (await measured(suite, procedure, folder)).items()}


HEALTHY = {
    "interop-call-out": {"call_established": True, "audio_both_ways": True, "call_ended": True},
    "interop-call-in": {"call_established": True, "audio_both_ways": True, "call_ended": True},
    "interop-hold": {"hold_by_phone": True, "hold_by_companion": True},
    "interop-dtmf": {"digits_to_companion": True, "digits_from_companion": True},
    "interop-transfer": {"transfers_companion": True},
    "interop-transferred": {"is_transferred": True},
    "interop-attended-transfer": {"transfers_after_asking": True},
}
TIMED = {"ringing_ms", "resume_by_phone_ms", "resume_by_companion_ms"}


@pytest.mark.alone
async def test_two_healthy_phones_work_together_in_every_case(tmp_path: Path) -> None:
    """Of one make; tests/e2e has a third party's phone as the one under test."""
    async with two_phones(tmp_path) as suite:
        seen = {procedure: await measured(suite, procedure, tmp_path) for procedure in HEALTHY}
    plain = {p: {q: one.value for q, one in found.items() if q not in TIMED} for p, found in seen.items()}
    assert plain == HEALTHY
    times_ms = [one.value for found in seen.values() for name, one in found.items() if name in TIMED]
    assert len(times_ms) == 3
    assert all(isinstance(value, float) and 0 <= value < 1500 for value in times_ms)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("defect", "procedure", "wrong"),
    [
        (
            "ack-never",
            "interop-call-out",
            {"call_established": False, "audio_both_ways": False, "call_ended": False},
        ),
        ("bye-not-sent", "interop-call-out", {"call_ended": False}),
        ("media-after-bye=1500", "interop-call-in", {"call_ended": False}),
        ("hold-as-sendrecv", "interop-hold", {"hold_by_phone": False, "hold_by_companion": False}),
        ("microphone-quiet=60", "interop-call-in", {"audio_both_ways": False}),
    ],
)
async def test_what_the_phone_does_wrong_is_measured_as_wrong(
    tmp_path: Path, defect: str, procedure: str, wrong: dict[str, Value | None]
) -> None:
    async with two_phones(tmp_path, defects=(defect,)) as suite:
        found = await values(suite, procedure, tmp_path)
    assert {name: value for name, value in found.items() if value in (None, False)} == wrong
    assert set(found) == set(PROCEDURES[procedure].measures)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("defect", "procedure", "words"),
    [
        ("bye-unanswered", "interop-call-out", "answered the BYE of the other not at all"),
        ("hold-as-sendrecv", "interop-hold", "answered sendonly with sendrecv"),
        ("microphone-quiet=60", "interop-call-in", "dBFS"),
    ],
)
async def test_what_the_companion_does_wrong_is_the_labs_fault_and_says_so(
    tmp_path: Path, defect: str, procedure: str, words: str
) -> None:
    async with two_phones(tmp_path, companion_defects=(defect,)) as suite:
        with pytest.raises(LabError, match="the companion") as raised:
            await values(suite, procedure, tmp_path)
        assert words in str(raised.value)
        # What went wrong in one case is over before the next.
        again = await values(suite, "interop-transfer", tmp_path) if defect == "hold-as-sendrecv" else None
    assert again in (None, HEALTHY["interop-transfer"])


@pytest.mark.alone
async def test_what_both_sides_said_is_kept_without_registrations(tmp_path: Path) -> None:
    async with two_phones(tmp_path) as suite:
        await measured(suite, "interop-call-out", tmp_path)
    kept = json.loads((tmp_path / "interop-call-out.json").read_text())
    said, passed = (kept[f"TC-INT-01 {name}"] for name in ("companion SIP messages", "passed RTP packets"))
    lines = {
        name: [json.loads(line) for line in evidence_path(tmp_path / "evidence", name).read_text().splitlines()]
        for name in (said, passed)
    }
    assert {"INVITE", "ACK", "BYE", "SIP/2.0"} <= {line["raw"].split(" ", 1)[0] for line in lines[said]}
    assert len({line["call"] for line in lines[passed]}) == 2
    assert not any("Authorization" in line["raw"] for line in lines[said])
    recorded = [name for name in kept if "audio received" in name]
    for whose in ("caller", "callee"):
        assert any(f"{whose} of passed call 1" in name for name in recorded)


@pytest.mark.alone
async def test_a_companion_that_is_another_unit_than_was_granted_is_the_labs_fault(tmp_path: Path) -> None:
    places = [a_place(1), a_place(2)]
    wrong = a_unit(2).model_copy(update={"user_agent": "Assay-Reference-Phone/0.9"})
    beside = CompanionDevice(role=Role.COMPANION, slot=places[1], device="device-2", registration=wrong)
    dut = DeviceUnderTest(device="device-1", registration=a_unit(1))
    suite = await open_phone_suite(
        assignment(slot=places[0], dut=dut, companions=(beside,), cases=(*CASES.values(),)), SystemClock()
    )
    phones = [a_phone(tmp_path, n, place, ()) for n, place in enumerate(places, 1)]
    try:
        for phone in phones:
            await phone.start()
        with pytest.raises(LabError, match="granted was"):
            await suite.identify_device()
    finally:
        for phone in phones:
            await phone.stop()
        await suite.close()


async def test_without_the_driver_of_the_companion_the_run_is_the_labs_fault_and_the_address_is_free(
    tmp_path: Path,
) -> None:
    places = [a_place(1), a_place(2)]
    beside = CompanionDevice(
        role=Role.COMPANION,
        slot=places[1],
        device="device-2",
        registration=a_unit(2).model_copy(update={"driver": "none-such"}),
    )
    dut = DeviceUnderTest(device="device-1", registration=a_unit(1))
    assigned = assignment(slot=places[0], dut=dut, companions=(beside,), cases=(*CASES.values(),))
    for _ in range(2):
        with pytest.raises(LabError, match="no driver none-such for the companion in slot slot-2"):
            await open_phone_suite(assigned, SystemClock())


def test_what_is_kept_of_the_companion_has_neither_registrations_nor_keys() -> None:
    trace = Trace()
    key = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0+/=|2^20\r\n"
    for raw in (
        b"REGISTER sip:a SIP/2.0\r\nCSeq: 1 REGISTER\r\nAuthorization: Digest response=secret\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n",
        b"INVITE sip:b SIP/2.0\r\nAllow: INVITE, REGISTER\r\nCSeq: 2 INVITE\r\n\r\n" + key,
    ):
        trace.add(TraceEntry(at_ns=5, direction=Direction.IN, peer=("127.0.0.1", 5060), raw=raw))
    (kept,) = calls_alone(trace, 5).splitlines()
    assert json.loads(kept)["raw"].endswith("inline:***********|2^20\r\n")
