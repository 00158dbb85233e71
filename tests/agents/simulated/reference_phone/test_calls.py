"""What the healthy phone does beside what its defects disturb: transfers, late offers, two calls, challenges."""

import asyncio
import re
from urllib.parse import unquote

from phone_wire import Call, Peer, Wire, value_of
from reference_wire import AtWire, direction_of, is_answer, is_request, reference_at_wire, with_header

SDP = "Content-Type: application/sdp\r\n"


def answers_reinvites(at: AtWire) -> None:
    """The wire takes every re-INVITE, as it mirrors the direction."""
    receive = at.wire.sip.datagram_received

    def take(data: bytes, addr: Peer) -> None:
        receive(data, addr)
        if is_request("INVITE")(data) and ";tag=" in value_of(data, "To"):
            way = {"sendonly": "recvonly"}.get(direction_of(data), "sendrecv")
            at.wire.sip.send(at.wire.answer(data, 200, SDP, at.wire.sdp("0", way)), addr)

    at.wire.sip.datagram_received = take  # type: ignore[method-assign]


async def consulted(at: AtWire) -> tuple[Call, Call, bytes]:
    """A held call, and the one that was dialled from it, with its INVITE."""
    answers_reinvites(at)
    held, _, _ = await at.call()
    since = len(at.wire.sip.seen)
    assert at.phone.consult(f"sip:target@{at.wire.registrar}") is None
    invite = await at.wire.sip.wait_for(
        lambda data: is_request("INVITE")(data) and ";tag=" not in value_of(data, "To"), since=since
    )
    at.wire.answer_next(invite, "0")
    await at.wire.sip.wait_for(is_request("ACK"), since=since)
    return held, at.call_of(invite), invite.data


async def test_an_attended_transfer_names_the_other_call_and_ends_both() -> None:
    async with reference_at_wire() as at:
        held, other, _ = await consulted(at)
        assert at.phone.complete_transfer() is None
        refer = await at.wire.sip.wait_for(is_request("REFER"))
        assert value_of(refer.data, "Call-ID") == held.call_id
        found = re.fullmatch(r"<(sip:target@[^?]*)\?Replaces=(.*)>", value_of(refer.data, "Refer-To"))
        assert found
        tag = other.to.partition("tag=")[2]
        assert unquote(found[2]) == f"{other.call_id};to-tag=wire;from-tag={tag}"

        at.wire.sip.send(at.wire.answer(refer.data, 202), refer.peer)
        held.number += 1
        notify = with_header(
            at.wire.request("NOTIFY", held, body=b"SIP/2.0 200 OK\r\n"),
            "Event: refer",
            "Subscription-State: terminated",
        )
        at.wire.sip.send(notify.replace(b"application/sdp", b"message/sipfrag"), at.wire.peer)

        def both_ended(_: bytes) -> bool:
            return (
                len({value_of(seen.data, "Call-ID") for seen in at.wire.sip.seen if is_request("BYE")(seen.data)}) == 2
            )

        await at.wire.sip.wait_for(both_ended)


async def test_a_consultation_that_is_refused_gives_the_held_call_back() -> None:
    async with reference_at_wire() as at:
        answers_reinvites(at)
        held, _, _ = await at.call()
        assert at.phone.consult(f"sip:target@{at.wire.registrar}") is None
        invite = await at.wire.sip.wait_for(
            lambda data: is_request("INVITE")(data) and ";tag=" not in value_of(data, "To")
        )
        since = len(at.wire.sip.seen)
        at.wire.sip.send(at.wire.answer(invite.data, 486), invite.peer)
        resumed = await at.wire.sip.wait_for(
            lambda data: is_request("INVITE")(data) and direction_of(data) == "sendrecv", since=since
        )
        assert value_of(resumed.data, "Call-ID") == held.call_id


async def test_an_invite_without_an_offer_is_answered_with_one() -> None:
    async with reference_at_wire() as at:
        call, _ = await at.invite(body=b"")
        await at.first(is_answer(180, "INVITE"))
        at.phone.answer()
        final = await at.wire.sip.wait_for(is_answer(200, "INVITE"))
        assert b"m=audio" in final.data
        assert not at.wire.rtp.seen
        call.to, call.target = value_of(final.data, "To"), at.wire.contact
        at.wire.sip.send(at.wire.request("ACK", call, body=at.wire.sdp("8"), branch="z9hG4bKack"), at.wire.peer)
        heard = await at.wire.rtp.wait_for(lambda _: True)
        assert heard.data[1] & 0x7F == 8


async def test_a_reliable_ringing_has_the_offer_where_the_invite_had_none() -> None:
    async with reference_at_wire() as at:
        call, _ = await at.invite("Require: 100rel", body=b"")
        ringing = await at.wire.sip.wait_for(is_answer(180, "INVITE"))
        assert b"m=audio" in ringing.data
        at.phone.answer()
        assert await at.first(is_answer(200, "INVITE"), timeout_s=0.1) is None
        call.to = value_of(ringing.data, "To")
        prack = at.wire.request("PRACK", Call(call.call_id, call.to, call.target, 2), body=at.wire.sdp("0"))
        at.wire.sip.send(with_header(prack, f"RAck: {value_of(ringing.data, 'RSeq')} 1 INVITE"), at.wire.peer)
        final = await at.wire.sip.wait_for(is_answer(200, "INVITE"))
        assert b"m=audio" not in final.data


