"""The suite against a real phone (baresip), healthy and with one defect at a time in the proxy before it."""

import json
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_nouns import INSTRUMENT, assignment, registration, slot

from agents.measure import LabError, Recorder
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import PROCEDURES, open_phone_suite
from agents.suites.ip_phone.suite import PhoneSuite
from agents.suites.usb_headset import PROCEDURES as HEADSET_PROCEDURES
from lab_inventory.clock import SystemClock
from lab_inventory.device import Identity, IdentityKind
from lab_inventory.measurement import Measurement, Value
from lab_inventory.messages import Assignment, DeviceUnderTest
from lab_inventory.programme import TestCase
from lab_inventory.shipped import shipped_programmes

PHONES = Path(__file__).parents[3] / "deploy" / "demo" / "phones"
CASES = {
    case.id: case
    for programme in shipped_programmes()
    if programme.id == "ip-phone-basic"
    for suite in programme.suites
    for case in suite.cases
}
INSTANCE = "b7430ca5-0000-4000-8000-000000000001"
UNIT = Identity(kind=IdentityKind.SIP_INSTANCE, value=f"urn:uuid:{INSTANCE}")
USER_AGENT = "baresip v1.0.0 (x86_64/linux)"


def free_address(kind: int) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def an_assignment(**changes: Any) -> Assignment:
    place = slot("slot-1", registrar=free_address(socket.SOCK_DGRAM), control=free_address(socket.SOCK_STREAM))
    unit = registration(driver="baresip").model_copy(update={"identity": UNIT, "user_agent": USER_AGENT} | changes)
    return assignment(slot=place, dut=DeviceUnderTest(device="device-1", registration=unit), cases=(*CASES.values(),))


@asynccontextmanager
async def phone_on_bench(
    folder: Path, assigned: Assignment, *, kind: str = "phone-1", defects: Sequence[str] = ()
) -> AsyncIterator[PhoneSuite]:
    """The suite holds the slot before the phone is switched on, so that the phone registers there at once."""
    configuration = folder / "configuration"
    shutil.copytree(PHONES / kind, configuration)
    (configuration / "defects").write_text("\n".join(defects))
    work = folder / "phone"
    work.mkdir()
    (work / "uuid").write_text(INSTANCE)
    suite = await open_phone_suite(assigned, SystemClock())
    phone = BenchPhone(assigned.slot, configuration, work)
    try:
        await phone.start()
        await suite.identify_device()  # waits until it has registered
        yield suite
    finally:
        await phone.stop()  # first, while the bench can still answer its de-registration
        await suite.close()


async def measured(suite: PhoneSuite, case: TestCase, folder: Path) -> dict[str, Measurement]:
    evidence = folder / "evidence"
    evidence.mkdir(exist_ok=True)
    recorder = Recorder(declared=PROCEDURES[case.procedure].measures, instrument=INSTRUMENT, folder=evidence)
    await suite.carry_out(case, recorder)
    return {found.quantity: found for found in recorder.measurements()}


def values(found: dict[str, Measurement]) -> dict[str, Value | None]:
    return {quantity: measurement.value for quantity, measurement in found.items()}


def test_every_case_of_the_programme_has_its_procedure_and_every_check_its_quantity() -> None:
    for programme in shipped_programmes():
        for requirement in programme.requirements:
            if requirement.manual:
                continue
            case = programme.case(requirement.case)
            assert case is not None
            procedures = {**PROCEDURES, **HEADSET_PROCEDURES}
            declared = procedures[case.procedure].measures
            assert {check.quantity: check.unit for check in requirement.checks}.items() <= declared.items()


async def test_a_healthy_phone_is_seen_as_healthy_in_every_short_case(tmp_path: Path) -> None:
    expected = {
        "TC-REG-01": {"digest_valid": True, "binding_present": True, "instance_present": True},
        "TC-SIP-01": {"answer_valid": True, "audio_from_phone": True},
        "TC-SIP-02": {"invite_valid": True, "audio_from_phone": True},
        "TC-SIP-03": {
            "hold_offer_valid": True,
            "held_answer_valid": True,
            "held_inactive_answer_valid": True,
            "held_media_stops": True,
        },
        "TC-SIP-05": {"bye_answered": True, "bye_sent": True, "media_stops": True},
        "TC-SIP-06": {"cancel_answered": True, "invite_ended_487": True},
        "TC-SIP-07": {"options_answered": True, "options_in_dialog_answered": True, "allow_present": True},
        "TC-MED-01": {"codec_pcmu": True, "codec_pcma": True, "codec_g722": True},
        "TC-MED-02": {
            "digits_correct": True,
            "timestamp_constant": True,
            "event_fields_valid": True,
            "audio_without_tones": True,
            "end_packets_min": 3,
        },
    }
    timed = {"ringing_ms", "answer_delay_ms", "post_dial_delay_ms", "resume_media_ms", "duration_error_ms"}
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        seen = {case: values(await measured(suite, CASES[case], tmp_path)) for case in expected}

    times_ms = [value for found in seen.values() for quantity, value in found.items() if quantity in timed]
    assert {case: {q: v for q, v in found.items() if q not in timed} for case, found in seen.items()} == expected
    assert len(times_ms) == 5
    assert all(isinstance(value, float) and 0 <= value < 1000 for value in times_ms)


