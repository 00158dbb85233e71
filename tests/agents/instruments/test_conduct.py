"""What a dialog does when a case wants it otherwise than usual."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.instruments.conduct import Conduct
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.sdp import PCMU, TELEPHONE_EVENT, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Request, parse
from agents.instruments.sip_transactions import ClientTransaction, Timers
from agents.instruments.sip_transport import Direction
from agents.instruments.subscriptions import Notifier, message_summary
from lab_inventory.clock import SystemClock

FAST = Timers(t1_s=0.02, t2_s=0.08)
AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU, TELEPHONE_EVENT))
WAIT_S = 2.0


@pytest.fixture
async def near() -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(clock=SystemClock(), timers=FAST).open(("127.0.0.1", 0))
    yield endpoint
    endpoint.close()


@pytest.fixture
async def far() -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(clock=SystemClock(), timers=FAST).open(("127.0.0.1", 0))
    yield endpoint
    endpoint.close()


async def ringing(
    near: SipEndpoint, far: SipEndpoint, conduct: Conduct, body: bytes | None = None
) -> tuple[Dialog, Dialog, ClientTransaction]:
    call = Dialog.outgoing(near, audio=AUDIO, peer=far.address, target=f"sip:far@127.0.0.1:{far.address[1]}")
    call.conduct = conduct
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite(body=body)
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
    assert taken is not None
    taken.ring()
    return call, taken, invite


async def established(near: SipEndpoint, far: SipEndpoint) -> tuple[Dialog, Dialog]:
    call, taken, invite = await ringing(near, far, Conduct())
    taken.accept()
    assert await status_of(invite) == 200
    assert taken.invitation is not None
    assert await taken.invitation.acknowledged(timeout_s=WAIT_S) is not None
    return call, taken


async def status_of(transaction: ClientTransaction) -> int | None:
    final = await transaction.final(timeout_s=WAIT_S)
    return None if final is None else final.message.status


def sent(endpoint: SipEndpoint, method: str) -> list[Request]:
    messages = [parse(entry.raw) for entry in endpoint.transport.trace.entries() if entry.direction is Direction.OUT]
    return [message for message in messages if isinstance(message, Request) and message.method == method]


async def test_an_ack_that_is_withheld_is_sent_when_it_is_asked_for(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken, invite = await ringing(near, far, Conduct(acknowledges=False))
    taken.accept()
    third = await invite.responses.first(
        lambda _: sum(one.message.status == 200 for one in invite.responses.all()) >= 3, timeout_s=WAIT_S
    )
    assert third is not None
    assert sent(near, "ACK") == []

    call.acknowledge()

    assert taken.invitation is not None
    assert await taken.invitation.acknowledged(timeout_s=WAIT_S) is not None
    call.acknowledge()
    assert len(sent(near, "ACK")) == 1


async def test_without_an_offer_in_the_invite_the_answer_goes_in_the_ack(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken, invite = await ringing(near, far, Conduct(), body=b"")
    taken.accept()
    assert await status_of(invite) == 200

    (first,) = sent(near, "INVITE")
    (ack,) = sent(near, "ACK")
    assert (first.body, first.get("Content-Type")) == (b"", None)
    assert b"m=audio 4000" in ack.body
    assert ack.get("Content-Type") == "application/sdp"
    assert call.remote is not None


async def test_a_cancel_can_be_met_by_a_200(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken, invite = await ringing(near, far, Conduct())
    taken.conduct = Conduct(crosses_cancel=True)
    await invite.response(180, timeout_s=WAIT_S)

    assert await status_of(call.cancel()) == 200
    assert await status_of(invite) == 200
    assert (taken.established, taken.ended) == (True, False)


async def test_a_reinvite_and_a_bye_can_be_left_open_and_answered_later(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken = await established(near, far)
    taken.conduct = Conduct(reinvite=None, bye=None)
    reinvite = call.invite()
    came = await taken.request("INVITE", timeout_s=WAIT_S, skip=1)
    assert came is not None
    await asyncio.sleep(0.05)
    assert reinvite.responses.all() == ()

    taken.respond(came, 200)

    assert await status_of(reinvite) == 200
    bye = call.bye()
    ended = await taken.request("BYE", timeout_s=WAIT_S)
    assert ended is not None
    taken.respond(ended, 200)
    assert await status_of(bye) == 200


async def test_a_reinvite_can_be_refused_and_the_call_lives(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken = await established(near, far)
    taken.conduct = Conduct(reinvite=491)

    assert await status_of(call.invite()) == 491
    taken.conduct = Conduct(refer=202)
    assert await status_of(call.invite()) == 200
    assert await status_of(call.send("REFER")) == 202


async def test_another_invite_of_a_refused_call_id_is_a_new_attempt(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken, first = await ringing(near, far, Conduct())
    taken.refuse(422, (("Min-SE", "120"),))
    assert await status_of(first) == 422
    again = call.invite()
    assert await taken.request("INVITE", timeout_s=WAIT_S, skip=1) is not None

    taken.accept()

    assert await status_of(again) == 200
    assert not taken.ended


async def test_a_prack_goes_to_whom_the_ringing_names(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken, invite = await ringing(near, far, Conduct(in_invite=(("Require", "100rel"),)))
    answer = await invite.response(180, timeout_s=WAIT_S)
    assert answer is not None
    assert invite.request.get("Require") == "100rel"
    call.adopt(answer.message)

    assert await status_of(call.send("PRACK", [("RAck", "1 1 INVITE")])) == 200
    (prack,) = sent(near, "PRACK")
    assert prack.get("To") == answer.message.get("To")
    assert call.remote_tag == taken.local_tag


async def test_headers_of_the_conduct_stand_in_the_200_to_an_update(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken = await established(near, far)
    taken.conduct = Conduct(in_ok=(("Session-Expires", "90;refresher=uac"),))

    for request in (call.send("UPDATE"), call.invite()):
        final = await request.final(timeout_s=WAIT_S)
        assert final is not None
        assert final.message.get("Session-Expires") == "90;refresher=uac"


async def test_a_subscription_is_granted_notified_and_ended(near: SipEndpoint, far: SipEndpoint) -> None:
    notifier = Notifier(near)
    call = Dialog.outgoing(far, audio=AUDIO, peer=near.address, target=f"sip:1001@127.0.0.1:{near.address[1]}")
    headers = [("Event", "message-summary"), ("Contact", call.contact)]
    asked = await call.send("SUBSCRIBE", [*headers, ("Expires", "600")]).final(timeout_s=WAIT_S)
    assert asked is not None
    assert (asked.message.status, asked.message.get("Expires")) == (200, "600")
    told = await call.request("NOTIFY", timeout_s=WAIT_S)
    assert told is not None
    assert told.request.body.startswith(b"Messages-Waiting: no")
    live = notifier.live("message-summary")
    assert live is not None
    assert await status_of(live.notify(*message_summary(waiting=2))) == 200
    call.adopt(asked.message)

    assert await status_of(call.send("SUBSCRIBE", [*headers, ("Expires", "0")])) == 200

    assert notifier.live("message-summary") is None
    last = await call.request("NOTIFY", timeout_s=WAIT_S, skip=2)
    assert last is not None
    assert (last.request.get("Subscription-State") or "").startswith("terminated")


async def test_a_subscription_to_a_package_that_is_not_known_is_refused(near: SipEndpoint, far: SipEndpoint) -> None:
    notifier = Notifier(near)
    call = Dialog.outgoing(far, audio=AUDIO, peer=near.address, target=f"sip:1001@127.0.0.1:{near.address[1]}")

    assert await status_of(call.send("SUBSCRIBE", [("Event", "weather"), ("Contact", call.contact)])) == 489
    assert notifier.live("weather") is None
