"""A procedure sends speech in a call: what the phone gets is that speech, as the plan has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from agents.instruments.audio import decode, encode, tone
from agents.instruments.rtp import RtpPort
from agents.instruments.rtp_analysis import extended_sequence
from agents.instruments.sdp import MediaDirection
from agents.instruments.sender.impairment import Impairment
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import SystemClock
from tests.agents.suites.test_torture import CASE, StandIn, bench_of

SPEECH = tone("PCMU", seconds=0.5, level_dbfs=-20)


@asynccontextmanager
async def in_a_call(phone: StandIn) -> AsyncIterator[tuple[Call, RtpPort]]:
    """A call with the stand-in, and the port at which it hears."""
    ear = RtpPort(clock=SystemClock()).open("127.0.0.1")
    async with bench_of(phone) as bench, bench.one_case(CASE):
        await bench.sender.ready()
        phone.audio = replace(phone.audio, port=ear.address[1])
        call, invite = bench.call_phone()
        assert await bench.take_call(invite) is not None
        yield call, ear
    ear.close()


async def test_the_phone_hears_the_speech_once_without_what_the_plan_lost_and_then_silence() -> None:
    async with in_a_call(StandIn()) as (call, ear):
        sent = await call.send_speech(SPEECH, impairment=Impairment(loss=0.2, jitter_ms=5), seed=2)
        assert sent is not None
        await ear.heard.first(lambda packet: packet.sequence == (sent.first_sequence + 26) & 0xFFFF, timeout_s=5)

    spoken, kept = encode("PCMU", SPEECH), [number for number in range(25) if number not in sent.plan.lost]
    heard = dict(zip((n - sent.first_sequence for n in extended_sequence(ear.packets())), ear.packets(), strict=True))
    assert sent.plan.lost
    assert [heard[number].payload for number in kept] == [spoken[number] for number in kept]
    assert not set(heard) & set(sent.plan.lost)
    assert set(decode("PCMU", [heard[25].payload])) <= {-8, 0, 8}


async def test_speech_in_the_middle_of_which_the_phone_holds_the_call_is_not_taken_for_sent() -> None:
    phone = StandIn()
    async with in_a_call(phone) as (call, _):
        speaking = asyncio.create_task(call.send_speech(SPEECH))
        while call.port.signal is None:
            await asyncio.sleep(0.005)
        held = phone.ringing[-1].invite(direction=MediaDirection.SENDONLY)
        assert await held.final(timeout_s=2) is not None

        assert await speaking is None