async def test_the_narrowband_phone_passes_no_g722(tmp_path: Path) -> None:
    async with phone_on_bench(tmp_path, an_assignment(), kind="phone-2") as suite:
        found = values(await measured(suite, CASES["TC-MED-01"], tmp_path))

    assert found == {"codec_pcmu": True, "codec_pcma": True, "codec_g722": False}


async def test_the_stream_the_reports_and_the_marks_of_a_phone_are_as_its_findings_say(tmp_path: Path) -> None:
    """docs/findings/baresip-1.0.0-signalling.md: all is right but for the marks of its signalling."""
    programme = next(one for one in shipped_programmes() if one.id == "skype-for-business.ip-phone")
    marks, stream = programme.case("TC-NET-01"), programme.case("TC-MED-11")
    assert marks is not None
    assert stream is not None
    brief = stream.model_copy(update={"parameters": stream.parameters | {"window_s": 4.5}})  # reports come each 5 s
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        marked = values(await measured(suite, marks, tmp_path))
        found = await measured(suite, brief, tmp_path)

    assert marked == {"media_marked_percent": 100.0, "signalling_marked_percent": 0.0}
    seen = values(found)
    right = {
        "packets_missing": 0,
        "ssrc_constant": True,
        "sequence_orderly": True,
        "timestamp_steps_wrong": 0,
        "markers_misplaced": 0,
        "events_in_sequence": True,
        "rtcp_source_right": True,
    }
    assert {quantity: seen[quantity] for quantity in right} == right
    numbers = {quantity: found[quantity].value for quantity in found if quantity not in right}
    assert all(isinstance(value, float | int) for value in numbers.values()), numbers
    assert numbers["rtcp_first_s"] == pytest.approx(5, abs=0.1)
    assert abs(float(numbers["rtcp_packets_difference"] or 0)) <= 1
    assert float(numbers["rtcp_loss_error_percent"] or 0) < 1


async def test_the_pace_of_a_phone_comes_with_what_the_bench_adds_to_it(tmp_path: Path) -> None:
    case = CASES["TC-MED-03"].model_copy(update={"parameters": {"window_s": 1}})
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        found = await measured(suite, case, tmp_path)

    assert found["packets_missing"].value == 0
    spread = found["interval_sd_ms"]
    assert isinstance(spread.value, float)
    assert spread.bench_stall is not None
    assert "intervals" in spread.note


async def test_refreshes_are_measured_against_what_the_bench_granted(tmp_path: Path) -> None:
    case = CASES["TC-REG-02"].model_copy(update={"parameters": {"cycles": 2, "expiry_s": 6}})
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        found = values(await measured(suite, case, tmp_path))

    # The phones are configured to refresh at 75 % of the expiry.
    assert found == {
        "refresh_ratio_max": pytest.approx(0.75, abs=0.05),
        "refresh_ratio_min": pytest.approx(0.75, abs=0.05),
        "credentials_right": True,
    }


@pytest.mark.parametrize(
    ("defect", "case", "wrong"),
    [
        ("ringing-never", "TC-SIP-01", {"ringing_ms": None}),
        ("answer-codec-not-offered", "TC-SIP-01", {"answer_valid": False}),
        (
            "hold-as-sendrecv",
            "TC-SIP-03",
            {"hold_offer_valid": False, "held_answer_valid": False, "held_inactive_answer_valid": False},
        ),
        ("resume-no-media", "TC-SIP-03", {"resume_media_ms": None}),
        ("dtmf-digit-lost", "TC-MED-02", {"digits_correct": False}),
        ("dtmf-end-missing", "TC-MED-02", {"end_packets_min": 1}),
        ("options-unanswered", "TC-SIP-07", {"options_answered": False, "options_in_dialog_answered": False}),
        ("bye-unanswered", "TC-SIP-05", {"bye_answered": False}),
        ("cancel-no-487", "TC-SIP-06", {"invite_ended_487": False}),
        ("codec-g722-silent", "TC-MED-01", {"codec_g722": False}),
    ],
)
async def test_a_defect_is_seen_in_its_quantity(
    tmp_path: Path, defect: str, case: str, wrong: dict[str, Value | None]
) -> None:
    async with phone_on_bench(tmp_path, an_assignment(), defects=(defect,)) as suite:
        found = values(await measured(suite, CASES[case], tmp_path))

    assert found | wrong == found
    others = {quantity: value for quantity, value in found.items() if quantity not in wrong}
    if defect != "options-unanswered":  # without an answer there is no Allow either
        assert None not in others.values()
        assert False not in others.values()


