import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from agents.instruments.dialog import Dialog, expecting_calls, ignoring_calls
from agents.instruments.sdp import G722, PCMU, TELEPHONE_EVENT, LocalAudio, MediaDirection, parse_sdp
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Request, parse, request_bytes
from agents.instruments.sip_transactions import ClientTransaction, Timers
from agents.instruments.sip_transport import Direction
from lab_inventory.clock import SystemClock
from lab_inventory.errors import InvariantBroken

LOOPBACK = ("127.0.0.1", 0)
FAST = Timers(t1_s=0.02, t2_s=0.08)
AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU, TELEPHONE_EVENT))
WAIT_S = 2.0


@pytest.fixture
async def near() -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(clock=SystemClock(), timers=FAST).open(LOOPBACK)
    yield endpoint
    endpoint.close()


@pytest.fixture
async def far() -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(clock=SystemClock(), timers=FAST).open(LOOPBACK)
    yield endpoint
    endpoint.close()


def call_from(near: SipEndpoint, far: SipEndpoint, audio: LocalAudio = AUDIO) -> Dialog:
    target = f"sip:far@{far.address[0]}:{far.address[1]}"
    return Dialog.outgoing(near, audio=audio, peer=far.address, target=target)


async def test_what_is_watched_for_arrives_even_where_nobody_else_would_be_given_it(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    with near.transport.trace.watching("mark-1") as arrived:
        for raw in (b"SIP/2.0 200 OK\r\nCall-ID: mark-1\r\n\r\n", b"no SIP, but mark-1", b"something else"):
            far.transport.send(raw, near.address)
        last = await arrived.first(lambda entry: b"no SIP" in entry.raw, timeout_s=WAIT_S)
        near.transport.send(b"mark-1 goes out", far.address)

    assert last is not None
    assert [entry.fault != "" for entry in arrived.all()] == [True, True]
    with near.transport.trace.watching("too late") as later:
        far.transport.send(b"mark-1 too late", near.address)
        assert await later.first(lambda _: True, timeout_s=WAIT_S) is not None
    assert len(arrived) == 2


async def established(near: SipEndpoint, far: SipEndpoint) -> tuple[Dialog, Dialog]:
    call = call_from(near, far)
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite()
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.ring()
        taken.accept()
        final = await invite.final(timeout_s=WAIT_S)
    assert final is not None
    assert final.message.status == 200
    return call, taken


def sent(endpoint: SipEndpoint, method: str) -> list[Request]:
    messages = [parse(entry.raw) for entry in endpoint.transport.trace.entries() if entry.direction is Direction.OUT]
    return [message for message in messages if isinstance(message, Request) and message.method == method]


async def status_of(transaction: ClientTransaction) -> int | None:
    final = await transaction.final(timeout_s=WAIT_S)
    return None if final is None else final.message.status


async def test_a_call_rings_is_answered_acknowledged_and_ended(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken = await established(near, far)

    assert taken.invitation is not None
    assert await taken.invitation.acknowledged(timeout_s=WAIT_S) is not None
    assert await status_of(call.bye()) == 200
    assert taken.ended
    assert taken.remote is not None
    assert call.remote is not None


async def test_every_call_has_its_own_call_id_branch_and_tags(near: SipEndpoint, far: SipEndpoint) -> None:
    await established(near, far)
    await established(near, far)

    first, second = sent(near, "INVITE")
    for name in ("Call-ID", "Via", "From"):
        assert first.get(name) != second.get(name)


async def test_an_invite_that_nobody_answers_is_repeated_at_doubled_intervals_and_given_up(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    near.timers = far.timers = Timers(t1_s=0.05)
    with ignoring_calls(far) as arrived:
        invite = call_from(near, far).invite()
        assert await invite.final() is None
        (ignored,) = arrived.all()

    intervals_ms = [(after - before) / 1e6 for before, after in pairwise(ignored.arrivals_ns)]
    assert len(intervals_ms) == 6
    for repeat, interval_ms in enumerate(intervals_ms):
        assert interval_ms == pytest.approx(50 * 2**repeat, abs=40)
    assert len(invite.sent_ns) == 7


async def test_a_final_answer_to_an_invite_is_repeated_until_its_ack(near: SipEndpoint, far: SipEndpoint) -> None:
    call = call_from(near, far)
    with expecting_calls(far, audio=AUDIO) as arrived:
        headers = [(name, value) for name, value in _invite_headers(near, far)]
        body = AUDIO.describe(version=1)
        invite = near.send_request("INVITE", "sip:far@h", headers, peer=far.address, body=body)
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.accept()
        third = await invite.responses.first(
            lambda _: len([r for r in invite.responses.all() if r.message.status == 200]) >= 3, timeout_s=WAIT_S
        )
    assert third is not None
    assert taken.invitation is not None
    ack = [(n, v.replace("INVITE", "ACK") if n == "CSeq" else v) for n, v in headers if n != "Content-Type"]
    near.send_ack("sip:far@h", [("Via", near.via()), *ack[1:]], peer=far.address)
    assert await taken.invitation.acknowledged(timeout_s=WAIT_S) is not None
    count = len(invite.responses)
    await asyncio.sleep(0.2)
    assert len(invite.responses) == count
    assert call.call_id != taken.call_id


def _invite_headers(near: SipEndpoint, far: SipEndpoint) -> list[tuple[str, str]]:
    host, port = near.address
    return [
        ("Via", near.via()),
        ("From", f"<sip:near@{host}:{port}>;tag=n"),
        ("To", f"<sip:far@{far.address[0]}>"),
        ("Call-ID", near.clock.new_id("call")),
        ("CSeq", "1 INVITE"),
        ("Contact", f"<sip:near@{host}:{port}>"),
        ("Content-Type", "application/sdp"),
    ]


async def test_a_repeated_request_is_answered_as_before_and_handled_once(near: SipEndpoint, far: SipEndpoint) -> None:
    headers = [(n, v.replace("INVITE", "OPTIONS")) for n, v in _invite_headers(near, far) if n != "Content-Type"]
    options = near.send_request("OPTIONS", "sip:far@h", headers, peer=far.address)
    first = await options.final(timeout_s=WAIT_S)
    near.transport.send(options.request.raw, far.address)
    second = await options.responses.first(lambda _: len(options.responses) == 2, timeout_s=WAIT_S)

    assert first is not None
    assert second is not None
    assert {response.message.raw for response in options.responses.all()} == {first.message.raw}


async def test_a_refused_call_is_acknowledged_in_its_own_transaction(near: SipEndpoint, far: SipEndpoint) -> None:
    call = call_from(near, far)
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite()
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.refuse(486)
        assert await status_of(invite) == 486
        assert taken.invitation is not None
        ack = await taken.invitation.acknowledged(timeout_s=WAIT_S)

    assert ack is not None
    assert ack.message.get("Via") == invite.request.get("Via")
    assert ack.message.get("CSeq") == "1 ACK"


async def test_a_cancelled_call_ends_with_487(near: SipEndpoint, far: SipEndpoint) -> None:
    call = call_from(near, far)
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite()
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.ring()
        await invite.response(180, timeout_s=WAIT_S)
        cancelled = call.cancel()

    assert await status_of(cancelled) == 200
    assert await status_of(invite) == 487
    assert taken.ended


async def test_a_hold_is_answered_with_the_mirrored_direction_and_a_growing_version(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    call, taken = await established(near, far)

    final = await call.invite(direction=MediaDirection.SENDONLY).final(timeout_s=WAIT_S)

    assert final is not None
    answer = parse_sdp(final.message.body)
    assert answer.audio is not None
    assert answer.audio.direction is MediaDirection.RECVONLY
    assert answer.origin.split()[2] == "2"
    assert taken.remote is not None
    assert taken.remote.audio is not None
    assert taken.remote.audio.direction is MediaDirection.SENDONLY


async def test_a_call_without_a_common_codec_is_refused_with_488(near: SipEndpoint, far: SipEndpoint) -> None:
    call = call_from(near, far, LocalAudio(host="127.0.0.1", port=4000, formats=(G722,)))
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite()
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.accept()

        assert await status_of(invite) == 488


async def test_requests_in_a_call_are_answered_by_themselves_and_kept(near: SipEndpoint, far: SipEndpoint) -> None:
    call, taken = await established(near, far)

    assert await status_of(call.send("OPTIONS")) == 200
    assert await status_of(call.send("INFO", [("Content-Type", "text/plain")], b"x")) == 200
    assert await status_of(call.send("REFER")) == 603
    assert await status_of(call.send("PUBLISH")) == 405
    assert [kept.request.method for kept in taken.requests.all()] == ["INVITE", "OPTIONS", "INFO", "REFER", "PUBLISH"]


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("INVITE", 480), ("BYE", 481), ("MESSAGE", 405)])
async def test_what_belongs_to_no_call_is_answered(
    near: SipEndpoint, far: SipEndpoint, method: str, status: int
) -> None:
    headers = [(n, v.replace("INVITE", method)) for n, v in _invite_headers(near, far) if n != "Content-Type"]

    assert await status_of(near.send_request(method, "sip:far@h", headers, peer=far.address)) == status


async def test_a_late_message_of_an_ended_call_never_reaches_the_next(near: SipEndpoint, far: SipEndpoint) -> None:
    old, old_far = await established(near, far)
    await status_of(old.bye())
    with expecting_calls(far, audio=AUDIO) as arrived:
        late = old.invite()
        assert await status_of(late) == 200

        assert arrived.all() == ()
    assert [kept.request.method for kept in old_far.requests.all()] == ["INVITE", "BYE", "INVITE"]


async def test_two_cases_cannot_expect_a_call_at_the_same_time(far: SipEndpoint) -> None:
    with expecting_calls(far, audio=AUDIO), pytest.raises(InvariantBroken), ignoring_calls(far):
        pass


async def test_junk_is_kept_in_the_trace_with_its_fault_and_the_endpoint_lives(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    for junk in (b"\xff\x00junk", request_bytes("INVITE", "sip:x", [("Via", "no via")]), b"\r\n\r\n"):
        near.transport.send(junk, far.address)
    headers = [(n, v.replace("INVITE", "OPTIONS")) for n, v in _invite_headers(near, far) if n != "Content-Type"]
    assert await status_of(near.send_request("OPTIONS", "sip:x", headers, peer=far.address)) == 200

    first, second, keep_alive = far.transport.trace.entries()[:3]
    assert first.raw == b"\xff\x00junk"
    assert first.fault
    assert second.fault
    assert not keep_alive.fault


async def test_the_trace_maps_every_byte_to_a_code_point(near: SipEndpoint, far: SipEndpoint) -> None:
    raw = bytes(range(256))
    near.transport.send(raw, far.address)

    assert raw.decode("latin-1") == json.loads(near.transport.trace.json_lines())["raw"]
