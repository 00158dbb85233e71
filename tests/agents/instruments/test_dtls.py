"""DTLS-SRTP between two associations of the bench: keys that fit, certificates that do not, losses, and junk."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.dtls import (
    DATAGRAM_BYTES_MAX,
    DATAGRAMS_TAKEN_MAX,
    DtlsAssociation,
    DtlsIdentity,
    DtlsRole,
    DtlsState,
    new_identity,
    packed,
)
from agents.instruments.dtls_sdp import Fingerprint
from agents.instruments.packets import Packet, PacketPort, Peer
from agents.instruments.srtp import SrtpReceiver, SrtpSender
from lab_inventory.clock import SystemClock
from tests.agents.instruments.garbled import fuzzed

IDENTITY = new_identity(SystemClock().now())


@pytest.fixture(scope="module")
def identities() -> tuple[DtlsIdentity, DtlsIdentity]:
    now = SystemClock().now()
    return new_identity(now), new_identity(now)


class Pair:
    """A client and a server, and the wire between them. ``passes`` says of each datagram whether it arrives."""

    def __init__(
        self,
        identities: tuple[DtlsIdentity, DtlsIdentity],
        *,
        told_to_client: Fingerprint | None = None,
        passes: Callable[[int, bytes], bool] = lambda _number, _datagram: True,
    ) -> None:
        self.sent: list[bytes] = []
        loop = asyncio.get_running_loop()
        first, second = identities

        def wire(to: Callable[[], DtlsAssociation]) -> Callable[[bytes], None]:
            def put(datagram: bytes) -> None:
                self.sent.append(datagram)
                if passes(len(self.sent), datagram):
                    loop.call_soon(lambda: to().receive(datagram))

            return put

        self.client = DtlsAssociation(
            role=DtlsRole.CLIENT,
            identity=first,
            told=[told_to_client or second.fingerprint],
            send=wire(lambda: self.server),
        )
        self.server = DtlsAssociation(
            role=DtlsRole.SERVER, identity=second, told=[first.fingerprint], send=wire(lambda: self.client)
        )
        self.client.start()

    async def ended(self, timeout_s: float = 5.0) -> tuple[bool, bool]:
        both = await asyncio.gather(self.client.finished(timeout_s), self.server.finished(timeout_s))
        self.client.close()
        self.server.close()
        return both[0], both[1]


async def test_each_side_has_the_keys_that_open_what_the_other_sends(
    identities: tuple[DtlsIdentity, DtlsIdentity],
) -> None:
    pair = Pair(identities)
    packet = b"\x80\x00\x00\x01" + bytes(8) + b"audio"

    assert await pair.ended() == (True, True)
    for near, far in ((pair.client, pair.server), (pair.server, pair.client)):
        assert near.own is not None
        assert far.theirs is not None
        assert SrtpReceiver(far.theirs).unprotect(SrtpSender(near.own).protect(packet)) == packet
    assert pair.client.own != pair.client.theirs
    assert all(len(datagram) <= DATAGRAM_BYTES_MAX for datagram in pair.sent)


async def test_no_keys_are_handed_on_where_the_certificate_is_not_the_one_that_was_told(
    identities: tuple[DtlsIdentity, DtlsIdentity],
) -> None:
    pair = Pair(identities, told_to_client=identities[0].fingerprint)

    assert (await pair.ended())[0] is False
    assert (pair.client.state, pair.client.own, pair.client.theirs) == (DtlsState.FAILED, None, None)
    assert "fingerprint" in pair.client.in_words()
    assert pair.client.presented == identities[1].fingerprint


async def test_a_flight_that_is_lost_is_sent_again(identities: tuple[DtlsIdentity, DtlsIdentity]) -> None:
    pair = Pair(identities, passes=lambda number, _: number != 2)

    assert await pair.ended() == (True, True)


async def test_junk_before_and_within_a_handshake_does_not_keep_it_from_ending_well(
    identities: tuple[DtlsIdentity, DtlsIdentity],
) -> None:
    pair = Pair(identities)
    for junk in (b"\x16", b"\x16\xfe\xfd" + bytes(8) + b"\xff\xff", b"\x14" * 1500, b"\x3f" + bytes(40)):
        pair.client.receive(junk)
        pair.server.receive(junk)

    assert await pair.ended() == (True, True)


async def test_a_flood_is_not_looked_at_beyond_its_bound(identities: tuple[DtlsIdentity, DtlsIdentity]) -> None:
    sent: list[bytes] = []
    server = DtlsAssociation(role=DtlsRole.SERVER, identity=identities[0], told=[], send=sent.append)
    hello: list[bytes] = []
    client = DtlsAssociation(role=DtlsRole.CLIENT, identity=identities[1], told=[], send=hello.append)
    client.start()
    for _ in range(DATAGRAMS_TAKEN_MAX):
        server.receive(b"\x16")
    server.receive(hello[0])
    for one in (server, client):
        one.close()

    assert sent == []
    assert "not finished" in server.in_words()


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4))
def test_whatever_becomes_of_its_bytes_a_handshake_comes_to_an_end_or_waits(changes: list[tuple[int, bytes]]) -> None:
    async def shaken() -> tuple[DtlsState, DtlsState]:
        def garble(datagram: bytes) -> bytes:
            for place, put in changes:
                datagram = datagram[:place] + put + datagram[place + len(put) :]
            return datagram

        client = DtlsAssociation(
            role=DtlsRole.CLIENT, identity=IDENTITY, told=[], send=lambda data: server.receive(garble(data))
        )
        server = DtlsAssociation(
            role=DtlsRole.SERVER, identity=IDENTITY, told=[], send=lambda data: heard.append(garble(data))
        )
        heard: list[bytes] = []
        client.start()
        for datagram in heard[:20]:
            client.receive(datagram)
        client.close()
        server.close()
        return client.state, server.state

    assert all(state in set(DtlsState) for state in asyncio.run(shaken()))


@given(st.lists(st.binary(max_size=2500), max_size=6), st.binary(max_size=20))
def test_records_are_packed_whole_and_in_order(bodies: list[bytes], rest: bytes) -> None:
    records = [b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body for body in bodies]

    datagrams = packed(b"".join(records))

    assert b"".join(datagrams) == b"".join(records)
    assert all(len(datagram) <= DATAGRAM_BYTES_MAX or datagram in records for datagram in datagrams)
    assert b"".join(packed(rest)) == rest


async def test_openssl_alone_exports_the_same_keys(
    tmp_path: Path, identities: tuple[DtlsIdentity, DtlsIdentity]
) -> None:
    ours, theirs = identities
    (tmp_path / "c.pem").write_bytes(theirs.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(theirs.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    peers: list[Peer] = []
    sent: list[int] = []

    def heard(packet: Packet) -> None:
        peers.append(packet.peer)
        server.receive(packet.data)

    port = PacketPort.open(("127.0.0.1", 0), heard)
    server = DtlsAssociation(
        role=DtlsRole.SERVER,
        identity=ours,
        told=[theirs.fingerprint],
        send=lambda datagram: sent.append(port.send(datagram, peers[-1])),
    )
    words = (
        f"s_client -dtls1_2 -connect 127.0.0.1:{port.address[1]} -use_srtp SRTP_AES128_CM_SHA1_80 "
        f"-cert {tmp_path}/c.pem -key {tmp_path}/k.pem -keymatexport EXTRACTOR-dtls_srtp -keymatexportlen 60"
    )
    program = await asyncio.create_subprocess_exec(
        "openssl", *words.split(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert await server.finished(10), server.in_words()
        said, _ = await asyncio.wait_for(program.communicate(b""), 10)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
        server.close()
        port.close()

    told = re.search(rb"Keying material: ([0-9A-F]{120})", said)
    assert told, said.decode()
    material = bytes.fromhex(told[1].decode())
    assert server.theirs is not None
    assert server.own is not None
    assert (server.theirs.master, server.own.master) == (
        material[:16] + material[32:46],
        material[16:32] + material[46:],
    )
