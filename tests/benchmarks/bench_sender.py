"""How late audio packets are at the other end, by the kernel's stamps there, for 1, 8 and 32 calls; and how many calls.

The error of a packet is its time of arrival less the time it was due, on loopback. The baseline is measured beside it
in the same run: an asyncio task for each call, in a process that does nothing else. One JSON line per figure, with
the load of the host; the first second of each call is left out.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import psutil

from agents.instruments.packets import Packet, PacketPort
from agents.instruments.rtp import RtpPort
from agents.instruments.sdes import Crypto, Suite
from agents.instruments.sender.sender import Sender
from lab_inventory.clock import SystemClock

CALLS = (1, 8, 32)
MORE_CALLS = (48, 64, 96, 128)
WINDOW_S = 8.0
SETTLE_S = 1.0
P99_MS_MAX = 1.0
FRAMES = [bytes([number]) * 160 for number in range(50)]
KEY = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(range(30)))


class Other:
    """The other end of one call: when each of its packets came, by its number."""

    def __init__(self) -> None:
        self.came_ns: dict[int, int] = {}
        self.port = PacketPort.open(("127.0.0.1", 0), self._on_packet)

    def _on_packet(self, packet: Packet) -> None:
        self.came_ns[int.from_bytes(packet.data[2:4])] = packet.at_ns

    def late_ms(self, due_ns: dict[int, int]) -> list[float]:
        """How late each packet came, but those of the beginning."""
        counted_ns = min(due_ns.values()) + int(SETTLE_S * 1e9)
        return [(self.came_ns[n] - due) / 1e6 for n, due in due_ns.items() if due >= counted_ns and n in self.came_ns]


def begins_s(calls: int) -> list[float]:
    """When each call begins: spread evenly over ten packet times, so that no two are due together."""
    return [10.5 * 0.02 * number / calls for number in range(calls)]


async def ours(calls: int, *, secured: bool = False) -> list[float]:
    """How late the packets of so many calls of the sender's are, in ms, sorted."""
    others = [Other() for _ in range(calls)]
    sender = Sender()
    await sender.ready()
    ports = [RtpPort(clock=SystemClock(), sender=sender).open("127.0.0.1") for _ in others]
    try:
        before_s = 0.0
        for port, other, after_s in zip(ports, others, begins_s(calls), strict=True):
            await asyncio.sleep(after_s - before_s)
            before_s = after_s
            if secured:
                port.use_keys(own=KEY, theirs=KEY)
            port.start_sending(other.port.address, payload_type=0, frames=FRAMES)
        await asyncio.sleep(SETTLE_S + WINDOW_S)
    finally:
        for port in ports:
            port.close()
        sender.close()
        for other in others:
            other.port.close()
    return sorted(ms for port, other in zip(ports, others, strict=True) for ms in other.late_ms(port.due_ns))


async def naive(calls: int) -> list[float]:
    """The same for the baseline."""
    others = [Other() for _ in range(calls)]
    numbers = [other.port.address[1] for other in others]
    arguments = [json.dumps(value) for value in (numbers, SETTLE_S + WINDOW_S, begins_s(calls))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.naive_sender", *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    for other in others:
        other.port.close()
    due = [
        {n: began_ns + n * 20_000_000 for n in range(int((SETTLE_S + WINDOW_S) * 50))} for began_ns in json.loads(said)
    ]
    return sorted(ms for other, due_ns in zip(others, due, strict=True) for ms in other.late_ms(due_ns))


def at(late_ms: list[float], share: float) -> float:
    """A quantile of what is sorted."""
    return round(late_ms[min(len(late_ms) - 1, int(len(late_ms) * share))], 3)


def figure(name: str, late_ms: list[float], baseline_ms: list[float]) -> dict[str, Any]:
    """The line of one count of calls; ``baseline`` is the p99 of the baseline."""
    return {
        "name": name,
        "value": at(late_ms, 0.99),
        "unit": "ms",
        "target": P99_MS_MAX,
        "baseline": at(baseline_ms, 0.99),
        "ratio": round(at(late_ms, 0.99) / at(baseline_ms, 0.99), 2),
        "p50": at(late_ms, 0.5),
        "max": at(late_ms, 1.0),
        "baseline_p50": at(baseline_ms, 0.5),
        "baseline_max": at(baseline_ms, 1.0),
        "packets": len(late_ms),
        "load": round(os.getloadavg()[0], 1),
        "cpu_percent": psutil.cpu_percent(),
        "ok": at(late_ms, 0.99) < P99_MS_MAX,
    }


def figures() -> Iterator[dict[str, Any]]:
    """The figures, measured now."""
    in_time = naive_in_time = 0
    baseline: list[float] = []
    psutil.cpu_percent()  # from here on
    for calls in CALLS:
        late, baseline = asyncio.run(ours(calls)), asyncio.run(naive(calls))
        in_time = calls if at(late, 0.99) < P99_MS_MAX else in_time
        naive_in_time = calls if at(baseline, 0.99) < P99_MS_MAX else naive_in_time
        yield figure(f"audio packets late p99, {calls} calls", late, baseline)
    yield figure(
        f"audio packets late p99, {CALLS[-1]} secured calls", asyncio.run(ours(CALLS[-1], secured=True)), baseline
    )
    p99_ms: dict[int, float] = {}
    for calls in MORE_CALLS:
        if in_time < CALLS[-1]:
            break
        p99_ms[calls] = at(asyncio.run(ours(calls)), 0.99)
        if p99_ms[calls] >= P99_MS_MAX:
            break
        in_time = calls
    yield {
        "name": "calls of one sender with p99 under 1 ms (of at most 128)",
        "value": in_time,
        "unit": "calls",
        "target": CALLS[-1],
        "baseline": naive_in_time,
        "p99_ms": p99_ms,
        "load": round(os.getloadavg()[0], 1),
        "cpu_percent": psutil.cpu_percent(),
        "ok": in_time >= CALLS[-1],
    }


if __name__ == "__main__":
    for line in figures():
        print(json.dumps(line), flush=True)
