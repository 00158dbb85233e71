"""Every answer to the driver is garbled on its way: that may cause errors, and turns no pass to fail or back."""

import asyncio
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.measure import LabError
from agents.simulated.bench_phones import BenchPhone
from agents.suites.ip_phone import open_phone_suite
from lab_inventory.clock import SystemClock
from lab_inventory.measurement import Value
from lab_inventory.noun import host_and_port
from tests.agents.suites.test_ip_phone import CASES, INSTANCE, PHONES, an_assignment, free_address, measured, values

SHORT = ("TC-SIP-01", "TC-SIP-03", "TC-SIP-05")
TRUTH = {
    (): {"answer_valid": True, "hold_offer_valid": True, "held_answer_valid": True, "bye_sent": True},
    ("hold-as-sendrecv",): {
        "answer_valid": True,
        "hold_offer_valid": False,
        "held_answer_valid": False,
        "bye_sent": True,
    },
}


def all_is_well(answer: dict[str, object]) -> bytes:
    return json.dumps({**answer, "ok": True, "data": "idle"}).encode()


def nothing_is_well(answer: dict[str, object]) -> bytes:
    return json.dumps({**answer, "ok": False, "data": "no such call"}).encode()


def junk(answer: dict[str, object]) -> bytes:
    return b"\x00\xff}{"


GARBLERS: dict[str, Callable[[dict[str, object]], bytes]] = {
    "all is well": all_is_well,
    "nothing is well": nothing_is_well,
    "junk": junk,
}


class Garbler:
    """Between driver and phone: key presses pass as they are, what the phone answers does not."""

    def __init__(self, listen: str, phone: str, garble: Callable[[dict[str, object]], bytes]) -> None:
        self._listen, self._phone, self._garble = host_and_port(listen), host_and_port(phone), garble
        self._server: asyncio.Server | None = None
        self.garbled = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self._listen)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.wait_for(asyncio.gather(*self._serving), 10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._serving.add(own)
        try:
            from_phone, to_phone = await asyncio.open_connection(*self._phone)
        except OSError:  # the phone is switched off before the suite lets go of it
            writer.close()
            return

        async def keys() -> None:
            while data := await reader.read(4096):
                to_phone.write(data)
            to_phone.close()

        async def answers() -> None:
            while True:
                size = int((await from_phone.readuntil(b":"))[:-1])
                said = json.loads((await from_phone.readexactly(size + 1))[:-1])
                text = json.dumps(said).encode() if said.get("event") else self._garble(said)
                self.garbled += not said.get("event")
                if not writer.is_closing():
                    writer.write(b"%d:%s," % (len(text), text))

        results = await asyncio.gather(keys(), answers(), return_exceptions=True)
        assert len(results) == 2
        for end in (writer, to_phone):
            end.close()
            await asyncio.wait({asyncio.ensure_future(end.wait_closed())}, timeout=2)


@pytest.mark.parametrize("defects", TRUTH)
@pytest.mark.parametrize("how", GARBLERS)
async def test_garbled_answers_change_no_verdict(tmp_path: Path, how: str, defects: tuple[str, ...]) -> None:
    assigned = an_assignment()
    phone_control = assigned.slot.control
    assert phone_control is not None
    garbler = Garbler(free_address(socket.SOCK_STREAM), phone_control, GARBLERS[how])
    listen = "{}:{}".format(*garbler._listen)
    configuration, work = tmp_path / "configuration", tmp_path / "phone"
    shutil.copytree(PHONES / "phone-1", configuration)
    (configuration / "defects").write_text("\n".join(defects))
    work.mkdir()
    (work / "uuid").write_text(INSTANCE)
    phone = BenchPhone(assigned.slot, configuration, work)
    through = assigned.model_copy(update={"slot": assigned.slot.model_copy(update={"control": listen})})
    suite = await open_phone_suite(through, SystemClock())
    seen: dict[str, Value | None] = {}
    errors = 0
    try:
        await phone.start()
        await garbler.start()
        for case in SHORT:
            try:
                seen |= values(await measured(suite, CASES[case], tmp_path))
            except LabError:
                errors += 1
    finally:
        await phone.stop()
        await suite.close()
        await garbler.stop()
    assert garbler.garbled > 0
    assert {quantity: value for quantity, value in seen.items() if quantity in TRUTH[defects]} == {
        quantity: value for quantity, value in TRUTH[defects].items() if quantity in seen
    }
    assert seen if how == "all is well" else errors == len(SHORT)
