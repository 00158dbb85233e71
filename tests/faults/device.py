"""The devices: one program, a phone in each slot. Each registers by SIP, and writes down every key before it answers.

    python -m tests.faults.device SLOTS.json LOG

A key comes to the slot's control port as a JSON line with ``run``, ``epoch`` and ``key``; the answer is a line with its
number. This program is the witness of who drove what: it is never killed, and shares no code with the product but
the clock.
"""

import asyncio
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from lab_inventory.clock import SystemClock
from tests.faults.witness import Press

REGISTER_EVERY_S = 1.0
ANSWER_S = 0.5
FIRMWARE = "1.0"


class Log:
    """The presses of all devices in one order, each on disk before it counts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._clock = SystemClock()
        self.number = 0

    def add(self, device: str, run: str, epoch: int, key: str) -> int:
        press = Press(at_s=self._clock.boottime_s(), device=device, run=run, epoch=epoch, key=key)
        self._file.write(json.dumps(vars(press)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.number += 1
        return self.number


class Phone(asyncio.DatagramProtocol):
    """What stands in one slot."""

    def __init__(self, slot: dict[str, Any], model: str, log: Log) -> None:
        self._slot = slot
        self._model = model
        self._log = log
        self._sent = 0
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self) -> None:
        host, port = self._slot["control"].split(":")
        await asyncio.start_server(self._connected, host, int(port))
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        while True:
            await self._register()
            await asyncio.sleep(REGISTER_EVERY_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                number = self._log.add(self._slot["name"], asked["run"], asked["epoch"], asked["key"])
                writer.write(json.dumps({"number": number}).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass
        finally:
            writer.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._answers.put_nowait(data)

    def error_received(self, exc: OSError) -> None:
        """Nobody has the registrar's address now; the next REGISTER comes soon."""

    async def _register(self) -> None:
        challenged = await self._ask("")
        nonce = re.search(rb'nonce="([^"]+)"', challenged)
        realm = re.search(rb'realm="([^"]+)"', challenged)
        if nonce is None or realm is None:
            return
        account = self._slot["account"]
        secret = _md5(f"{account['user']}:{realm[1].decode()}:{account['password']}")
        response = _md5(f"{secret}:{nonce[1].decode()}:00000001:c:auth:{_md5('REGISTER:sip:lab')}")
        await self._ask(
            f'Authorization: Digest username="{account["user"]}", realm="{realm[1].decode()}", '
            f'nonce="{nonce[1].decode()}", uri="sip:lab", response="{response}", cnonce="c", qop=auth, nc=00000001\r\n'
        )

    async def _ask(self, authorization: str) -> bytes:
        """Send one REGISTER; gives its answer, or nothing where none came."""
        while not self._answers.empty():
            self._answers.get_nowait()
        self._sent += 1
        user, name = self._slot["account"]["user"], self._slot["name"]
        host, port = self._transport.get_extra_info("sockname")
        registrar, registrar_port = self._slot["registrar"].split(":")
        self._transport.sendto(
            (
                f"REGISTER sip:lab SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}{self._sent};rport\r\n"
                f"From: <sip:{user}@lab>;tag=f\r\nTo: <sip:{user}@lab>\r\nCall-ID: {name}-{port}\r\n"
                f"CSeq: {self._sent} REGISTER\r\nMax-Forwards: 70\r\n"
                f'Contact: <sip:{user}@{host}:{port}>;expires=60;+sip.instance="<urn:uuid:{name}>"\r\n'
                f"User-Agent: Witness {self._model}/{FIRMWARE}\r\n{authorization}Content-Length: 0\r\n\r\n"
            ).encode(),
            (registrar, int(registrar_port)),
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._answers.get()
        except TimeoutError:
            return b""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def main(slots: Path, log: Path) -> None:
    kept = Log(log)
    phones = [Phone(entry["slot"], entry["model"], kept) for entry in json.loads(slots.read_text())]
    await asyncio.gather(*(phone.serve() for phone in phones))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
