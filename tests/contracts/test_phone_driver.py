"""What the keys of a driver make a real phone do, held over every driver that has one here.

The contract itself, without a phone, is in ``test_driver_contract.py``.
"""

import inspect
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from phone_wire import PhoneAtWire, phone_at_wire, reference_phone_at_wire

from agents.drivers import DriverRefused, DriverUnreachable, PhoneDriver, installed_drivers
from lab_inventory.clock import boottime_ns
from tests.ports import free_port

PHONE_FOR: dict[str, Callable[[Path], AbstractAsyncContextManager[PhoneAtWire]]] = {
    "baresip": phone_at_wire,
    "reference": reference_phone_at_wire,
}
VERBS = ("open", "close", "dial", "answer", "hang_up", "hold", "resume", "press_keys", "reset")


@pytest.fixture(params=sorted(PHONE_FOR))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def at(name: str, tmp_path: Path) -> AsyncIterator[PhoneAtWire]:
    async with PHONE_FOR[name](tmp_path) as at:
        yield at


@pytest.fixture
async def driver(name: str, at: PhoneAtWire) -> AsyncIterator[PhoneDriver]:
    driver = installed_drivers()[name](at.control)
    yield driver
    await driver.close()


def test_every_verb_is_a_coroutine_that_returns_none(name: str) -> None:
    kind = installed_drivers()[name]
    assert kind.name == name
    for verb in VERBS:
        method = getattr(kind, verb)
        assert inspect.iscoroutinefunction(method)
        assert inspect.signature(method).return_annotation is None


def test_a_stranger_is_not_recognised(name: str) -> None:
    for user_agent in ("", "Acme Phone 9/1.2", "not-" + name, "\x00\xff"):
        assert installed_drivers()[name].recognises(user_agent) is None


async def test_it_recognises_its_own_phone_by_what_that_says(name: str, at: PhoneAtWire) -> None:
    said = next(seen.data for seen in at.wire.sip.seen if seen.data.startswith(b"REGISTER"))
    user_agent = next(line for line in said.decode().splitlines() if line.startswith("User-Agent:"))
    assert installed_drivers()[name].recognises(user_agent.partition(":")[2].strip()) is not None


async def test_a_call_key_without_open_makes_a_call(driver: PhoneDriver, at: PhoneAtWire) -> None:
    await driver.dial(f"sip:somebody@{at.wire.registrar}")
    await at.wire.sip.wait_for(lambda data: data.startswith(b"INVITE sip:somebody@"))


async def test_reset_ends_a_call_and_may_be_called_again(driver: PhoneDriver, at: PhoneAtWire) -> None:
    await at.wire.call(driver, "0")
    await driver.reset()
    await at.wire.sip.wait_for(lambda data: data.startswith(b"BYE "))
    await driver.reset()
    await at.wire.call(driver, "0")


async def test_reset_gives_up_a_call_that_is_not_answered(driver: PhoneDriver, at: PhoneAtWire) -> None:
    await driver.dial(f"sip:somebody@{at.wire.registrar}")
    invite = await at.wire.sip.wait_for(lambda data: data.startswith(b"INVITE "))
    at.wire.sip.send(at.wire.answer(invite.data, 180), invite.peer)
    await driver.reset()
    await at.wire.sip.wait_for(lambda data: data.startswith(b"CANCEL "))


async def test_hold_without_a_call_is_refused(driver: PhoneDriver) -> None:
    with pytest.raises(DriverRefused):
        await driver.hold()


async def test_close_leaves_the_call_and_may_be_called_again(driver: PhoneDriver, at: PhoneAtWire) -> None:
    call, _, _ = await at.wire.call(driver, "0")
    await driver.close()
    await driver.close()
    assert b" 200 " in await at.wire.ask("OPTIONS", call)
    await driver.hang_up()
    await at.wire.sip.wait_for(lambda data: data.startswith(b"BYE "))


async def test_no_phone_is_unreachable(name: str) -> None:
    with pytest.raises(DriverUnreachable):
        await installed_drivers()[name](f"127.0.0.1:{free_port()}").open()


async def test_a_phone_that_hangs_is_unreachable_within_3_s(driver: PhoneDriver, at: PhoneAtWire) -> None:
    await driver.open()
    pid = at.phone.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = boottime_ns()
        with pytest.raises(DriverUnreachable):
            await driver.answer()
        assert boottime_ns() - begun < 3e9
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_phone_that_dies_is_unreachable_and_reached_again_after_its_restart(
    driver: PhoneDriver, at: PhoneAtWire
) -> None:
    await driver.open()
    pid = at.phone.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DriverUnreachable):
        for _ in range(2):  # the first press may still be taken by the kernel
            await driver.hang_up()
    await at.phone.stop()
    await at.phone.start()
    await driver.hang_up()
