import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from agents.instruments import sip_streams
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.digest import Account
from agents.instruments.packets import Peer
from agents.instruments.registrar import Registrar
from agents.instruments.sdp import PCMU, TELEPHONE_EVENT, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Request, parse, request_bytes
from agents.instruments.sip_streams import Flow, Transport, transport_of
from agents.instruments.sip_transactions import ClientTransaction, Timers
from agents.instruments.sip_transport import Direction, TraceEntry
from lab_inventory.clock import SystemClock, boottime_ns
from lab_inventory.errors import Unavailable

LOOPBACK = ("127.0.0.1", 0)
FAST = Timers(t1_s=0.02, t2_s=0.08)
AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU, TELEPHONE_EVENT))
WAIT_S = 2.0


def endpoint_for_tests() -> SipEndpoint:
    account = Account(username="u", password="p", realm="assay")
    clock = SystemClock()
    registrar = Registrar(account, expires_s=60, clock=clock)
    return SipEndpoint(clock=clock, registrar=registrar, timers=FAST).open(LOOPBACK)


@pytest.fixture
async def near() -> AsyncIterator[SipEndpoint]:
    endpoint = endpoint_for_tests()
    yield endpoint
    endpoint.close()


@pytest.fixture
async def far() -> AsyncIterator[SipEndpoint]:
    endpoint = endpoint_for_tests()
    yield endpoint
    endpoint.close()


def options(near: SipEndpoint, peer: Peer, method: str = "OPTIONS") -> list[tuple[str, str]]:
    return [
        ("Via", near.via(peer)),
        ("From", "<sip:near@h>;tag=n"),
        ("To", "<sip:far@h>"),
        ("Call-ID", near.clock.new_id("call")),
        ("CSeq", f"1 {method}"),
    ]


async def status_of(transaction: ClientTransaction) -> int | None:
    final = await transaction.final(timeout_s=WAIT_S)
    return None if final is None else final.message.status


async def until_entry(endpoint: SipEndpoint, **wanted: object) -> TraceEntry:
    async with asyncio.timeout(WAIT_S):
        while True:
            for entry in endpoint.transport.trace.entries():
                if all(getattr(entry, name) == value for name, value in wanted.items()):
                    return entry
            await asyncio.sleep(0.005)


async def test_a_request_over_tcp_is_answered_on_its_connection_with_the_transport_in_via_and_trace(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    flow = await near.connect(far.address, timeout_s=WAIT_S)
    asked = near.send_request("OPTIONS", "sip:far@h", options(near, flow), peer=flow)
    answer = await asked.final(timeout_s=WAIT_S)
    assert answer is not None
    assert answer.message.status == 200
    assert transport_of(answer.peer) is Transport.TCP
    assert (asked.request.get("Via") or "").startswith("SIP/2.0/TCP 127.0.0.1:")
    lines = [json.loads(line) for line in far.transport.trace.json_lines().splitlines()]
    assert [line["transport"] for line in lines] == ["tcp", "tcp"]
    assert asked.sent_ns[0] < answer.at_ns < boottime_ns()


async def test_a_call_over_tcp_rings_is_answered_acknowledged_and_ended(near: SipEndpoint, far: SipEndpoint) -> None:
    flow = await near.connect(far.address, timeout_s=WAIT_S)
    call = Dialog.outgoing(near, audio=AUDIO, peer=flow, target="sip:far@h")
    with expecting_calls(far, audio=AUDIO) as arrived:
        invite = call.invite()
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        taken.accept()
        assert await status_of(invite) == 200
    assert taken.invitation is not None
    assert await taken.invitation.acknowledged(timeout_s=WAIT_S) is not None
    contact = invite.responses.all()[-1].message.get("Contact") or ""
    assert contact.endswith(f":{far.address[1]};transport=tcp>")
    assert await status_of(taken.bye()) == 200  # back on the connection that the call came on
    assert call.ended


async def test_nothing_is_repeated_over_tcp_but_a_2xx(near: SipEndpoint, far: SipEndpoint) -> None:
    flow = await near.connect(far.address, timeout_s=WAIT_S)
    body = AUDIO.describe(version=1)
    with expecting_calls(far, audio=AUDIO) as arrived:
        headers = [*options(near, flow, "INVITE"), ("Contact", "<sip:n@h>"), ("Content-Type", "application/sdp")]
        refused = near.send_request("INVITE", "sip:far@h", headers, peer=flow, body=body)
        taken = await arrived.first(lambda _: True, timeout_s=WAIT_S)
        assert taken is not None
        await asyncio.sleep(0.1)  # five times T1, in which over UDP the request would have been sent again
        assert len(refused.sent_ns) == 1
        taken.refuse(486)
        headers = [*options(near, flow, "INVITE"), ("Contact", "<sip:n@h>"), ("Content-Type", "application/sdp")]
        answered = near.send_request("INVITE", "sip:far@h", headers, peer=flow, body=body)
        second = await arrived.first(lambda found: found is not taken, timeout_s=WAIT_S)
        assert second is not None
        second.accept()
        statuses = lambda: [response.message.status for response in answered.responses.all()]  # noqa: E731
        assert await answered.responses.first(lambda _: statuses().count(200) >= 2, timeout_s=WAIT_S) is not None
    assert [response.message.status for response in refused.responses.all()] == [100, 486]


async def test_messages_in_one_segment_and_in_pieces_are_read(far: SipEndpoint, near: SipEndpoint) -> None:
    reader, writer = await asyncio.open_connection(*far.address)
    first, second = (request_bytes("OPTIONS", "sip:far@h", options(near, near.address)) for _ in range(2))
    writer.write(first + second[:40])
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")
    writer.write(second[40:])
    answer = parse(await reader.readuntil(b"\r\n\r\n"))
    asked = parse(second)
    assert answer.get("Call-ID") == asked.get("Call-ID")
    writer.close()


async def test_a_ping_is_answered_with_a_pong(far: SipEndpoint) -> None:
    reader, writer = await asyncio.open_connection(*far.address)
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(2), WAIT_S) == b"\r\n"
    assert [entry.raw for entry in far.transport.trace.entries()] == [b"\r\n\r\n", b"\r\n"]
    writer.close()


