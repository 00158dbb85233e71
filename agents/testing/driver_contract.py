"""The contract of PhoneDriver as tests: derive a class whose name begins with ``Test`` from :class:`DriverContract`.

    class TestAcmeDriver(DriverContract):
        driver = AcmeDriver
        user_agents = ("Acme 9 1.2.3",)

        @asynccontextmanager
        async def phone(self):
            async with stand_in_for_an_acme_phone() as control:
                yield control

Everything else has a default for drivers that reach their phone over TCP. The tests need no plug-in for asyncio: each
runs a loop of its own, in which the stand-in lives too. Whether a phone did what its keys say is no part of the
contract: try that on a device.
"""

import asyncio
import importlib.util
import inspect
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

import pytest

from agents.drivers import (
    MEMBERS,
    DriverRefused,
    DriverUnreachable,
    FromSlot,
    KeyGoesDown,
    PhoneDriver,
    Reboots,
    TellsFirmware,
    traits_of,
)
from lab_inventory.clock import boottime_ns
from lab_inventory.device import Product

EXAMPLES = {"uri": "sip:somebody@127.0.0.1:5060", "digits": "1"}
"""What a verb is given by the name of its parameter; None where nothing is said here."""

PORT = {name: member for name, member in vars(PhoneDriver).items() if not name.startswith("_")}
PRESSES: dict[str, tuple[str | None, ...]] = {
    verb: tuple(EXAMPLES.get(parameter) for parameter in list(inspect.signature(method).parameters)[1:])
    for verb, method in PORT.items()
    if inspect.iscoroutinefunction(method) and verb not in ("open", "close")
}
"""Every verb of the port that presses keys, with something to press it with."""

VERBS = ("open", "close", *PRESSES)
ALWAYS_TAKEN = ("dial", "hang_up", "reset")
"""What a phone takes in any state: the others may be refused, as by a phone that has no call."""

STRANGERS = ("", " ", "Some Phone 9/1.2", "\x00\xff", "/" * 5000, "9" * 5000, "\u202ephone 1.0\n", "a b c d")
TEARDOWN_S = 5.0

