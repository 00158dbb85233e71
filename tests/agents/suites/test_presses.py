"""What may be measured from a press on depends on the driver: with a person no delay is, and all else is as ever."""

import asyncio
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.cases import carry_out_case
from agents.drivers import KeyGoesDown, PhoneDriver
from agents.drivers.baresip import BaresipDriver
from agents.drivers.operator import OperatorDriver
from agents.instruments.sip_transport import Direction, TraceEntry
from agents.measure import LabError, Recorder
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import open_phone_suite
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.slow_keys import Press, presses_of, said_too_late, with_its_pace
from lab_inventory.clock import SystemClock
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Unit
from lab_inventory.messages import CaseEnded, CaseStatus
from tests.agents.person_stand_in import person
from tests.agents.suites.test_ip_phone import CASES, INSTANCE, PHONES, an_assignment, free_address

REACTION_S = 0.4


async def carried_out_by_a_person(folder: Path, *cases: str) -> dict[str, CaseEnded]:
    """Cases with the operator driver: a program reads the page, presses the keys of a real phone, and says so late."""
    assigned = an_assignment(driver="operator")
    page = free_address(socket.SOCK_STREAM)
    by_hand = assigned.model_copy(update={"slot": assigned.slot.model_copy(update={"control": page})})
    configuration, work, evidence = folder / "configuration", folder / "phone", folder / "evidence"
    shutil.copytree(PHONES / "phone-1", configuration)
    (configuration / "defects").write_text("")
    work.mkdir()
    evidence.mkdir()
    (work / "uuid").write_text(INSTANCE)
    assert assigned.slot.control is not None
    keys = BaresipDriver(assigned.slot.control)

    async def hands(words: str) -> None:
        first, _, rest = words.partition(" ")
        if first == "Dial":
            await keys.dial(rest.partition("(")[2].partition(")")[0])
        else:
            pressed = {"Answer": keys.answer, "Put": keys.hold, "Take": keys.resume, "Hang": keys.hang_up}
            await pressed.get(first, keys.reset)()
        await asyncio.sleep(REACTION_S)

    phone = BenchPhone(assigned.slot, configuration, work)
    suite = await open_phone_suite(by_hand, SystemClock())
    try:
        await phone.start()
        async with person(page, does=hands):
            await suite.identify_device()
            return {
                case: await carry_out_case(
                    suite, CASES[case], 1, assignment=by_hand, folder=evidence, clock=SystemClock()
                )
                for case in cases
            }
    finally:
        await keys.close()
        await phone.stop()
        await suite.close()


async def test_with_a_person_at_the_phone_all_is_measured_but_delays_from_a_press(tmp_path: Path) -> None:
    ended = await carried_out_by_a_person(tmp_path, "TC-SIP-01", "TC-SIP-02", "TC-SIP-03")

    assert {of.status for of in ended.values()} == {CaseStatus.MEASURED}, [of.reason for of in ended.values()]
    values = {m.quantity: m.value for of in ended.values() for m in of.measurements}
    assert values.pop("ringing_ms") is not None
    # Everything but delays from a press is measured, and all is well.
    assert set(values.values()) == {True}
    assert values.keys() >= {"answer_valid", "audio_from_phone", "invite_valid", "hold_offer_valid", "held_media_stops"}
    why = "was not measured: with driver operator nobody knows when the key goes down"
    assert f"post_dial_delay_ms {why}" in ended["TC-SIP-02"].reason
    assert f"resume_media_ms {why}" in ended["TC-SIP-03"].reason


def bench_with(moment: KeyGoesDown | None) -> PhoneBench:
    members = {"name": "some"} | ({"key_goes_down": moment} if moment else {})
    meter = SimpleNamespace(lateness_ms=lambda since_ns, until_ns: 0.0)
    nothing = cast("Any", None)
    return PhoneBench(
        endpoint=cast("Any", SimpleNamespace()),
        registrar=nothing,
        driver=cast("PhoneDriver", SimpleNamespace(**members)),
        meter=cast("Any", meter),
        clock=nothing,
        ics={},
        ixit={},
    )


@pytest.mark.parametrize(
    ("moment", "value", "added"),
    [
        (None, 100.0, 0.0),
        (KeyGoesDown.AT_THE_CALL, 100.0, 0.0),
        (KeyGoesDown.BEFORE_THE_RETURN, 100.0, 30.0),
    ],
)
def test_the_time_that_a_press_may_have_taken_is_uncertainty(
    moment: KeyGoesDown | None, value: float, added: float
) -> None:
    bench = bench_with(moment)
    press = Press(called_ns=1_000_000_000, returned_ns=1_030_000_000)
    bench.measure_from_press("post_dial_delay_ms", press, 1_100_000_000)
    (found,) = bench.found
    assert (found.value, found.added_uncertainty) == (value, added)