async def test_a_peer_that_sends_junk_is_cut_off_and_the_trace_says_why(far: SipEndpoint) -> None:
    reader, writer = await asyncio.open_connection(*far.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), WAIT_S)
    (entry,) = far.transport.trace.entries()
    assert entry.raw.startswith(b"GET /")
    assert "first line" in entry.fault
    writer.close()


async def test_a_message_that_ends_with_the_connection_is_told(far: SipEndpoint) -> None:
    _, writer = await asyncio.open_connection(*far.address)
    writer.write(b"OPTIONS sip:a@b SIP/2.0\r\nVia: half")
    writer.close()
    entry = await until_entry(far, fault="the peer ended the connection within a message")
    assert entry.raw.endswith(b"half")


async def test_what_is_sent_to_a_closed_connection_is_told_and_goes_nowhere(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    flow = await near.connect(far.address, timeout_s=WAIT_S)
    far.close()
    asked = near.send_request("OPTIONS", "sip:far@h", options(near, flow), peer=flow)
    assert await asked.final(timeout_s=0.1) is None
    asked = near.send_request("OPTIONS", "sip:far@h", options(near, flow), peer=flow)
    assert await asked.final(timeout_s=0.05) is None
    assert near.transport.trace.entries()[-1].fault == "not sent: the connection is closed"


async def test_a_phone_that_registers_over_tcp_is_called_on_that_connection(
    near: SipEndpoint, far: SipEndpoint
) -> None:
    flow = await near.connect(far.address, timeout_s=WAIT_S)
    headers = [*options(near, flow, "REGISTER"), ("Contact", "<sip:near@127.0.0.1:9;transport=tcp>")]
    challenged = await near.send_request("REGISTER", "sip:h", headers, peer=flow).final(timeout_s=WAIT_S)
    assert challenged is not None
    assert challenged.message.status == 401
    assert far.registrar is not None
    (record,) = far.registrar.records.all()
    assert isinstance(record.peer, Flow)
    asked = far.send_request("OPTIONS", "sip:near@h", options(far, record.peer), peer=record.peer)
    assert await status_of(asked) == 200
    (request,) = [entry for entry in near.transport.trace.entries() if entry.raw.startswith(b"OPTIONS")]
    assert request.direction is Direction.IN
    assert isinstance(parse(request.raw), Request)


async def test_an_address_whose_tcp_port_is_taken_cannot_be_opened(far: SipEndpoint) -> None:
    listening = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    with pytest.raises(Unavailable, match="TCP"):
        SipEndpoint(clock=SystemClock()).open(listening.sockets[0].getsockname())
    listening.close()


async def test_an_address_can_be_taken_again_at_once_after_connections_to_it(near: SipEndpoint) -> None:
    endpoint = endpoint_for_tests()
    address = endpoint.address
    flow = await near.connect(address, timeout_s=WAIT_S)
    near.send_request("OPTIONS", "sip:far@h", options(near, flow), peer=flow)
    await until_entry(endpoint, direction=Direction.OUT)
    endpoint.close()
    SipEndpoint(clock=SystemClock()).open(address).close()


async def test_a_connection_over_the_bound_is_ended_and_counted(
    far: SipEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_streams, "CONNECTIONS_MAX", 1)
    _, first = await asyncio.open_connection(*far.address)
    reader, second = await asyncio.open_connection(*far.address)
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    assert far.transport.refused == 1
    first.close()
    second.close()


async def test_a_peer_that_takes_nothing_is_cut_off(far: SipEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_streams, "UNSENT_BYTES_MAX", 100_000)
    _, writer = await asyncio.open_connection(*far.address)
    writer.write(request_bytes("OPTIONS", "sip:far@h", options(far, far.address)))
    entry = await until_entry(far, direction=Direction.OUT)
    for _ in range(200):
        far.transport.send(bytes(65_536), entry.peer)
    faults = [entry.fault for entry in far.transport.trace.entries() if entry.fault]
    assert faults[0] == "the peer did not take 100000 bytes"
    assert set(faults[1:]) == {"not sent: the connection is closed"}
    writer.close()