Rewrite = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class DriverContract(ABC):
    """``driver``: the class to test. ``user_agents``: what phones say that it knows. ``refused``: the verb that the
    phone of ``refusing_phone`` does not take.
    """

    driver: ClassVar[type[PhoneDriver]]
    user_agents: ClassVar[tuple[str, ...]] = ()
    strangers: ClassVar[tuple[str, ...]] = STRANGERS
    refused: ClassVar[str] = "hold"

    @abstractmethod
    def phone(self) -> AbstractAsyncContextManager[str]:
        """A phone, or what stands in for one, that takes keys; gives its control address."""

    def refusing_phone(self) -> AbstractAsyncContextManager[str]:
        """A phone that answers, and does not take the verb ``refused``."""
        pytest.skip("there is no phone that refuses: give the class a refusing_phone")

    def absent_phone(self) -> AbstractAsyncContextManager[str]:
        """A control address at which nobody is."""
        return nobody()

    def silent_phone(self) -> AbstractAsyncContextManager[str]:
        """Something that can be reached and never answers."""
        return listening(_say_nothing)

    def garbling_phone(self) -> AbstractAsyncContextManager[str]:
        """Something that answers with rubbish."""
        return listening(_say_rubbish)

    def make(self, control: str) -> PhoneDriver:
        """A driver for the phone at ``control``."""
        return self.driver(control)

    # ---- what the class says of itself

    def test_its_class_has_every_member(self) -> None:
        missing = [member for member in (*MEMBERS, *VERBS) if not hasattr(self.driver, member)]
        assert not missing, f"{self.driver.__name__} lacks {', '.join(missing)}"

    def test_it_says_its_version_and_on_what_it_was_tried(self) -> None:
        kind = self.driver
        assert isinstance(kind.name, str)
        assert isinstance(kind.version, str)
        assert kind.version
        assert isinstance(kind.tried_on, tuple)
        assert all(isinstance(one, str) and 0 < len(one) <= 120 for one in kind.tried_on)
        assert traits_of(kind).press_timeout_s > 0
        assert isinstance(traits_of(kind).key_goes_down, KeyGoesDown)

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_verb_is_a_coroutine_that_gives_nothing(self, verb: str) -> None:
        method = getattr(self.driver, verb)
        assert inspect.iscoroutinefunction(method)
        annotated = inspect.signature(method).return_annotation
        assert annotated in (None, "None", inspect.Signature.empty), "a driver says nothing of what the phone did"

    def test_it_presses_keys_and_reads_no_state(self) -> None:
        known = {*VERBS, *MEMBERS, *PORT, "press_timeout_s", "key_goes_down"}
        known |= {name for port in (FromSlot, Reboots, TellsFirmware) for name in vars(port) if name[0] != "_"}
        more = sorted(name for name in vars(self.driver) if not name.startswith("_") and name not in known)
        assert not more, f"the port has no {', '.join(more)}: what a phone did is for the instruments to see"

    # ---- whom it knows

    def test_it_recognises_its_own_phones(self) -> None:
        for user_agent in self.user_agents:
            assert isinstance(self.driver.recognises(user_agent), Product), user_agent

    def test_it_recognises_no_stranger(self) -> None:
        for user_agent in self.strangers:
            assert self.driver.recognises(user_agent) is None, repr(user_agent)

    def test_whatever_a_phone_says_recognising_ends_well(self) -> None:
        for user_agent in texts(self.user_agents):
            found = self.driver.recognises(user_agent)
            assert found is None or isinstance(found, Product), repr(user_agent)

    # ---- what it does

    @pytest.mark.parametrize("verb", PRESSES)
    def test_a_press_gives_nothing_in_time(self, verb: str) -> None:
        async def scenario() -> None:
            async with self.phone() as control:
                driver = self.make(control)
                await driver.open()
                try:
                    assert await in_time(driver, verb) is None
                except DriverRefused:
                    assert verb not in ALWAYS_TAKEN, f"{verb} is taken by a phone in any state"
                finally:
                    await driver.close()

        asyncio.run(scenario())

    def test_a_press_without_open_connects_by_itself(self) -> None:
        async def scenario() -> None:
            async with self.phone() as control:
                driver = self.make(control)
                await in_time(driver, "dial")
                await driver.close()

        asyncio.run(scenario())

    def test_reset_and_close_may_come_at_any_time_and_again(self) -> None:
        async def scenario() -> None:
            async with self.phone() as control:
                driver = self.make(control)
                await driver.close()
                await driver.open()
                await driver.open()
                for verb in ("reset", "reset", "dial", "reset", "reset"):
                    await in_time(driver, verb)
                await driver.close()
                await driver.close()
                await in_time(driver, "dial")
                await in_time(driver, "reset")
                await driver.close()

        asyncio.run(scenario())

    # ---- what goes wrong

    def test_nobody_there_is_unreachable(self) -> None:
        async def scenario() -> None:
            async with self.absent_phone() as control:
                for verb in ("open", "answer", "reset"):
                    driver = self.make(control)
                    with pytest.raises(DriverUnreachable):
                        await in_time(driver, verb)
                    await driver.close()

        asyncio.run(scenario())

    @pytest.mark.parametrize("verb", ["answer", "reset"])
    def test_a_phone_that_does_not_answer_is_unreachable_in_time(self, verb: str) -> None:
        async def scenario() -> None:
            async with self.silent_phone() as control:
                driver = self.make(control)
                with pytest.raises(DriverUnreachable):
                    await in_time(driver, verb)
                await driver.close()

        asyncio.run(scenario())

    @pytest.mark.parametrize("verb", ["dial", "reset"])
    def test_an_answer_that_is_rubbish_is_no_press(self, verb: str) -> None:
        async def scenario() -> None:
            async with self.garbling_phone() as control:
                driver = self.make(control)
                with pytest.raises((DriverUnreachable, DriverRefused)):
                    await in_time(driver, verb)
                await driver.close()

        asyncio.run(scenario())

    def test_what_the_phone_does_not_take_is_refused(self) -> None:
        async def scenario() -> None:
            async with self.refusing_phone() as control:
                driver = self.make(control)
                with pytest.raises(DriverRefused) as caught:
                    await in_time(driver, self.refused)
                assert str(caught.value)
                await driver.close()

        asyncio.run(scenario())


async def in_time(driver: PhoneDriver, verb: str) -> object:
    """Press, and fail where it takes longer than the driver says; gives what the verb gives."""
    limit_s = traits_of(driver).press_timeout_s
    began_ns = boottime_ns()
    try:
        async with asyncio.timeout(limit_s + TEARDOWN_S):
            return await getattr(driver, verb)(*PRESSES.get(verb, ()))
    finally:
        took_s = (boottime_ns() - began_ns) / 1e9
        assert took_s < limit_s + 0.5, f"{verb} took {took_s:.1f} s; expected at most {limit_s:g} s"


def texts(known: Iterable[str]) -> Iterable[str]:
    """What a phone might say: what known phones say, spoilt; and anything, where hypothesis is installed."""
    for user_agent in known:
        yield from (user_agent[:place] for place in range(len(user_agent)))
        yield from (user_agent + more for more in (" ", "\n", "/", "9" * 500, "\x00"))
    yield from STRANGERS
    if importlib.util.find_spec("hypothesis") is not None:
        yield from _drawn()


def _drawn() -> list[str]:
    """A hundred texts that hypothesis thinks up."""
    from hypothesis import given, settings  # noqa: PLC0415  (not everybody has it)
    from hypothesis import strategies as st  # noqa: PLC0415

    drawn: list[str] = []

    def keep(text: str) -> None:
        drawn.append(text)

    settings(max_examples=100, database=None, deadline=None)(given(st.text(max_size=300))(keep))()
    return drawn


@asynccontextmanager
async def nobody() -> AsyncIterator[str]:
    """A local address at which nobody listens, and nobody else can while this lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def listening(answer: Rewrite) -> AsyncIterator[str]:
    """A local TCP server that gives every connection to ``answer``; gives its address."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        if own is not None:
            connections.add(own)
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def _say_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(b"\x00\xff}{ 7:rubbish, \r\n\r\n")
    await writer.drain()
