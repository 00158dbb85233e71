"""The operator driver: what the person is asked, on a page and on a terminal, and what comes of every answer."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from person_stand_in import ask, free_address, person

from agents.drivers import DriverRefused, DriverUnreachable, Server, driver_in, traits_of
from agents.drivers import operator as operator_module
from agents.drivers import operator_page as page_module
from agents.drivers.operator import OperatorDriver
from agents.operator_terminal import ask_at_terminal
from lab_inventory.lab import Slot


@pytest.fixture
async def driver() -> AsyncIterator[OperatorDriver]:
    driver = OperatorDriver(free_address(), title="The phone in slot-1", press_timeout_s=5.0)
    yield driver
    await driver.close()


def control(driver: OperatorDriver) -> str:
    return driver._control


async def asked(driver: OperatorDriver) -> dict[str, str]:
    while True:
        try:
            shown: dict[str, str] = json.loads((await ask(control(driver), "GET", "/prompt"))[1])
        except (OSError, IndexError):
            shown = {}
        if shown.get("prompt"):
            return shown
        await asyncio.sleep(0.01)


async def test_every_key_is_asked_for_in_words(driver: OperatorDriver) -> None:
    words: list[str] = []
    async with person(control(driver), does=words.append):
        await driver.dial("sip:bench@10.0.0.1:5060")
        await driver.answer()
        await driver.hold()
        await driver.resume()
        await driver.press_keys("12#")
        await driver.transfer("sip:1002@10.0.0.1")
        await driver.consult("sip:1002@10.0.0.1")
        await driver.complete_transfer()
        await driver.hang_up()
        await driver.reset()
    assert words == [
        "Dial bench (sip:bench@10.0.0.1:5060) and press the call key",
        "Answer the call",
        "Put the call on hold",
        "Take the held call back",
        "Press 1 2 #",
        "Transfer the call to 1002 (sip:1002@10.0.0.1) without asking there (blind)",
        "Begin a transfer with a consultation: call 1002 (sip:1002@10.0.0.1), the first call stays on hold",
        "Complete the transfer",
        "Hang up",
        "End every call: the phone is to be idle, on hook",
    ]


async def test_a_server_is_asked_for_with_its_password_on_the_page_and_in_no_error(driver: OperatorDriver) -> None:
    server = Server(uri="sip:10.0.0.1:5061;transport=tls", user="1001", password="0pen-Sesame")
    words: list[str] = []
    async with person(control(driver), does=words.append):
        await driver.use_server(None)
        await driver.use_server(server)
        await driver.reset()
    assert words == [
        "Enter the SIP server sip:10.0.0.1:5061;transport=tls and use it: user 1001, password 0pen-Sesame, SRTP off",
        "End every call: the phone is to be idle, on hook",
        "Take the other SIP server out again: back to the phone's own account",
    ]
    async with person(control(driver), says="cannot"):
        with pytest.raises(DriverRefused) as caught:
            await driver.use_server(server)
    assert "0pen-Sesame" not in str(caught.value)


async def test_the_page_shows_one_thing_to_do_in_large_letters_and_waits_without_a_script(
    driver: OperatorDriver,
) -> None:
    await driver.open()
    _, idle = await ask(control(driver), "GET", "/")
    assert "<h1" in idle
    assert ">Wait</h1>" in idle
    assert "<button" not in idle
    press = asyncio.create_task(driver.hold())
    shown = await asked(driver)
    _, page = await ask(control(driver), "GET", "/")
    assert ">Put the call on hold</h1>" in page
    assert "The phone in slot-1" in page
    assert 'http-equiv="refresh"' in page
    assert "autofocus>Done</button>" in page
    assert "<script" not in page
    status, _ = await ask(control(driver), "POST", "/answer", f"prompt={shown['prompt']}&said=done")
    assert status == 303
    await press


async def test_what_is_asked_is_escaped_on_the_page(driver: OperatorDriver) -> None:
    press = asyncio.create_task(driver.dial("sip:<script>@10.0.0.1"))
    await asked(driver)
    _, page = await ask(control(driver), "GET", "/")
    assert "<script" not in page
    press.cancel()
    await asyncio.gather(press, return_exceptions=True)


async def test_cannot_is_a_refusal_with_what_could_not_be_done(driver: OperatorDriver) -> None:
    async with person(control(driver), says="cannot"):
        with pytest.raises(DriverRefused, match="cannot be done: Put the call on hold"):
            await driver.hold()


async def test_a_late_or_foreign_answer_answers_nothing(driver: OperatorDriver) -> None:
    first = asyncio.create_task(driver.hold())
    old = (await asked(driver))["prompt"]
    await ask(control(driver), "POST", "/answer", f"prompt={old}&said=done")
    await first
    second = asyncio.create_task(driver.resume())
    await asked(driver)
    for form in (f"prompt={old}&said=done", "said=done", "prompt=&said=done", f"prompt={old}&said=maybe"):
        await ask(control(driver), "POST", "/answer", form)
    assert not second.done()
    await ask(control(driver), "POST", "/answer", f"prompt={(await asked(driver))['prompt']}&said=done")
    await second


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"x" * 20_000,
        b"POST /answer HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /answer HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /../etc/passwd HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_answers_nothing_and_the_page_serves_on(driver: OperatorDriver, said: bytes) -> None:
    press = asyncio.create_task(driver.hold())
    shown = await asked(driver)
    host, _, port = control(driver).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    with suppress(ConnectionError):
        assert b"200 OK" not in await asyncio.wait_for(reader.read(), 2)
    writer.close()
    assert not press.done()
    await ask(control(driver), "POST", "/answer", f"prompt={shown['prompt']}&said=done")
    await press


async def test_more_connections_than_a_person_needs_are_closed_and_the_others_are_served(
    driver: OperatorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "CONNECTIONS_MAX", 3)
    monkeypatch.setattr(page_module, "REQUEST_TIMEOUT_S", 0.3)
    await driver.open()
    host, _, port = control(driver).rpartition(":")
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(4)]
    await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in idle)), 2)
    for _, writer in idle:
        writer.close()
    status, _ = await ask(control(driver), "GET", "/prompt")
    assert status == 200


async def test_a_person_who_has_just_made_the_phone_idle_is_not_asked_again(
    driver: OperatorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    async with person(control(driver), does=words.append):
        await driver.reset()
        await driver.reset()
        assert len(words) == 1
        monkeypatch.setattr(operator_module, "RESET_HOLDS_S", 0.0)
        await driver.reset()
        assert len(words) == 2


async def test_while_a_run_is_being_stopped_nobody_waits_long_for_a_reset(
    driver: OperatorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_module, "SHORT_RESET_S", 0.1)
    ended: list[str] = []

    async def case() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            try:
                await driver.reset()
            except DriverUnreachable as error:
                ended.append(str(error))

    running = asyncio.create_task(case())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 2)
    assert "within 0.1 s" in ended[0]


async def test_the_terminal_shows_it_and_takes_enter_for_done_and_c_for_cannot(driver: OperatorDriver) -> None:
    told: list[str] = []

    def terminal(line: str) -> Callable[[], None]:
        def look() -> None:
            ask_at_terminal(control(driver), io.StringIO(line), told.append, lambda _: None, rounds=1)

        return look

    await asyncio.to_thread(terminal("\n"))
    press = asyncio.create_task(driver.hold())
    await asked(driver)
    await asyncio.to_thread(terminal("\n"))
    await press
    refused = asyncio.create_task(driver.hold())
    await asked(driver)
    await asyncio.to_thread(terminal("c\n"))
    with pytest.raises(DriverRefused):
        await refused
    text = "\n".join(told)
    assert f"waiting for a run at {control(driver)}" in text
    assert "PUT THE CALL ON HOLD" in text


def test_a_slot_names_the_phone_for_a_person_with_several() -> None:
    slot = Slot.model_validate(
        {
            "name": "slot-7",
            "category": "ip-phone",
            "registrar": "127.0.0.1:5060",
            "account": {"user": "1001", "password": "x"},
            "control": "127.0.0.1:8090",
            "driver": "operator",
            "unit": {"hardware_revision": "B", "mode": "wideband"},
        }
    )
    driver = driver_in(slot, OperatorDriver)
    assert isinstance(driver, OperatorDriver)
    assert driver._page._title == "The phone in slot-7"
    assert traits_of(driver).press_timeout_s == 120
