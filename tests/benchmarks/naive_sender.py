"""The baseline of the sender: an asyncio task for each call, which sleeps until its packet is due, builds and sends it.

Takes ports, seconds and the begin of each call after the first (s) as JSON arguments; prints when each began (ns of
CLOCK_BOOTTIME). A packet is due 20 ms after the one before was due, so that it does not drift.
"""

import asyncio
import json
import socket
import sys

from agents.instruments.rtp_packet import build_rtp
from lab_inventory.clock import boottime_ns


async def call(port: int, seconds: float, after_s: float) -> int:
    """Send one call; gives when its first packet was due."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        await asyncio.sleep(after_s)
        began_ns = boottime_ns()
        for number in range(int(seconds * 50)):
            wait_s = (began_ns + number * 20_000_000 - boottime_ns()) / 1e9
            await asyncio.sleep(max(0.0, wait_s))
            data = build_rtp(
                payload_type=0, marker=False, sequence=number, timestamp=number * 160, ssrc=1, payload=bytes(160)
            )
            sending.sendto(data, ("127.0.0.1", port))
        return began_ns


async def main(ports: list[int], seconds: float, after_s: list[float]) -> None:
    """All calls."""
    calls = (call(port, seconds, after) for port, after in zip(ports, after_s, strict=True))
    print(json.dumps(await asyncio.gather(*calls)))


if __name__ == "__main__":
    asyncio.run(main(*(json.loads(argument) for argument in sys.argv[1:])))