def test_what_comes_before_the_driver_confirms_the_press_is_uncertain_by_all_of_its_delay() -> None:
    bench = bench_with(KeyGoesDown.BEFORE_THE_RETURN)
    bench.measure_from_press("post_dial_delay_ms", Press(called_ns=0, returned_ns=90_000_000), 40_000_000)
    (found,) = bench.found
    assert (found.value, found.added_uncertainty) == (40.0, 40.0)


@pytest.mark.parametrize("seen_ns", [None, 5_000_000_000])
def test_a_delay_from_a_press_that_nobody_knows_stays_unmeasured_also_where_nothing_came(seen_ns: int | None) -> None:
    bench = bench_with(KeyGoesDown.UNKNOWN)
    bench.measure_from_press("post_dial_delay_ms", Press(called_ns=0, returned_ns=1), seen_ns, "nothing came")
    assert bench.found == []
    assert list(bench.unmeasured) == ["post_dial_delay_ms"]


class LateAnswer:
    """A call that has ended with a status."""

    def __init__(self, status: int) -> None:
        self._status = status

    async def final(self, *, timeout_s: float) -> object:
        return SimpleNamespace(message=SimpleNamespace(status=self._status))


async def test_a_person_who_answers_when_the_phone_has_given_up_is_the_labs_fault_and_not_the_phones() -> None:
    async def answer() -> None:
        return None

    for moment, fails in ((KeyGoesDown.UNKNOWN, True), (KeyGoesDown.AT_THE_CALL, False)):
        bench = bench_with(moment)
        cast("Any", bench.driver).answer = answer
        if fails:
            with pytest.raises(LabError, match="had ended with 480"):
                await bench.press_answer(cast("Any", LateAnswer(480)))
        else:
            await bench.press_answer(cast("Any", LateAnswer(480)))
        await bench.press_answer(cast("Any", LateAnswer(200)))


def test_added_uncertainty_comes_on_top_of_the_instruments_and_makes_none_known(tmp_path: Path) -> None:
    self_check = Calibration(method="self-check")
    known = Instrument(name="sip", kind="sip", calibration=self_check, uncertainty={Unit.MILLISECOND: 0.5})
    for instrument, total in ((known, 30.5), (known.model_copy(update={"uncertainty": {}}), None)):
        recorder = Recorder(declared={"delay_ms": Unit.MILLISECOND}, instrument=instrument, folder=tmp_path)
        recorder.measure("delay_ms", 100.0, added_uncertainty=30.0)
        assert recorder.measurements()[0].uncertainty == total


def entry(raw: bytes, at_s: float, direction: Direction = Direction.IN) -> TraceEntry:
    return TraceEntry(at_ns=int(at_s * 1e9), direction=direction, peer=("127.0.0.1", 1), raw=raw)


SLOW = Press(called_ns=0, returned_ns=10_000_000_000)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (entry(b"INVITE sip:bench SIP/2.0", 2.0), "8.0 s after the phone had sent its INVITE"),
        (entry(b"BYE sip:bench SIP/2.0", 5.0), "5.0 s after the phone had sent its BYE"),
        (entry(b"INVITE sip:bench SIP/2.0", 7.0), ""),
        (entry(b"INVITE sip:phone SIP/2.0", 2.0, Direction.OUT), ""),
        (entry(b"REGISTER sip:bench SIP/2.0", 2.0), ""),
        (entry(b"SIP/2.0 200 OK", 2.0), ""),
    ],
)
def test_a_request_that_lay_unanswered_because_done_was_said_late_is_named(seen: TraceEntry, words: str) -> None:
    assert said_too_late([SLOW], [seen]).endswith(words)
    assert bool(said_too_late([SLOW], [seen])) is bool(words)


async def test_a_person_who_says_done_late_makes_the_case_an_error_and_no_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.suites.ip_phone.slow_keys.DONE_WITHIN_S", 0.2)
    ended = await carried_out_by_a_person(tmp_path, "TC-SIP-02")
    assert ended["TC-SIP-02"].status is CaseStatus.ERROR
    assert "after the phone had sent its INVITE" in ended["TC-SIP-02"].reason
    assert ended["TC-SIP-02"].measurements == ()


def test_only_a_driver_whose_moments_nobody_knows_has_its_presses_kept() -> None:
    quick, slow = BaresipDriver("127.0.0.1:1"), OperatorDriver("127.0.0.1:1")
    assert with_its_pace(quick) is quick
    kept = with_its_pace(slow)
    assert presses_of(kept) == []
    assert (kept.name, kept.press_timeout_s) == ("operator", 120)  # type: ignore[attr-defined]
