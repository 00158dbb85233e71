"""A stranger on the same connections: SIPp calls the bench over TCP, and is called by it."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.sdp import PCMU, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_streams import Flow, Transport, transport_of
from lab_inventory.clock import SystemClock
from lab_inventory.errors import Unavailable

AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU,))
CALLS = 3
WAIT_S = 10.0

pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed (package sip-tester)")


@pytest.fixture
async def endpoint() -> AsyncIterator[SipEndpoint]:
    opened = SipEndpoint(clock=SystemClock()).open(("127.0.0.1", 0))
    yield opened
    opened.close()


async def sipp(*arguments: str) -> asyncio.subprocess.Process:
    quiet = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL}
    return await asyncio.create_subprocess_exec(
        "sipp", *arguments, "-t", "t1", "-i", "127.0.0.1", **quiet, stderr=asyncio.subprocess.DEVNULL
    )


async def test_sipp_calls_over_tcp_and_counts_every_call_as_successful(endpoint: SipEndpoint) -> None:
    host, port = endpoint.address
    with expecting_calls(endpoint, audio=AUDIO) as arrived:
        program = await sipp("-sn", "uac", f"{host}:{port}", "-m", str(CALLS), "-r", "20", "-d", "50")
        try:
            for number in range(CALLS):
                dialog = await arrived.first(lambda _: True, timeout_s=WAIT_S, skip=number)
                assert dialog is not None
                dialog.ring()
                dialog.accept()
            assert await asyncio.wait_for(program.wait(), WAIT_S) == 0
        finally:
            with suppress(ProcessLookupError):
                program.kill()
    entries = endpoint.transport.trace.entries()
    assert {transport_of(entry.peer) for entry in entries} == {Transport.TCP}
    assert [entry.fault for entry in entries if entry.fault] == []
    assert len(entries) == CALLS * len(("INVITE", 100, 180, 200, "ACK", "BYE", 200))


async def test_sipp_is_called_over_tcp(endpoint: SipEndpoint) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = await sipp("-sn", "uas", "-m", "1", "-p", str(port))
    try:
        flow = await connected(endpoint, port)
        target = f"sip:service@127.0.0.1:{port};transport=tcp"
        call = Dialog.outgoing(endpoint, audio=AUDIO, peer=flow, target=target)
        for ask in (call.invite, call.bye):
            final = await ask().final(timeout_s=WAIT_S)
            assert final is not None
            assert final.message.status == 200
        assert await asyncio.wait_for(program.wait(), WAIT_S) == 0
    finally:
        with suppress(ProcessLookupError):
            program.kill()


async def connected(endpoint: SipEndpoint, port: int) -> Flow:
    """Once SIPp listens."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(Unavailable):
                return await endpoint.connect(("127.0.0.1", port), timeout_s=1.0)
            await asyncio.sleep(0.02)
