"""The bench's end of a sound interface, and an interface that is made of packets."""

import asyncio
import socket
import struct

import numpy as np

from agents.instruments.audio_port import FRAME_SAMPLES, AudioPort
from lab_inventory.clock import SystemClock


async def test_what_did_not_come_back_is_known_and_what_came_twice_or_late_is_not_missed() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
        interface.setblocking(False)
        interface.bind(("127.0.0.1", 0))
        port = AudioPort("127.0.0.1", interface.getsockname(), clock=SystemClock())
        try:
            first, bench = await asyncio.wait_for(loop.sock_recvfrom(interface, 2000), 5)
            (_, _, _, timestamp, _) = struct.unpack_from("!BBHII", first)
            missing_ms = []
            for number in (0, 1, 4, 2, 2, 3):
                header = struct.pack("!BBHII", 0x80, 96, number, timestamp + FRAME_SAMPLES * number & 0xFFFF_FFFF, 1)
                port_heard = asyncio.create_task(port.heard_within(5))
                await asyncio.sleep(0)
                await loop.sock_sendto(interface, header + np.zeros(FRAME_SAMPLES, dtype=">i2").tobytes(), bench)
                assert await port_heard
                missing_ms.append(port.missing_ms())
        finally:
            port.close()

    assert missing_ms == [0, 0, 40, 20, 20, 0]
