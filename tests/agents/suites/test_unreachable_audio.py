"""A phone that wants its audio where nothing can be sent spoils its own call and not the bench."""

import asyncio
import signal
from dataclasses import replace

import pytest

from agents.measure import LabError
from agents.processes import mark_of
from tests.agents.suites.test_torture import CASE, StandIn, bench_of


async def test_a_call_goes_on_where_the_phone_names_an_address_that_nothing_can_be_sent_to() -> None:
    phone = StandIn()
    async with bench_of(phone) as bench:
        phone.audio = replace(phone.audio, host="255.255.255.255")
        async with bench.one_case(CASE):
            call, invite = bench.call_phone()
            assert await invite.response(180, timeout_s=2) is not None
            await bench.driver.answer()
            final = await invite.final(timeout_s=2)
            async with asyncio.timeout(5):
                while not call.port.unsendable:
                    await asyncio.sleep(0.005)
            bye = await call.dialog.bye().final(timeout_s=2)
        bench.check_complete()

    assert final is not None
    assert bye is not None
    assert (final.message.status, bye.message.status) == (200, 200)
    assert call.port.unsendable["255.255.255.255"] > 0


async def test_audio_that_cannot_be_sent_to_the_phones_own_host_is_the_labs_fault() -> None:
    async with bench_of(StandIn()) as bench, bench.one_case(CASE):
        call, _ = bench.call_phone()
        call.port.unsendable["127.0.0.1"] = 1
        with pytest.raises(LabError, match=r"to the phone's own host 127\.0\.0\.1"):
            bench.check_complete()


async def test_a_case_in_which_the_bench_could_not_go_on_sending_is_the_labs_fault() -> None:
    async with bench_of(StandIn()) as bench, bench.one_case(CASE):
        await bench.sender.ready()
        assert bench.sender.pid is not None
        mark = mark_of(bench.sender.pid)
        assert mark is not None
        mark.signal(signal.SIGKILL)
        await mark.ended()
        with pytest.raises(LabError, match="the sender's process ended with status -9"):
            bench.check_complete()