async def test_a_late_ringing_is_measured_and_not_lost(tmp_path: Path) -> None:
    async with phone_on_bench(tmp_path, an_assignment(), defects=("ringing-late",)) as suite:
        found = values(await measured(suite, CASES["TC-SIP-01"], tmp_path))

    assert found["ringing_ms"] == pytest.approx(2000, abs=200)
    assert found["audio_from_phone"] is True


async def test_every_message_of_a_case_is_kept_as_evidence(tmp_path: Path) -> None:
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        found = await measured(suite, CASES["TC-SIP-01"], tmp_path)

    address, *_ = found["answer_valid"].evidence
    lines = (tmp_path / "evidence" / address.removeprefix("sha256:")).read_text().splitlines()
    starts = [json.loads(line)["raw"].split("\r\n", 1)[0] for line in lines]
    assert "SIP/2.0 180 Ringing" in starts
    assert any(start.startswith("INVITE ") for start in starts)


async def test_the_unit_of_the_lease_is_known_again(tmp_path: Path) -> None:
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        found = await suite.identify_device()

    assert (found.same, found.user_agent) == (True, USER_AGENT)


async def test_another_unit_in_the_slot_is_told_from_the_one_of_the_lease(tmp_path: Path) -> None:
    other = Identity(kind=IdentityKind.SIP_INSTANCE, value="urn:uuid:other")
    async with phone_on_bench(tmp_path, an_assignment(identity=other)) as suite:
        found = await suite.identify_device()

    assert not found.same
    assert "urn:uuid:other" in found.reason


async def test_a_phone_whose_keys_cannot_be_reached_is_the_labs_fault(tmp_path: Path) -> None:
    assigned = an_assignment()
    nobody = assigned.slot.model_copy(update={"control": free_address(socket.SOCK_STREAM)})
    suite = await open_phone_suite(assigned.model_copy(update={"slot": nobody}), SystemClock())
    try:
        with pytest.raises(LabError):
            await suite.identify_device()
    finally:
        await suite.close()


async def test_a_slot_whose_address_is_taken_is_the_labs_fault() -> None:
    assigned = an_assignment()
    suite = await open_phone_suite(assigned, SystemClock())
    with pytest.raises(LabError, match="not free"):
        await open_phone_suite(assigned, SystemClock())
    await suite.close()
    await suite.close()


async def test_a_device_without_a_driver_here_is_the_labs_fault() -> None:
    with pytest.raises(LabError, match="no driver"):
        await open_phone_suite(an_assignment(driver="unheard-of"), SystemClock())


BARESIP: dict[str, dict[str, Value | None]] = {
    "offers": dict.fromkeys(PROCEDURES["offers"].measures, True) | {"unreadable_offer_refused": False},
    "late-and-changed-offers": dict.fromkeys(PROCEDURES["late-and-changed-offers"].measures, True),
    "dialog-rules": dict.fromkeys(PROCEDURES["dialog-rules"].measures, True)
    | {"unknown_require_options_refused": False},
    "loose-routing": {"route_set_called": True, "route_set_calling": True},
    "cancel-race": {"cancel_after_ok_survived": True, "crossed_cancel_ended": True},
    "reliable-provisional": dict.fromkeys(PROCEDURES["reliable-provisional"].measures, False),
    "blind-transfer": {"blind_transfer": True, "failed_transfer_returns": False},
    "attended-transfer": {"attended_transfer": False, "replaces_honoured": False},
    "transferred-by-peer": {"refer_followed": True, "refer_progress_told": True},
    "session-timer": {"interval_accepted": False, "too_small_refused": False, "retries_after_422": None},
    "session-timer-refresh": {"refresh_s": None, "refresh_valid": None, "bye_s": None},
    "message-waiting": {"mwi_answered_ms": None, "unknown_event_refused": True},
    "dialog-events": dict.fromkeys(PROCEDURES["dialog-events"].measures, False),
}
"""What version 1.0.0 does; docs/findings/baresip-1.0.0-signalling.md has the message and clause of what is wrong."""


async def test_what_baresip_does_not_do_is_measured_with_its_clause_and_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.suites.ip_phone.dialog_events.REQUEST_TIMEOUT_S", 0.5)
    assigned = an_assignment().model_copy(update={"ics": {"transfer.attended": False}})
    plain = CASES["TC-REG-01"]
    seen: dict[str, dict[str, Measurement]] = {}
    async with phone_on_bench(tmp_path, assigned) as suite:
        for procedure in BARESIP:
            case = plain.model_copy(update={"procedure": procedure, "parameters": {"interval_s": 90}})
            seen[procedure] = await measured(suite, case, tmp_path)

    assert {procedure: values(found) for procedure, found in seen.items()} == BARESIP
    notes = [one.note for found in seen.values() for one in found.values() if not one.value]
    assert all("RFC" in note or "ICS" in note for note in notes), notes
