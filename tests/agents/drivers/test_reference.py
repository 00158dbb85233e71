import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from agents.drivers import DriverRefused, DriverUnreachable
from agents.drivers.reference import ReferenceDriver
from lab_inventory.device import Product
from tests.ports import free_port

Answerer = Callable[[bytes], bytes]


@pytest.fixture
async def control() -> AsyncIterator[Callable[[Answerer], Awaitable[ReferenceDriver]]]:
    """A driver at a control port that answers as told."""
    opened: list[tuple[asyncio.Server, ReferenceDriver]] = []

    async def at(answer: Answerer) -> ReferenceDriver:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(answer(line))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        driver = ReferenceDriver(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        opened.append((server, driver))
        return driver

    yield at
    for server, driver in opened:
        await driver.close()
        server.close()


def test_the_reference_phone_is_recognised_with_its_version() -> None:
    known = Product(maker="Assay", model="Reference Phone", firmware="1.0")
    assert ReferenceDriver.recognises("Assay-Reference-Phone/1.0") == known
    assert ReferenceDriver.recognises("baresip v1.0.0") is None


async def test_a_key_is_a_line_with_its_verb_and_value(
    control: Callable[[Answerer], Awaitable[ReferenceDriver]],
) -> None:
    lines: list[dict[str, str]] = []

    def answer(line: bytes) -> bytes:
        lines.append(json.loads(line))
        return b'{"ok": true}\n'

    driver = await control(answer)
    await driver.dial("sip:2@h")
    await driver.complete_transfer()
    assert lines == [{"verb": "dial", "value": "sip:2@h"}, {"verb": "complete-transfer", "value": ""}]


async def test_a_key_that_is_not_taken_is_refused_with_the_reason(
    control: Callable[[Answerer], Awaitable[ReferenceDriver]],
) -> None:
    driver = await control(lambda _: b'{"ok": false, "why": "no call"}\n')
    with pytest.raises(DriverRefused, match="no call"):
        await driver.hold()


@pytest.mark.parametrize("junk", [b"no json\n", b"{}", b"\n", b"x" * 200_000])
async def test_junk_from_the_control_port_is_an_error_of_the_lab(
    control: Callable[[Answerer], Awaitable[ReferenceDriver]], junk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.drivers.reference.PRESS_TIMEOUT_S", 0.2)
    driver = await control(lambda _: junk)
    with pytest.raises((DriverUnreachable, DriverRefused)):
        await driver.answer()


async def test_two_keys_at_once_get_each_its_own_answer(
    control: Callable[[Answerer], Awaitable[ReferenceDriver]],
) -> None:
    driver = await control(lambda line: b'{"ok": %s}\n' % (b"false" if b'"hold"' in line else b"true"))
    held, ended = await asyncio.gather(driver.hold(), driver.hang_up(), return_exceptions=True)
    assert isinstance(held, DriverRefused)
    assert ended is None


async def test_nobody_at_the_control_port_is_unreachable() -> None:
    driver = ReferenceDriver(f"127.0.0.1:{free_port()}")
    with pytest.raises(DriverUnreachable):
        await driver.hang_up()
    await driver.close()
    await driver.close()
