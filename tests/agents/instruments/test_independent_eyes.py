"""Two strangers watch our instrument: SIPp calls it, is called by it, registers at it; tshark reads that from the wire.

What the instrument recorded of methods, statuses, Call-IDs, CSeqs, their order and times, of media ports and of RTP
must be what SIPp counted and what tshark dissected from a capture.
"""

import asyncio
import contextlib
import csv
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.digest import Account, DigestVerdict
from agents.instruments.registrar import Registrar
from agents.instruments.rtp import RtpPort
from agents.instruments.sdp import PCMU, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import Request, parse
from agents.instruments.sip_transport import Direction, TraceEntry
from agents.instruments.sip_values import call_id, cseq
from lab_inventory.clock import SystemClock, boottime_ns, wall_ns
from tests.ports import free_row

HERE = Path(__file__).parent
LOOPBACK = "127.0.0.1"
ACCOUNT = Account(username="1001", password="secret", realm="bench")
CALLS = 3
FRAMES = (bytes([0xFF]) * 160,)
PACKETS_MIN = 10
TOLERANCE_NS = 2_000_000
WINDOWS_MAX = 3
"""A window in which the bench itself was late between reading the clock and sending is measured again."""


def missing_programs() -> str:
    absent = [program for program in ("sipp", "tshark", "dumpcap") if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (packages sip-tester and tshark)"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except OSError:
        return "a capture on the loopback interface needs root"
    return ""


pytestmark = pytest.mark.skipif(bool(missing_programs()), reason=missing_programs())


@dataclass(frozen=True)
class Line:
    """One SIP message as anybody sees it who sees it right."""

    what: str
    call_id: str
    cseq: str
    audio_port: str

    def __str__(self) -> str:
        return f"{self.what} {self.cseq} {self.audio_port}".strip()


@dataclass(frozen=True)
class Seen:
    line: Line
    wall_ns: int
    direction: Direction | None = None


def of_trace(entries: tuple[TraceEntry, ...]) -> list[Seen]:
    """What our instrument recorded, in wall time."""
    offset_ns = wall_ns() - boottime_ns()
    found = []
    for entry in entries:
        message = parse(entry.raw)
        what = message.method if isinstance(message, Request) else str(message.status)
        sequence = cseq(message)
        media = [line.split()[1] for line in message.body.decode().splitlines() if line.startswith("m=audio")]
        line = Line(what, call_id(message), f"{sequence.sequence} {sequence.method}", "".join(media))
        found.append(Seen(line, entry.at_ns + offset_ns, entry.direction))
    return sorted(found, key=lambda seen: seen.wall_ns)


async def run(*command: str, within_s: float = 30) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), within_s)
    assert process.returncode == 0, f"{command[0]} ended with {process.returncode}: {(out + err).decode()[-1000:]}"
    return out.decode()


@contextlib.asynccontextmanager
async def capturing(file: Path) -> AsyncIterator[None]:
    """A capture of the loopback's UDP, complete when this is left."""
    process = await asyncio.create_subprocess_exec(
        "dumpcap", "-q", "-i", "lo", "-f", "udp", "-w", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while not (line := await asyncio.wait_for(process.stderr.readline(), 10)).startswith(b"File:"):
            assert line, "dumpcap ended before it captured"
        yield
        # What was sent last is in the file when a datagram sent after it is.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            async with asyncio.timeout(10):
                while b"the last datagram" not in file.read_bytes():
                    last.sendto(b"the last datagram", (LOOPBACK, 9))
                    await asyncio.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 10)


async def dissected(file: Path, *sip_ports: int) -> tuple[list[Seen], list[dict[str, str]]]:
    """SIP messages and RTP packets in a capture, as tshark reads them."""
    names = ["frame.time_epoch", "udp.dstport", "sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq"]
    names += ["sdp.media.port_string", "rtp.seq", "_ws.malformed"]
    asked = [word for name in names for word in ("-e", name)]
    ports = [word for port in sip_ports for word in ("-d", f"udp.port=={port},sip")]
    out = await run("tshark", "-r", str(file), *ports, "-T", "fields", "-E", "separator=|", *asked)
    rows = [dict(zip(names, line.split("|"), strict=True)) for line in out.splitlines()]
    assert not [row for row in rows if row["_ws.malformed"]]
    messages = [
        Seen(
            Line(
                row["sip.Status-Code"] or row["sip.Method"],
                row["sip.Call-ID"],
                row["sip.CSeq"],
                row["sdp.media.port_string"],
            ),
            nanoseconds(row["frame.time_epoch"]),
        )
        for row in rows
        if row["sip.CSeq"]
    ]
    return messages, [row for row in rows if row["rtp.seq"]]


