"""SRTP by the library against an implementation of RFC 3711 of these tests' own, and an audio port that speaks it."""

import asyncio
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pylibsrtp import Policy, Session

from agents.instruments.packets import PacketPort
from agents.instruments.rtp import RtpPort, build_rtp
from agents.instruments.sdes import Crypto, Suite
from agents.instruments.srtp import SrtpReceiver, SrtpSender
from lab_inventory.clock import SystemClock

WAIT_S = 2.0
OURS = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(range(30)))
THEIRS = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(range(30, 60)))
SSRC = 0xCAFEBABE


def rtp(sequence: int, payload: bytes = b"\xab" * 16) -> bytes:
    return build_rtp(payload_type=15, marker=False, sequence=sequence, timestamp=7, ssrc=SSRC, payload=payload)


def _aes_ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(data)


def protected_by_the_rfc(crypto: Crypto, packet: bytes, sequence: int) -> bytes:
    """RFC 3711, 4.1.1, 4.2 and 4.3, for a roll-over counter of 0."""
    master, salt = crypto.master[:16], int.from_bytes(crypto.master[16:], "big")

    def derived(label: int, size: int) -> bytes:
        return _aes_ctr(master, ((salt ^ (label << 48)) << 16).to_bytes(16, "big"), bytes(size))

    session_salt = int.from_bytes(derived(2, 14), "big")
    start = (session_salt << 16) ^ (SSRC << 64) ^ (sequence << 16)
    encrypted = packet[:12] + _aes_ctr(derived(0, 16), start.to_bytes(16, "big"), packet[12:])
    tag = hmac.digest(derived(1, 20), encrypted + bytes(4), "sha1")
    return encrypted + tag[: crypto.suite.tag_bytes]


@pytest.mark.parametrize("suite", list(Suite))
def test_a_packet_is_protected_as_the_rfc_says_and_opened_again(suite: Suite) -> None:
    crypto = Crypto(tag=1, suite=suite, master=OURS.master)
    expected = protected_by_the_rfc(crypto, rtp(0x1234), 0x1234)
    assert SrtpSender(crypto).protect(rtp(0x1234)) == expected
    assert SrtpReceiver(crypto).unprotect(expected) == rtp(0x1234)
    assert len(expected) == len(rtp(0x1234)) + suite.tag_bytes


def test_the_known_packet_of_the_librarys_own_test_is_protected_alike() -> None:
    master = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
    packet = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    expected = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"
    crypto = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=master)
    assert SrtpSender(crypto).protect(packet).hex() == expected


def test_a_packet_under_another_key_or_with_one_bit_changed_or_in_clear_is_not_authentic() -> None:
    packet = SrtpSender(OURS).protect(rtp(1))
    assert SrtpReceiver(THEIRS).unprotect(packet) is None
    for place in (1, 20, len(packet) - 1):
        changed = bytearray(packet)
        changed[place] ^= 1
        assert SrtpReceiver(OURS).unprotect(bytes(changed)) is None
    assert SrtpReceiver(OURS).unprotect(rtp(1, bytes(160))) is None
    assert SrtpReceiver(OURS).unprotect(b"short") is None


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_two_secured_ports_hear_each_other_and_say_under_which_key() -> None:
    near, far = (RtpPort(clock=SystemClock()).open("127.0.0.1") for _ in range(2))
    near.use_keys(own=OURS, theirs=THEIRS)
    far.use_keys(own=THEIRS, theirs=OURS)
    near.start_sending(far.address, payload_type=0, frames=[b"\x55" * 160])
    await until(lambda: len(far.heard) >= 2)
    near.close()
    far.close()
    assert {(packet.payload, packet.key) for packet in far.packets()} == {(b"\x55" * 160, OURS.fingerprint)}
    assert far.unauthentic == ()
    assert all(SrtpReceiver(THEIRS).unprotect(packet) is None for packet in far.protected)


async def test_what_comes_in_clear_or_under_a_wrong_key_is_not_heard_and_copies_do_not_count() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    other = PacketPort.open(("127.0.0.1", 0), lambda _: None)
    port.use_keys(own=OURS, theirs=THEIRS)
    right = SrtpSender(THEIRS).protect(rtp(1))
    for data in (
        right,
        right,
        rtp(1, bytes(160)),
        SrtpSender(OURS).protect(rtp(2)),
        SrtpSender(THEIRS).protect(rtp(3)),
    ):
        other.send(data, port.address)
    await until(lambda: len(port.heard) + len(port.unauthentic) >= 4)
    port.close()
    other.close()
    assert [packet.sequence for packet in port.packets()] == [1, 3]
    assert len(port.unauthentic) == 2


async def test_audio_that_comes_before_its_key_is_heard_once_the_key_is_there() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    other = PacketPort.open(("127.0.0.1", 0), lambda _: None)
    port.secure()
    other.send(SrtpSender(THEIRS).protect(rtp(1)), port.address)
    await until(lambda: port.unauthentic)
    assert port.packets() == ()
    port.use_keys(own=OURS, theirs=THEIRS)
    assert [packet.sequence for packet in port.packets()] == [1]
    assert port.unauthentic == ()
    port.close()
    other.close()


async def test_after_another_key_of_the_phone_both_are_heard_and_told_apart() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    other = PacketPort.open(("127.0.0.1", 0), lambda _: None)
    again = Crypto(tag=1, suite=OURS.suite, master=bytes(30))
    port.use_keys(own=OURS, theirs=THEIRS)
    port.use_keys(own=OURS, theirs=again)
    other.send(SrtpSender(THEIRS).protect(rtp(1)), port.address)
    other.send(SrtpSender(again).protect(rtp(2)), port.address)
    await until(lambda: len(port.heard) == 2)
    port.close()
    other.close()
    assert [packet.key for packet in port.packets()] == [THEIRS.fingerprint, again.fingerprint]


async def test_reports_are_read_once_they_authenticate_and_others_are_kept_apart() -> None:
    port = RtpPort(clock=SystemClock()).open("127.0.0.1")
    other = PacketPort.open(("127.0.0.1", 0), lambda _: None)
    report = bytes.fromhex("81c90007 00000001 0000cafe 00000000 00000007 00000000 00000000 00000000")
    theirs = Session(policy=Policy(key=THEIRS.master, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    control = (port.address[0], port.address[1] + 1)
    port.secure()
    other.send(theirs.protect_rtcp(report), control)
    other.send(report, control)
    await until(lambda: len(port.rtcp_unauthentic) == 2)
    port.use_keys(own=OURS, theirs=THEIRS)
    port.close()
    other.close()
    assert [found.highest_sequence for found in port.reports.all()] == [7]
    assert [packet.data for packet in port.rtcp_unauthentic] == [report]
