import asyncio
import hashlib
import re
import socket
from collections.abc import Iterator

import pytest

from agents.instruments.registrar import Binding
from agents.probes.sip import EXPIRES_S, RECORDS_MAX, SipProbe, sighting_of
from lab_inventory.clock import SystemClock, boottime_ns
from lab_inventory.errors import Unavailable
from lab_inventory.lab import Slot

AGENT = "Acme Phone/1.2"
ACCOUNT = ("1001", "secret")


class Phone:
    """Registers by hand."""

    def __init__(self, registrar: tuple[str, int]) -> None:
        self._registrar = registrar
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.number = 0

    def close(self) -> None:
        self._socket.close()

    async def register(self, *, password: str = ACCOUNT[1], contact: str = "", expires: int = 60) -> bytes:
        host, port = self._socket.getsockname()
        contact = contact or f'<sip:1001@{host}:{port}>;expires={expires};+sip.instance="<urn:uuid:abc>"'
        challenged = await self.send(contact, "")
        nonce = re.search(rb'nonce="([^"]+)"', challenged)
        realm = re.search(rb'realm="([^"]+)"', challenged)
        assert nonce
        assert realm
        secret, what = _md5(f"1001:{realm[1].decode()}:{password}"), _md5("REGISTER:sip:lab")
        response = _md5(f"{secret}:{nonce[1].decode()}:00000001:c:auth:{what}")
        return await self.send(
            contact,
            f'Authorization: Digest username="1001", realm="{realm[1].decode()}", nonce="{nonce[1].decode()}", '
            f'uri="sip:lab", response="{response}", cnonce="c", qop=auth, nc=00000001\r\n',
        )

    async def send(self, contact: str, authorization: str) -> bytes:
        self.number += 1
        host, port = self._socket.getsockname()
        message = (
            f"REGISTER sip:lab SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port}{self.number};rport\r\n"
            f"From: <sip:1001@lab>;tag=f\r\nTo: <sip:1001@lab>\r\nCall-ID: r{port}\r\nCSeq: {self.number} REGISTER\r\n"
            f"Max-Forwards: 70\r\nContact: {contact}\r\nUser-Agent: {AGENT}\r\n{authorization}Content-Length: 0\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        await loop.sock_sendto(self._socket, message.encode(), self._registrar)
        return await asyncio.wait_for(loop.sock_recv(self._socket, 4096), 2)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def slot() -> Slot:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Slot.model_validate(
        {
            "name": "slot-1",
            "category": "ip-phone",
            "registrar": f"127.0.0.1:{port}",
            "account": {"user": "1001", "password": "secret"},
            "unit": {"hardware_revision": "A", "mode": "wideband"},
        }
    )


@pytest.fixture
def probe(slot: Slot) -> SipProbe:
    return SipProbe(slot, SystemClock())


@pytest.fixture
def phone(slot: Slot) -> Iterator[Phone]:
    phone = Phone(("127.0.0.1", int(slot.registrar.rpartition(":")[2])))
    yield phone
    phone.close()


async def test_a_phone_that_registers_is_seen_with_what_it_says(probe: SipProbe, phone: Phone) -> None:
    probe.bind()
    answer = await phone.register()
    assert answer.startswith(b"SIP/2.0 200")
    assert f"expires={EXPIRES_S}".encode() in answer
    seen = probe.sighting()
    assert seen is not None
    assert (seen.slot, seen.user_agent, seen.sip_instance, seen.mac) == ("slot-1", AGENT, "urn:uuid:abc", None)
    assert seen.contact.startswith("sip:1001@127.0.0.1:")
    assert probe.trouble() is None
    probe.release()


async def test_a_phone_with_the_wrong_password_is_not_seen_and_the_reason_is_told(
    probe: SipProbe, phone: Phone
) -> None:
    probe.bind()
    assert (await phone.register(password="wrong")).startswith(b"SIP/2.0 403")
    assert probe.sighting() is None
    assert "refused here with 403" in str(probe.trouble())
    probe.release()


async def test_a_phone_that_takes_its_registration_back_is_gone(probe: SipProbe, phone: Phone) -> None:
    probe.bind()
    await phone.register()
    await phone.register(expires=0)
    assert probe.sighting() is None
    probe.release()


async def test_a_phone_that_does_not_come_back_is_gone(
    probe: SipProbe, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.bind()
    await phone.register()
    ahead_ns = boottime_ns() + (EXPIRES_S + 3) * 1_000_000_000
    monkeypatch.setattr("agents.probes.sip.boottime_ns", lambda: ahead_ns)
    assert probe.sighting() is None
    probe.release()


async def test_an_address_in_use_is_told_and_taken_when_it_is_free(probe: SipProbe, slot: Slot) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", int(slot.registrar.rpartition(":")[2])))
        with pytest.raises(Unavailable, match=slot.registrar):
            probe.bind()
        assert not probe.bound
    probe.bind()
    assert probe.bound
    probe.release()


async def test_a_released_address_is_free_for_a_run_and_the_phone_is_still_known_afterwards(
    probe: SipProbe, phone: Phone, slot: Slot
) -> None:
    probe.bind()
    await phone.register()
    probe.release()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as run:
        run.bind(("127.0.0.1", int(slot.registrar.rpartition(":")[2])))
    probe.bind()
    assert probe.sighting() is not None
    probe.release()


async def test_long_records_are_begun_anew_and_the_phone_stays_known(probe: SipProbe, phone: Phone) -> None:
    probe.bind()
    await phone.register()
    while phone.number < RECORDS_MAX:
        await phone.send("<sip:1001@127.0.0.1:9>", "")
    probe.bind()
    assert probe.sighting() is not None
    assert (await phone.register()).startswith(b"SIP/2.0 200")
    probe.release()


@pytest.mark.parametrize("where", ["instance", "uri", "user_agent"])
def test_a_mac_address_is_found_wherever_a_phone_says_it(where: str) -> None:
    said = {"instance": "<urn:uuid:abc>", "uri": "sip:1001@127.0.0.1:9", "user_agent": AGENT}
    said[where] += " 00-1B-54-AA-bb-cc "
    binding = Binding(peer=("127.0.0.1", 9), registered_ns=boottime_ns(), expires_ns=boottime_ns(), **said)
    assert sighting_of(binding, "slot-1", SystemClock()).mac == "00:1b:54:aa:bb:cc"


def test_a_sighting_is_of_the_moment_the_phone_registered() -> None:
    clock = SystemClock()
    now_ns = boottime_ns()
    said = {"instance": None, "uri": "sip:1001@127.0.0.1:9", "user_agent": AGENT}
    binding = Binding(peer=("127.0.0.1", 9), registered_ns=now_ns - 5_000_000_000, expires_ns=now_ns, **said)
    assert 4.9 < (clock.now() - sighting_of(binding, "slot-1", clock).seen_at).total_seconds() < 6
