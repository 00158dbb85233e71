"""The contract that Assay ships as a pytest plug-in, held over every driver of its own. No phone is here."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from person_stand_in import free_address, person
from yealink_stand_in import YealinkStandIn, yealink_stand_in

from agents.drivers import installed_drivers
from agents.drivers.baresip import BaresipDriver
from agents.drivers.operator import OperatorDriver
from agents.drivers.reference import ReferenceDriver
from agents.drivers.yealink import YealinkDriver
from agents.testing.driver_contract import DriverContract, listening


async def control_port(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, ok: bool = True) -> None:
    """What baresip's module ctrl_tcp answers: a netstring of JSON for each command."""
    while True:
        size = int((await reader.readuntil(b":"))[:-1])
        said = json.loads((await reader.readexactly(size + 1))[:-1])
        text = json.dumps({"response": True, "ok": ok, "data": "", "token": said["token"]}).encode()
        writer.write(b"%d:%s," % (len(text), text))
        await writer.drain()


class TestBaresipDriver(DriverContract):
    driver = BaresipDriver
    user_agents = ("baresip v1.0.0 (x86_64/linux)", "baresip v3.12.1 (aarch64/linux)")

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[str]:
        async with listening(control_port) as control:
            yield control

    @asynccontextmanager
    async def refusing_phone(self) -> AsyncIterator[str]:
        async with listening(lambda reader, writer: control_port(reader, writer, ok=False)) as control:
            yield control


async def json_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, ok: bool = True) -> None:
    """What the reference phone answers: a line of JSON for each key."""
    while await reader.readline():
        writer.write(b'{"ok": true}\n' if ok else b'{"ok": false, "why": "not now"}\n')
        await writer.drain()


class TestReferenceDriver(DriverContract):
    driver = ReferenceDriver
    user_agents = ("Assay-Reference-Phone/1.0",)

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[str]:
        async with listening(json_lines) as control:
            yield control

    @asynccontextmanager
    async def refusing_phone(self) -> AsyncIterator[str]:
        async with listening(lambda reader, writer: json_lines(reader, writer, ok=False)) as control:
            yield control


class TestYealinkDriver(DriverContract):
    driver = YealinkDriver
    user_agents = ("Yealink T58 58.80.0.5", "Yealink SIP-T46G 28.83.0.50")

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[str]:
        async with yealink_stand_in(YealinkStandIn()) as phone:
            yield phone.control

    @asynccontextmanager
    async def refusing_phone(self) -> AsyncIterator[str]:
        async with yealink_stand_in(YealinkStandIn(status=403)) as phone:
            yield phone.control


class TestOperatorDriver(DriverContract):
    """The phone is a person here, and the control address is the driver's own."""

    driver = OperatorDriver
    patience_s = 10.0

    def make(self, control: str) -> OperatorDriver:
        return OperatorDriver(control, press_timeout_s=self.patience_s)

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[str]:
        async with person(free_address()) as control:
            yield control

    @asynccontextmanager
    async def refusing_phone(self) -> AsyncIterator[str]:
        async with person(free_address(), says="cannot") as control:
            yield control

    @asynccontextmanager
    async def absent_phone(self) -> AsyncIterator[str]:
        async with listening(asyncio.StreamReader.read) as taken:  # type: ignore[arg-type]
            yield taken

    @asynccontextmanager
    async def silent_phone(self) -> AsyncIterator[str]:
        self.patience_s = 0.3
        yield free_address()

    @asynccontextmanager
    async def garbling_phone(self) -> AsyncIterator[str]:
        self.patience_s = 0.5
        async with person(free_address(), says="\x00{7:rubbish", prompt="another") as control:
            yield control


def test_every_driver_that_assay_brings_is_held_to_the_contract() -> None:
    held = {contract.driver for contract in DriverContract.__subclasses__() if contract.__module__ == __name__}
    own = {driver for driver in installed_drivers().values() if driver.__module__.startswith("agents.")}
    assert own == held


class Boastful(BaresipDriver):
    """Says that the phone answered."""

    async def answer(self) -> bool:  # type: ignore[override]
        await super().answer()
        return True

    async def is_ringing(self) -> bool:
        return True


class OfBoastful(TestBaresipDriver):
    __test__ = False
    driver = Boastful


@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        ("test_a_verb_is_a_coroutine_that_gives_nothing", ("answer",)),
        ("test_a_press_gives_nothing_in_time", ("answer",)),
        ("test_it_presses_keys_and_reads_no_state", ()),
    ],
)
def test_a_driver_that_says_what_the_phone_did_breaks_the_contract(check: str, arguments: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        getattr(OfBoastful(), check)(*arguments)