async def test_a_reliable_ringing_is_repeated_and_its_call_refused_where_no_prack_comes() -> None:
    async with reference_at_wire(t1_s=0.005) as at:
        await at.invite("Supported: 100rel")
        assert await at.first(is_answer(504, "INVITE"))
        assert at.count(is_answer(180, "INVITE")) > 4


async def test_update_changes_the_call_with_an_offer_and_refreshes_it_without() -> None:
    async with reference_at_wire() as at:
        call, _, _ = await at.call()
        held = await at.wire.ask("UPDATE", call, body=at.wire.sdp("0", "sendonly"))
        assert direction_of(held) == "recvonly"
        refreshed = await at.wire.ask("UPDATE", call)
        assert refreshed[8:11] == b"200"
        assert b"m=audio" not in refreshed


async def test_an_offer_with_nothing_in_common_is_refused_and_the_call_goes_on() -> None:
    async with reference_at_wire() as at:
        call, _, _ = await at.call()
        assert (await at.wire.ask("INVITE", call, body=at.wire.sdp("18")))[8:11] == b"488"
        heard = len(at.wire.rtp.seen)
        await at.wire.rtp.wait_for(lambda _: True, since=heard)
        assert (await at.wire.ask("BYE", call))[8:11] == b"200"


async def test_a_second_call_holds_the_first() -> None:
    async with reference_at_wire() as at:
        answers_reinvites(at)
        first, _, _ = await at.call()
        second, _, _ = await at.call()
        hold = await at.wire.sip.wait_for(lambda data: is_request("INVITE")(data) and b"a=sendonly" in data)
        assert value_of(hold.data, "Call-ID") == first.call_id
        at.phone.hang_up()
        bye = await at.wire.sip.wait_for(is_request("BYE"))
        assert value_of(bye.data, "Call-ID") == second.call_id


async def test_a_challenge_to_an_invite_is_answered() -> None:
    async with reference_at_wire() as at:
        invite = await at.dial()
        since = len(at.wire.sip.seen)
        asks = 'Proxy-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"\r\n'
        at.wire.sip.send(at.wire.answer(invite.data, 407, asks), invite.peer)
        again = await at.wire.sip.wait_for(is_request("INVITE"), since=since)
        assert "algorithm=SHA-256" in value_of(again.data, "Proxy-Authorization")
        assert value_of(again.data, "CSeq") == "2 INVITE"
        assert value_of(again.data, "Call-ID") == value_of(invite.data, "Call-ID")


async def test_a_200_that_comes_again_is_acknowledged_again() -> None:
    async with reference_at_wire() as at:
        invite, _ = await at.dialled()
        await at.wire.sip.wait_for(is_request("ACK"))
        since = len(at.wire.sip.seen)
        at.wire.sip.send(at.wire.answer(invite.data, 200, SDP, at.wire.sdp("0")), invite.peer)
        assert await at.first(is_request("ACK"), since=since)


async def test_a_call_given_up_before_any_answer_is_cancelled_at_the_first() -> None:
    async with reference_at_wire() as at:
        invite = await at.dial()
        at.phone.hang_up()
        assert await at.first(is_request("CANCEL"), timeout_s=0.1) is None
        at.wire.sip.send(at.wire.answer(invite.data, 180), invite.peer)
        assert await at.first(is_request("CANCEL"))


async def test_who_watches_the_calls_is_told_of_each() -> None:
    async with reference_at_wire() as at:
        answers = at.wire.sip.datagram_received

        def take(data: bytes, addr: Peer) -> None:
            answers(data, addr)
            if is_request("NOTIFY")(data):
                at.wire.sip.send(at.wire.answer(data, 200), addr)

        at.wire.sip.datagram_received = take  # type: ignore[method-assign]
        subscribe = with_header(at.wire.request("SUBSCRIBE", at.wire.new_call()), "Event: dialog", "Expires: 60")
        at.wire.sip.send(subscribe, at.wire.peer)
        await at.wire.sip.wait_for(is_answer(200, "SUBSCRIBE"))
        await at.wire.sip.wait_for(lambda data: is_request("NOTIFY")(data) and b'version="0"' in data)
        call, _, _ = await at.call()
        mine = f'call-id="{call.call_id}"'.encode()
        await at.wire.sip.wait_for(lambda data: mine in data and b"<state>confirmed</state>" in data)


async def test_an_interval_that_is_too_brief_for_the_registrar_is_raised() -> None:
    def too_brief(wire: Wire) -> None:
        register = wire._register

        def once(data: bytes, peer: Peer) -> None:
            if b"Expires: 3600\r\n" in data:
                wire.sip.send(wire.answer(data, 423, "Min-Expires: 7200\r\n"), peer)
            else:
                register(data, peer)

        wire._register = once  # type: ignore[method-assign]

    async with reference_at_wire(prepare=too_brief) as at:
        assert at.count(lambda data: b"Expires: 7200\r\n" in data)


async def test_a_wrong_password_is_tried_a_few_times_and_not_at_once_again() -> None:
    async with reference_at_wire(password="wrong", registers=False) as at:
        await asyncio.sleep(0.3)
        assert at.wire.wrong_digests == 1
