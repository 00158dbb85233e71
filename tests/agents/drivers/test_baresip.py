import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from phone_wire import phone_at_wire

from agents.drivers import DriverRefused, DriverUnreachable
from agents.drivers.baresip import BaresipDriver
from lab_inventory.device import Product

Answerer = Callable[[bytes], bytes]


@pytest.fixture
async def control() -> AsyncIterator[Callable[[Answerer], Awaitable[BaresipDriver]]]:
    """A driver at a control port that answers as told."""
    opened: list[tuple[asyncio.Server, BaresipDriver]] = []

    async def at(answer: Answerer) -> BaresipDriver:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    size = int((await reader.readuntil(b":"))[:-1])
                    command = (await reader.readexactly(size + 1))[:-1]
                    writer.write(answer(command))
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        driver = BaresipDriver(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        opened.append((server, driver))
        return driver

    yield at
    for server, driver in opened:
        await driver.close()
        server.close()


def _token(command: bytes) -> bytes:
    return command.partition(b'"token": "')[2].partition(b'"')[0]


def _netstring(text: bytes) -> bytes:
    return b"%d:%s," % (len(text), text)


def test_baresip_is_recognised_with_its_version() -> None:
    known = Product(maker="baresip", model="baresip", firmware="1.0.0")
    assert BaresipDriver.recognises("baresip v1.0.0 (x86_64/linux)") == known


async def test_events_between_command_and_answer_are_passed_over(
    control: Callable[[Answerer], Awaitable[BaresipDriver]],
) -> None:
    event = _netstring(b'{"event":true,"type":"CALL_CLOSED","token":"1"}')
    driver = await control(
        lambda command: event + _netstring(b'{"response":true,"ok":true,"token":"%s"}' % _token(command))
    )
    await driver.hang_up()


@pytest.mark.parametrize("junk", [b"x:y,", b"99999999:", b"3:{},", b"2:[],", b"-1:,", b"1" * 100_000])
async def test_junk_from_the_control_port_is_unreachable(
    control: Callable[[Answerer], Awaitable[BaresipDriver]], junk: bytes
) -> None:
    driver = await control(lambda command: junk)
    with pytest.raises(DriverUnreachable):
        await driver.hang_up()


async def test_an_answer_without_ok_is_a_refusal(control: Callable[[Answerer], Awaitable[BaresipDriver]]) -> None:
    driver = await control(lambda command: _netstring(b'{"response":true,"token":"%s"}' % _token(command)))
    with pytest.raises(DriverRefused):
        await driver.hold()


async def test_two_presses_at_once_get_each_its_own_answer(
    control: Callable[[Answerer], Awaitable[BaresipDriver]],
) -> None:
    def answer(command: bytes) -> bytes:
        ok = b"false" if b'"hold"' in command else b"true"
        return _netstring(b'{"response":true,"ok":%s,"token":"%s"}' % (ok, _token(command)))

    driver = await control(answer)
    await driver.open()
    held, ended = await asyncio.gather(driver.hold(), driver.hang_up(), return_exceptions=True)
    assert isinstance(held, DriverRefused)
    assert ended is None


async def test_every_digit_reaches_the_peer_of_a_real_phone(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with phone_at_wire(tmp_path_factory.mktemp("phone")) as at:
        await at.wire.call(at.driver, "0")
        await at.driver.press_keys("0*#AD")

        def all_came(_: bytes) -> bool:
            return len(_events(at.wire.rtp.seen)) == 5

        await at.wire.rtp.wait_for(all_came)
        assert _events(at.wire.rtp.seen) == [0, 10, 11, 12, 15]


def _events(packets: list[object]) -> list[int]:
    keys: dict[bytes, int] = {}
    for packet in packets:
        data: bytes = packet.data  # type: ignore[attr-defined]
        if data[1] & 0x7F == 101:
            keys.setdefault(data[4:8], data[12])
    return list(keys.values())
