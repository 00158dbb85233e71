"""A call through the bench, with two endpoints of its own kind as the phones: what goes across, and what does not."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.passed_call import PassedCall, passed_call
from agents.instruments.rtp_relay import relay_between
from agents.instruments.sdp import PCMU, LocalAudio, MediaDirection, parse_sdp
from agents.instruments.sip_endpoint import Leg, SipEndpoint
from agents.instruments.sip_message import Response, request_bytes
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.sip_values import cseq
from lab_inventory.clock import SystemClock

CLOCK = SystemClock()
AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU,))
ACROSS = LocalAudio(host="127.0.0.1", port=5000, formats=(PCMU,))
WITHIN_S = 2.0


@dataclass
class Middle:
    """The bench between the phones ``a`` and ``b``; ``calls`` are those that went through."""

    a: SipEndpoint
    b: SipEndpoint
    here: SipEndpoint
    there: SipEndpoint
    calls: list[PassedCall]

    def server(self, invitation: ServerTransaction) -> Leg:
        ports = relay_between("127.0.0.1", "127.0.0.1", CLOCK)
        host, port = self.b.address
        target = f"sip:b@{host}:{port}"
        call = passed_call(invitation, self.here, self.there, ports, peer=self.b.address, target=target)
        self.calls.append(call)
        return call.caller

    def dialled(self) -> Dialog:
        host, port = self.here.address
        return Dialog.outgoing(self.a, audio=AUDIO, peer=self.here.address, target=f"sip:b@{host}:{port}")


@pytest.fixture
async def middle() -> Iterator[Middle]:
    ends = [SipEndpoint(clock=CLOCK).open(("127.0.0.1", 0)) for _ in range(4)]
    made = Middle(*ends, calls=[])
    with made.here.expecting_calls(made.server):
        yield made
    for call in made.calls:
        call.end()
    for end in ends:
        end.close()


async def test_offer_and_answer_go_across_led_over_the_bench_and_each_side_has_a_dialog_of_its_own(
    middle: Middle,
) -> None:
    with expecting_calls(middle.b, audio=ACROSS) as arrived:
        dialog = middle.dialled()
        invite = dialog.invite()
        called = await arrived.first(lambda _: True, timeout_s=WITHIN_S)
        assert called is not None
        called.ring()
        assert await invite.response(180, timeout_s=WITHIN_S) is not None
        called.accept()
        final = await invite.final(timeout_s=WITHIN_S)
        assert called.invitation is not None
        assert await called.invitation.acknowledged(timeout_s=WITHIN_S) is not None
    (call,) = middle.calls
    assert final is not None
    assert final.message.status == 200
    assert called.call_id != dialog.call_id
    offer, answer = called.remote, dialog.remote
    assert offer is not None
    assert offer.audio is not None
    assert offer.audio.destination == call.callee.port.address
    assert answer is not None
    assert answer.audio is not None
    assert answer.audio.destination == call.caller.port.address
    assert call.caller.port.destination == ("127.0.0.1", 4000)
    assert call.callee.port.destination == ("127.0.0.1", 5000)


async def test_a_refusal_goes_back_as_it_was_said(middle: Middle) -> None:
    with expecting_calls(middle.b, audio=ACROSS) as arrived:
        invite = middle.dialled().invite()
        called = await arrived.first(lambda _: True, timeout_s=WITHIN_S)
        assert called is not None
        called.refuse(486)
        final = await invite.final(timeout_s=WITHIN_S)
    assert final is not None
    assert (final.message.status, final.message.reason) == (486, "Busy Here")
    assert not middle.calls[0].established


async def test_a_call_that_is_given_up_is_given_up_across(middle: Middle) -> None:
    with expecting_calls(middle.b, audio=ACROSS) as arrived:
        dialog = middle.dialled()
        invite = dialog.invite()
        called = await arrived.first(lambda _: True, timeout_s=WITHIN_S)
        assert called is not None
        called.ring()
        await invite.response(180, timeout_s=WITHIN_S)
        dialog.cancel()
        assert await called.request("CANCEL", timeout_s=WITHIN_S) is not None
        final = await invite.final(timeout_s=WITHIN_S)
    assert final is not None
    assert final.message.status == 487


async def established(middle: Middle, stack: ExitStack) -> tuple[Dialog, Dialog]:
    arrived = stack.enter_context(expecting_calls(middle.b, audio=ACROSS))
    dialog = middle.dialled()
    invite = dialog.invite()
    called = await arrived.first(lambda _: True, timeout_s=WITHIN_S)
    assert called is not None
    called.accept()
    assert await invite.final(timeout_s=WITHIN_S) is not None
    assert called.invitation is not None
    assert await called.invitation.acknowledged(timeout_s=WITHIN_S) is not None
    return dialog, called


@pytest.mark.parametrize("by_caller", [True, False])
async def test_either_phone_holds_resumes_and_hangs_up_and_the_other_hears_of_it(
    middle: Middle, by_caller: bool
) -> None:
    with ExitStack() as stack:
        dialog, called = await established(middle, stack)
        one, other = (dialog, called) if by_caller else (called, dialog)
        final = await one.invite(direction=MediaDirection.SENDONLY).final(timeout_s=WITHIN_S)
        assert final is not None
        answered = parse_sdp(final.message.body).audio
        assert answered is not None
        assert answered.direction is MediaDirection.RECVONLY
        assert other.remote is not None
        assert other.remote.audio is not None
        assert other.remote.audio.direction is MediaDirection.SENDONLY
        (call,) = middle.calls
        own = call.caller if by_caller else call.callee
        assert own.port.destination is None
        await one.invite().final(timeout_s=WITHIN_S)
        assert own.port.destination is not None
        bye = await one.bye().final(timeout_s=WITHIN_S)
        assert bye is not None
        assert bye.message.status == 200
        assert other.ended


async def test_an_invite_without_a_description_gets_the_offer_across_and_its_ack_brings_the_answer(
    middle: Middle,
) -> None:
    """As phones resume that let their peer offer (RFC 3264, 5)."""
    with ExitStack() as stack:
        dialog, called = await established(middle, stack)
        (call,) = middle.calls
        known = len(called.requests)
        number, via = 50, middle.a.via()
        headers = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", call.caller.remote),
            ("To", call.caller.local),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{number} INVITE"),
            ("Contact", f"<sip:a@127.0.0.1:{middle.a.address[1]}>"),
        ]
        uri, peer = f"sip:bench@127.0.0.1:{middle.here.address[1]}", middle.here.address
        final = await middle.a.send_request("INVITE", uri, headers, peer=peer).final(timeout_s=WITHIN_S)
        assert final is not None
        assert isinstance(final.message, Response)
        offered = parse_sdp(final.message.body).audio
        assert offered is not None
        assert offered.destination == call.caller.port.address
        asked = await called.request("INVITE", timeout_s=WITHIN_S, skip=known)
        assert asked is not None
        assert asked.request.body == b""
        ack = [("Via", middle.a.via()), *headers[1:5], ("CSeq", f"{number} ACK"), ("Content-Type", "application/sdp")]
        answer = LocalAudio(host="127.0.0.1", port=4444, formats=(PCMU,)).describe(version=9)
        middle.a.transport.send(request_bytes("ACK", uri, ack, answer), peer)
        got = await asked.acknowledged(timeout_s=WITHIN_S)
    assert got is not None
    assert cseq(got.message).sequence == cseq(asked.request).sequence
    led = parse_sdp(got.message.body).audio
    assert led is not None
    assert led.destination == call.callee.port.address
    assert call.caller.port.destination == ("127.0.0.1", 4444)