def nanoseconds(epoch: str) -> int:
    """``seconds.nnnnnnnnn`` without the loss of a float."""
    whole, _, part = epoch.partition(".")
    return int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9])


@dataclass
class Sipp:
    """One SIPp: it plays a scenario of ours as often as told and echoes what RTP it gets."""

    scenario: str
    work: Path
    port: int
    media_port: int

    async def listens(self) -> None:
        """Wait until its SIP port is bound."""
        bound = f":{self.port:04X} "
        async with asyncio.timeout(10):
            while bound not in Path("/proc/net/udp").read_text():
                await asyncio.sleep(0.02)

    async def play(self, *target: str, calls: int) -> dict[str, int]:
        """Its counters when it is through."""
        stat = self.work / "stat.csv"
        fixed = ["-i", LOOPBACK, "-p", str(self.port), "-mp", str(self.media_port), "-rtp_echo", "-nostdin"]
        files = ["-trace_stat", "-stf", str(stat), "-fd", "1"]
        limits = ["-m", str(calls), "-l", "1", "-timeout", "25s", "-timeout_error"]
        scenario = ["-sf", str(HERE / "sipp" / f"{self.scenario}.xml")]
        await run("sipp", *target, *scenario, *fixed, *files, *limits)
        *_, last = csv.DictReader(stat.read_text().splitlines(), delimiter=";")
        names = {"calls": "SuccessfulCall(C)", "failed": "FailedCall(C)", "again": "Retransmissions(C)"}
        return {ours: int(last[theirs]) for ours, theirs in names.items()}


@contextlib.contextmanager
def audio_port() -> Iterator[tuple[RtpPort, LocalAudio]]:
    port = RtpPort(clock=SystemClock()).open(LOOPBACK)
    try:
        yield port, LocalAudio(host=LOOPBACK, port=port.address[1], formats=(PCMU,))
    finally:
        port.close()


async def echoed(port: RtpPort, dialog: Dialog) -> None:
    """Send some audio to SIPp and wait until it has come back."""
    assert dialog.remote is not None
    assert dialog.remote.audio is not None
    destination = dialog.remote.audio.destination
    assert destination is not None
    before = len(port.heard)
    port.start_sending(destination, payload_type=0, frames=FRAMES)
    await port.heard.first(lambda _: len(port.heard) >= before + PACKETS_MIN, timeout_s=5)
    port.stop_sending()
    await port.heard.first(lambda _: len(port.heard) >= len(port.sent_ns), timeout_s=2)


async def called_by_sipp(endpoint: SipEndpoint, port: RtpPort, audio: LocalAudio, sipp: Sipp) -> dict[str, int]:
    """SIPp calls, our instrument answers."""
    with expecting_calls(endpoint, audio=audio) as arrived:
        playing = asyncio.create_task(sipp.play(f"{LOOPBACK}:{endpoint.address[1]}", calls=CALLS))
        for number in range(CALLS):
            dialog = await arrived.first(lambda _: True, timeout_s=10, skip=number)
            assert dialog is not None
            assert dialog.invitation is not None
            dialog.ring()
            dialog.accept()
            assert await dialog.invitation.acknowledged(timeout_s=2) is not None
            await echoed(port, dialog)
            assert await dialog.request("BYE", timeout_s=5) is not None
        return await playing


async def calling_sipp(endpoint: SipEndpoint, port: RtpPort, audio: LocalAudio, sipp: Sipp) -> dict[str, int]:
    """Our instrument calls, SIPp answers."""
    playing = asyncio.create_task(sipp.play(calls=CALLS))
    await sipp.listens()
    peer = (LOOPBACK, sipp.port)
    for _ in range(CALLS):
        dialog = Dialog.outgoing(endpoint, audio=audio, peer=peer, target=f"sip:sipp@{LOOPBACK}:{sipp.port}")
        final = await dialog.invite().final(timeout_s=10)
        assert final is not None
        assert final.message.status == 200
        await echoed(port, dialog)
        assert await dialog.bye().final(timeout_s=5) is not None
    return await playing


