"""The signalling procedures against the reference phone: all is right with a healthy one, and each defect is seen."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_nouns import INSTRUMENT
from reference_bench import CASES, INSTANCE, a_reference_assignment
from reference_wire import SoonestClock

from agents.measure import Recorder
from agents.simulated.reference_phone.accounts import Accounts
from agents.simulated.reference_phone.control import Control
from agents.simulated.reference_phone.defects import behaviour_with
from agents.simulated.reference_phone.equipment import Settings
from agents.suites.ip_phone import PROCEDURES, open_phone_suite, timers
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import SystemClock
from lab_inventory.measurement import Measurement, Value
from lab_inventory.noun import host_and_port
from lab_inventory.programme import TestCase

HEALTHY: dict[str, dict[str, Value | None]] = {
    "offers": dict.fromkeys(PROCEDURES["offers"].measures, True),
    "late-and-changed-offers": dict.fromkeys(PROCEDURES["late-and-changed-offers"].measures, True),
    "dialog-rules": dict.fromkeys(PROCEDURES["dialog-rules"].measures, True),
    "loose-routing": {"route_set_called": True, "route_set_calling": True},
    "request-rules": {"last_hop_answered": True, "unknown_method_refused": True, "message_answered": True},
    "cancel-race": {"cancel_after_ok_survived": True, "crossed_cancel_ended": True},
    "reliable-provisional": dict.fromkeys(PROCEDURES["reliable-provisional"].measures, True),
    "blind-transfer": {"blind_transfer": True, "failed_transfer_returns": True},
    "attended-transfer": {"attended_transfer": True, "replaces_honoured": True},
    "transferred-by-peer": {"refer_followed": True, "refer_progress_told": True},
    "session-timer": {"interval_accepted": True, "too_small_refused": True, "retries_after_422": True},
    "message-waiting": {"unknown_event_refused": True},
    "dialog-events": {"dialog_subscription_accepted": True, "ringing_told": True, "end_told": True},
    "digest-sha-256": {"sha256_preferred": True, "offered_order_kept": True},
}
TIMED = {"first_response_ms", "mwi_answered_ms"}


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come from a phone in this process within half a second does not come."""
    for module in (
        "dialog_events",
        "dialog_rules",
        "mwi",
        "offers",
        "races",
        "reliable",
        "request_rules",
        "session_timers",
        "transfer",
    ):
        monkeypatch.setattr(f"agents.suites.ip_phone.{module}.REQUEST_TIMEOUT_S", 0.5)
    monkeypatch.setattr("agents.suites.ip_phone.session_timers.INVITE_TIMEOUT_S", 0.5)
    monkeypatch.setattr("agents.suites.ip_phone.registration.BACK_WITHIN_S", 0.1)


@asynccontextmanager
async def phone_on_bench(
    defects: Mapping[str, float] | None = None, *, ics: Mapping[str, bool] | None = None, **settings: Any
) -> AsyncIterator[PhoneSuite]:
    """A phone in this process that has registered for a second at a time; ``settings`` are the phone's."""
    often = CASES["TC-REG-02"].model_copy(update={"parameters": {"cycles": 1, "expiry_s": 1}})
    assigned = a_reference_assignment().model_copy(update={"cases": (often,), "ics": dict(ics or {})})
    account, control = assigned.slot.account, assigned.slot.control
    assert control is not None
    suite = await open_phone_suite(assigned, SystemClock())
    told = {
        "registrar": host_and_port(assigned.slot.registrar),
        "user": account.user,
        "password": account.password.get_secret_value(),
        "instance": f"urn:uuid:{INSTANCE}",
    }
    phone = Accounts(Settings(**told | settings), SoonestClock(), behaviour_with(defects or {}))
    keys = Control(phone)
    await keys.open(*host_and_port(control))
    try:
        await phone.start()
        assert (await suite.identify_device()).same
        yield suite
    finally:
        await phone.stop()
        await suite.close()
        keys.close()


async def measured(
    suite: PhoneSuite, procedure: str, folder: Path, parameters: Mapping[str, float] | None = None
) -> dict[str, Measurement]:
    case: TestCase = CASES["TC-REG-01"].model_copy(
        update={"id": "TC-X", "procedure": procedure, "parameters": dict(parameters or {})}
    )
    recorder = Recorder(declared=PROCEDURES[procedure].measures, instrument=INSTRUMENT, folder=folder)
    await suite.carry_out(case, recorder)
    return {found.quantity: found for found in recorder.measurements()}


def values(found: Mapping[str, Measurement]) -> dict[str, Value | None]:
    return {quantity: measurement.value for quantity, measurement in found.items()}


