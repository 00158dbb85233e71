"""The short-lived credential: when it is asked for, and what happens where it cannot be got."""

import asyncio

import pytest
from agent_nouns import HOST
from pydantic import SecretStr

from agents.key import AgentKey
from agents.proof import AGAIN_S, Proof
from agents.uplink_events import Trouble
from agents.wire import Wire, WireTrouble
from lab_inventory.clock import ManualClock
from lab_inventory.messages import ChallengeReply, ChallengeRequest, CredentialReply, CredentialRequest

KEY = AgentKey(agent="agent-1", host=HOST, audience="lab-1", private_key=SecretStr("A" * 43))


class FakeWire(Wire):
    """Answers with numbered credentials; ``trouble``: with that instead."""

    def __init__(self) -> None:
        self.asked = 0
        self.trouble: Trouble | None = None

    async def challenge(self, request: ChallengeRequest) -> ChallengeReply:
        await asyncio.sleep(0)
        self.asked += 1
        if self.trouble is not None:
            raise WireTrouble(self.trouble, "no")
        return ChallengeReply(challenge=f"challenge-{self.asked}")

    async def prove(self, request: CredentialRequest) -> CredentialReply:
        return CredentialReply(credential=f"credential-{self.asked}", lives_s=3600.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


async def test_many_requests_at_once_ask_once(clock: ManualClock, wire: FakeWire) -> None:
    proof = Proof(KEY, clock)
    assert set(await asyncio.gather(*(proof.credential(wire) for _ in range(9)))) == {"credential-1"}
    again = await asyncio.gather(*(proof.credential(wire, refused="credential-1") for _ in range(9)))
    assert (set(again), wire.asked) == ({"credential-2"}, 2)


async def test_it_is_renewed_at_two_thirds_of_its_life_and_lives_on_where_that_does_not_go(
    clock: ManualClock, wire: FakeWire
) -> None:
    proof = Proof(KEY, clock)
    await proof.credential(wire)
    clock.advance(2399)
    assert await proof.credential(wire) == "credential-1"
    clock.advance(2)
    wire.trouble = Trouble.UNREACHABLE
    assert await proof.credential(wire) == "credential-1"
    assert await proof.credential(wire) == "credential-1"
    assert wire.asked == 2
    wire.trouble = None
    clock.advance(AGAIN_S)
    assert await proof.credential(wire) == "credential-3"


async def test_after_a_long_outage_the_first_request_gets_a_new_one(clock: ManualClock, wire: FakeWire) -> None:
    proof = Proof(KEY, clock)
    await proof.credential(wire)
    clock.advance(100_000)
    wire.trouble = Trouble.UNREACHABLE
    with pytest.raises(WireTrouble):
        await proof.credential(wire, refused="credential-1")
    wire.trouble = None
    clock.advance(1)
    assert await proof.credential(wire) == "credential-3"


async def test_who_waited_for_an_exchange_that_failed_does_not_wait_for_the_same_again(
    clock: ManualClock, wire: FakeWire
) -> None:
    wire.trouble = Trouble.UNREACHABLE
    proof = Proof(KEY, clock)
    failed = await asyncio.gather(*(proof.credential(wire) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in failed] == [WireTrouble] * 5
    assert wire.asked == 1


async def test_a_key_that_is_refused_is_not_spoken_with_any_longer(clock: ManualClock, wire: FakeWire) -> None:
    proof = Proof(KEY, clock)
    await proof.credential(wire)
    clock.advance(3000)
    wire.trouble = Trouble.REFUSED
    with pytest.raises(WireTrouble):
        await proof.credential(wire)
    clock.advance(1)
    with pytest.raises(WireTrouble):
        await proof.credential(wire)


def test_the_private_half_is_not_shown() -> None:
    assert "A" * 43 not in repr(KEY) + str(KEY)
    assert "A" * 43 in KEY.model_dump_json()