async def given_up_by_sipp(endpoint: SipEndpoint, port: RtpPort, audio: LocalAudio, sipp: Sipp) -> dict[str, int]:
    """SIPp calls and cancels while it rings; our instrument ends the call by itself."""
    with expecting_calls(endpoint, audio=audio) as arrived:
        playing = asyncio.create_task(sipp.play(f"{LOOPBACK}:{endpoint.address[1]}", calls=CALLS))
        for number in range(CALLS):
            dialog = await arrived.first(lambda _: True, timeout_s=10, skip=number)
            assert dialog is not None
            assert dialog.invitation is not None
            dialog.ring()
            assert await dialog.invitation.acknowledged(timeout_s=5) is not None
        return await playing


async def registered_by_sipp(endpoint: SipEndpoint, port: RtpPort, audio: LocalAudio, sipp: Sipp) -> dict[str, int]:
    """SIPp registers with credentials of its own making, and our registrar checks them."""
    counted = await sipp.play(f"{LOOPBACK}:{endpoint.address[1]}", calls=CALLS)
    assert endpoint.registrar is not None
    verdicts = [record.verdict for record in endpoint.registrar.records.all()]
    assert verdicts == [DigestVerdict.ABSENT, DigestVerdict.CORRECT] * CALLS
    (binding,) = endpoint.registrar.bindings(boottime_ns())
    assert binding.peer == (LOOPBACK, sipp.port)
    return counted


Calls = Callable[[SipEndpoint, RtpPort, LocalAudio, Sipp], Awaitable[dict[str, int]]]


@pytest.mark.parametrize(
    ("scenario", "calls", "each"),
    [
        ("caller", called_by_sipp, ["INVITE", "100", "180", "200", "ACK", "BYE", "200"]),
        ("callee", calling_sipp, ["INVITE", "180", "200", "ACK", "BYE", "200"]),
        ("giving-up", given_up_by_sipp, ["INVITE", "100", "180", "CANCEL", "200", "487", "ACK"]),
        ("registering", registered_by_sipp, ["REGISTER", "401", "REGISTER", "200"]),
    ],
)
async def test_sipp_and_tshark_see_what_the_instrument_recorded(
    tmp_path: Path, scenario: str, calls: Calls, each: list[str]
) -> None:
    for _ in range(WINDOWS_MAX):
        ours, theirs = await one_window(tmp_path, scenario, calls, each)
        late = [
            seen for seen, wire in zip(ours, theirs, strict=True) if abs(seen.wall_ns - wire.wall_ns) > TOLERANCE_NS
        ]
        # What comes in has the kernel's time and is never late.
        assert [str(seen.line) for seen in late if seen.direction is Direction.IN] == []
        if not late:
            return
    pytest.fail(f"in {WINDOWS_MAX} windows the instrument's times were off by more than 2 ms: {late}")


async def one_window(folder: Path, scenario: str, calls: Calls, each: list[str]) -> tuple[list[Seen], list[Seen]]:
    """Some calls, compared in all but times; gives both views of every message in order."""
    capture = folder / "calls.pcapng"
    registrar = Registrar(ACCOUNT, expires_s=60, clock=SystemClock())
    endpoint = SipEndpoint(clock=SystemClock(), registrar=registrar).open((LOOPBACK, 0))
    try:
        with audio_port() as (port, audio):
            first = free_row(5)  # only now, so that none of them is ours
            sipp = Sipp(scenario, folder, port=first + 4, media_port=first)
            async with capturing(capture):
                counted = await calls(endpoint, port, audio, sipp)
            messages, rtp = await dissected(capture, sipp.port, endpoint.address[1])
    finally:
        endpoint.close()
    ours = of_trace(endpoint.transport.trace.entries())

    assert counted == {"calls": CALLS, "failed": 0, "again": 0}
    assert [seen.line for seen in ours] == [seen.line for seen in messages]
    assert [seen.line.what for seen in ours] == each * CALLS
    assert len({seen.line.call_id for seen in ours}) == CALLS
    talked = each.count("BYE") > 0
    ports = {seen.line.audio_port for seen in ours} - {""}
    assert ports == ({str(sipp.media_port), str(audio.port)} if talked else set())
    sent = [int(row["rtp.seq"]) for row in rtp if row["udp.dstport"] == str(sipp.media_port)]
    assert sent == list(port.sent_ns)
    assert len(sent) >= (CALLS * PACKETS_MIN if talked else 0)
    back = [int(row["rtp.seq"]) for row in rtp if row["udp.dstport"] == str(audio.port)]
    assert back == [packet.sequence for packet in port.packets()] == sent
    return ours, messages