def told(found: Mapping[str, Measurement]) -> list[str]:
    return [f"{quantity}: {measurement.note}" for quantity, measurement in found.items()]


@pytest.mark.parametrize("procedure", HEALTHY)
async def test_a_healthy_phone_is_seen_as_healthy(tmp_path: Path, procedure: str) -> None:
    async with phone_on_bench(subscribes_to_messages=True) as suite:
        found = await measured(suite, procedure, tmp_path)

    assert set(found) == set(PROCEDURES[procedure].measures)
    assert {q: v for q, v in values(found).items() if q not in TIMED} == HEALTHY[procedure], told(found)
    times = [value for quantity, value in values(found).items() if quantity in TIMED]
    assert all(isinstance(value, float) and 0 < value < 500 for value in times)


@pytest.mark.parametrize(
    ("defect", "procedure", "wrong"),
    [
        ("register-sha256-ignored", "digest-sha-256", {"sha256_preferred": False, "offered_order_kept": False}),
        ("register-prefers-md5", "digest-sha-256", {"sha256_preferred": False, "offered_order_kept": False}),
        ("answer-lines-missing", "offers", {"second_media_refused": False}),
        ("answer-codec-not-offered", "offers", {"unknown_formats_skipped": False}),
        (
            "require-ignored",
            "dialog-rules",
            {"unknown_require_refused": False, "unknown_require_options_refused": False},
        ),
        ("cseq-not-incremented", "dialog-rules", {"cseq_grows_by_one": False}),
        ("cancel-race-leaves-call", "cancel-race", {"crossed_cancel_ended": False}),
        ("ringing-unreliable", "reliable-provisional", {"ringing_reliable": False}),
        ("prack-missing", "reliable-provisional", {"prack_matched": False}),
        ("prack-wrong-rack", "reliable-provisional", {"prack_matched": False}),
        ("transfer-failure-drops-call", "blind-transfer", {"failed_transfer_returns": False}),
        ("replaces-ignored", "attended-transfer", {"replaces_honoured": False}),
        ("transfer-no-notify", "transferred-by-peer", {"refer_progress_told": False}),
        ("transfer-result-missing", "transferred-by-peer", {"refer_progress_told": False}),
        ("session-timer-ignored", "session-timer", {"interval_accepted": False, "retries_after_422": None}),
        ("session-timer-no-retry", "session-timer", {"retries_after_422": False}),
        ("message-summary-481", "message-waiting", {"mwi_answered_ms": None}),
        ("allow-missing", "request-rules", {"unknown_method_refused": False}),
    ],
)
async def test_a_defect_is_seen_in_its_quantity(
    tmp_path: Path, defect: str, procedure: str, wrong: dict[str, Value | None]
) -> None:
    async with phone_on_bench({defect: 1.0}) as suite:
        found = await measured(suite, procedure, tmp_path)

    assert values(found) | wrong == values(found), told(found)
    for quantity in wrong:
        assert found[quantity].note


@pytest.mark.alone
async def test_a_200_is_seen_to_be_repeated_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with phone_on_bench() as suite:
        found = values(await measured(suite, "answer-repeated", tmp_path))

    deviation = found.pop("ok_interval_deviation_percent")
    assert isinstance(deviation, float)
    assert deviation < 20
    assert found == {"ok_repeats_stop": True, "duplicate_invite_absorbed": True}


async def test_a_200_that_is_not_repeated_and_an_invite_that_rings_twice_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.suites.ip_phone.dialog_rules.REPEATS_WITHIN_S", 1.2)
    monkeypatch.setattr("agents.suites.ip_phone.dialog_rules.QUIET_S", 0.1)
    async with phone_on_bench({"ok-not-repeated": 1.0, "repeated-invite-rings-again": 1.0}) as suite:
        found = values(await measured(suite, "answer-repeated", tmp_path))

    assert found["ok_interval_deviation_percent"] is None
    assert found["duplicate_invite_absorbed"] is False


@pytest.mark.alone
@pytest.mark.parametrize(("t1_s", "right"), [(0.5, True), (0.7, False)])
async def test_the_repeats_of_bye_and_register_are_held_against_timer_e(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, t1_s: float, *, right: bool
) -> None:
    monkeypatch.setattr(timers, "REPEATS_DUE_S", 1.5)  # two repeats tell the interval as well as four
    monkeypatch.setattr(timers, "TOLERANCE_S", 0.7)
    async with phone_on_bench(t1_s=t1_s) as suite:
        found = values(await measured(suite, "non-invite-repeats", tmp_path))

    for what in ("bye", "register"):
        deviation = found[f"{what}_deviation_percent"]
        assert isinstance(deviation, float)
        assert (deviation < 20) is right
        assert found[f"{what}_repeats"] == 2


@pytest.mark.alone
async def test_the_wait_after_491_is_measured_for_both_sides_of_a_call(tmp_path: Path) -> None:
    async with phone_on_bench() as suite:
        found = values(await measured(suite, "reinvite-glare", tmp_path))

    assert found["glare_answered_491"] is True
    assert found["backoff_called_ms"] == pytest.approx(0, abs=100)
    assert found["backoff_calling_ms"] == pytest.approx(2100, abs=100)


@pytest.mark.alone
async def test_a_wait_after_491_that_is_too_short_is_measured(tmp_path: Path) -> None:
    async with phone_on_bench({"glare-too-soon": 50.0}) as suite:
        found = values(await measured(suite, "reinvite-glare", tmp_path))

    assert found["backoff_calling_ms"] == pytest.approx(1050, abs=100)


async def test_a_phone_that_gives_up_after_491_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.suites.ip_phone.races.BACKOFF_SEEN_S", 0.3)
    async with phone_on_bench({"glare-gives-up": 1.0}) as suite:
        found = values(await measured(suite, "reinvite-glare", tmp_path))

    assert (found["backoff_called_ms"], found["backoff_calling_ms"]) == (None, None)


@pytest.mark.alone
async def test_a_session_is_refreshed_at_half_and_ended_before_its_end(tmp_path: Path) -> None:
    async with phone_on_bench(min_se_s=2) as suite:
        found = values(await measured(suite, "session-timer-refresh", tmp_path, {"interval_s": 2}))

    assert found == {
        "refresh_s": pytest.approx(1.0, abs=0.3),
        "refresh_valid": True,
        "bye_s": pytest.approx(4 / 3, abs=0.3),
    }


async def test_a_session_that_is_neither_refreshed_nor_ended_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.suites.ip_phone.session_timers.LATE_S", 0.2)
    defects = {"session-timer-no-refresh": 1.0, "session-timer-no-bye": 1.0}
    async with phone_on_bench(defects, min_se_s=1) as suite:
        found = values(await measured(suite, "session-timer-refresh", tmp_path, {"interval_s": 1}))

    assert found == {"refresh_s": None, "refresh_valid": None, "bye_s": None}


async def test_what_the_ics_declares_absent_is_not_tried_and_said_so(tmp_path: Path) -> None:
    absent = {"rel100": False, "transfer.blind": False, "transfer.attended": False, "hold": False}
    async with phone_on_bench(ics=absent) as suite:
        reliable = await measured(suite, "reliable-provisional", tmp_path)
        blind = await measured(suite, "blind-transfer", tmp_path)
        attended = await measured(suite, "attended-transfer", tmp_path)
        glare = await measured(suite, "reinvite-glare", tmp_path)

    assert set(values(reliable).values()) == {False}
    assert set(values(blind).values()) == set(values(glare).values()) == {None}
    assert attended["attended_transfer"].value is False
    assert attended["replaces_honoured"].value is True  # it needs no key
    for found in (reliable["prack_matched"], blind["blind_transfer"], attended["attended_transfer"]):
        assert "ICS" in found.note


async def test_a_phone_comes_back_after_an_outage_and_its_refreshes_are_not_held_against_it(tmp_path: Path) -> None:
    async with phone_on_bench(t1_s=0.01) as suite:
        outage = await measured(suite, "registration-after-outage", tmp_path, {"outage_s": 1.5, "watch_s": 40})
        refresh = await measured(suite, "registration-refresh", tmp_path, {"cycles": 1, "expiry_s": 1})

    back_s = outage["reregistration_s"].value
    assert isinstance(back_s, float)
    assert 0 < back_s < 40
    assert outage["backoff_randomised"].value is None
    ratio = refresh["refresh_ratio_max"].value
    assert isinstance(ratio, float)
    assert ratio < 1


async def test_a_phone_that_tries_again_at_once_is_seen_not_to_wait(tmp_path: Path) -> None:
    async with phone_on_bench({"register-no-back-off": 1.0}, t1_s=0.01) as suite:
        found = await measured(suite, "registration-after-outage", tmp_path, {"outage_s": 3.5, "watch_s": 5})

    assert found["backoff_randomised"].value is False, told(found)
    assert isinstance(found["reregistration_s"].value, float)


async def test_a_phone_that_does_not_come_back_is_seen(tmp_path: Path) -> None:
    async with phone_on_bench({"register-no-return": 1.0}, t1_s=0.01) as suite:
        found = await measured(suite, "registration-after-outage", tmp_path, {"outage_s": 1.5, "watch_s": 1})

    assert found["reregistration_s"].value is None, told(found)
