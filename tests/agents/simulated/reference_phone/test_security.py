"""TCP, TLS and secured audio of the reference phone, and what can be wrong there."""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
from pathlib import Path

import pytest
from phone_wire import Wire, value_of
from reference_wire import AtWire, is_answer, is_request, reference_at_wire
from stream_wire import Stream, new_authority, server_context

from agents.simulated.reference_phone.accounts import Accounts
from agents.simulated.reference_phone.behaviour import HEALTHY
from agents.simulated.reference_phone.equipment import Settings
from agents.simulated.reference_phone.srtp import SrtpReceiver, SrtpSender, _derive
from lab_inventory.clock import SystemClock

KEY = bytes(range(30))


async def test_a_phone_registers_and_calls_over_tcp() -> None:
    async with reference_at_wire(stream=Stream(), transport="TCP") as at:
        _, _, final = await at.call()
        invite, call = await at.dialled()
        assert at.wire.contact.endswith(";transport=tcp")
        assert "SIP/2.0/TCP" in value_of(invite.data, "Via")
        assert b" 200 " in (await at.wire.ask("BYE", call))[:12]
        assert final


async def test_over_tcp_nothing_is_repeated_but_the_200() -> None:
    async with reference_at_wire(stream=Stream(), transport="TCP") as at:
        await at.dial()
        await asyncio.sleep(0.2)
        assert at.count(is_request("INVITE")) == 1


async def test_a_phone_whose_connection_is_lost_registers_again() -> None:
    stream = Stream()
    async with reference_at_wire(stream=stream, transport="TCP") as at:
        stream.drop()
        await at.wire.sip.wait_for(lambda _: len(at.wire.registered) >= 2)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_phone_registers_over_each_version_of_tls(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = new_authority(tmp_path)
    context = server_context(authority, tmp_path)
    context.minimum_version = context.maximum_version = version
    stream = Stream(context)
    async with reference_at_wire(stream=stream, transport="TLS", ca_file=str(authority.file)) as at:
        await at.call()
        assert stream.versions == [version.name.replace("_", ".")]


@pytest.mark.parametrize(
    ("defect", "wrong"),
    [("tls-any-certificate", "other"), ("tls-expired", "expired"), ("tls-wrong-host", "host")],
)
@pytest.mark.parametrize("has_defect", [False, True])
async def test_a_bad_certificate_is_taken_with_its_defect_only(
    tmp_path: Path, defect: str, wrong: str, has_defect: bool
) -> None:
    trusted = new_authority(tmp_path)
    (tmp_path / "other").mkdir()
    signs = new_authority(tmp_path / "other") if wrong == "other" else trusted
    host = "192.0.2.1" if wrong == "host" else "127.0.0.1"
    stream = Stream(server_context(signs, tmp_path, host=host, expired=wrong == "expired"))
    defects = {defect: 0.0} if has_defect else {}
    settings = {"transport": "TLS", "ca_file": str(trusted.file)}
    async with reference_at_wire(defects, stream=stream, registers=False, **settings) as at:
        spoke = await at.first(lambda _: True, timeout_s=1.0 if has_defect else 0.3)
        assert (spoke is not None) is has_defect


def secured(at: AtWire) -> bytes:
    key = base64.b64encode(KEY).decode()
    line = f"a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^31\r\n"
    return at.wire.sdp("0").replace(b"RTP/AVP", b"RTP/SAVP") + line.encode()


def is_under(packet: bytes, master: bytes) -> bool:
    """Whether the tag of an SRTP packet is right (RFC 3711, 4.2; no packet counter has rolled over)."""
    told = packet[:-10] + bytes(4)
    return hmac.new(_derive(master, 1, 20), told, hashlib.sha1).digest()[:10] == packet[-10:]


async def secure_call(at: AtWire) -> tuple[bytes, list[bytes]]:
    """A call that offers secured audio alone: the answer, and packets."""
    await at.invite(body=secured(at))
    await at.first(is_answer(180, "INVITE"))
    at.phone.answer()
    final = await at.first(is_answer(200, "INVITE"))
    assert final is not None
    await asyncio.sleep(0.1)
    return final.data, [seen.data for seen in at.wire.rtp.seen]


async def test_secured_audio_is_answered_with_a_key_and_sent_under_it() -> None:
    async with reference_at_wire() as at:
        answer, packets = await secure_call(at)
    found = re.search(rb"m=audio \d+ RTP/SAVP [\s\S]*a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:(\S+)", answer)
    assert found
    assert packets
    assert all(is_under(packet, base64.b64decode(found[1])) for packet in packets)


@pytest.mark.parametrize(("defects", "hears"), [({}, True), ({"srtp-old-key-kept": 0.0}, False)])
async def test_another_key_of_the_other_side_is_taken(defects: dict[str, float], hears: bool) -> None:
    async with reference_at_wire(defects) as at:
        await secure_call(at)
        stream = next(iter(at.phone.equipment.streams))
        other = stream._heard
        call = at.phone._calls[0]
        key = base64.b64encode(KEY[::-1]).decode().encode()
        offer = secured(at).replace(base64.b64encode(KEY), key)
        assert call.session.answer(offer)
        call.follow()
        packet = SrtpSender(KEY[::-1]).protect(b"\x80\0\0\1" + bytes(4) + b"abcd" + b"x" * 20)
        other.take(packet, 0.0, 8000)
        assert (other.source is not None) is hears


async def test_audio_is_sent_in_clear_under_keys_with_its_defect() -> None:
    async with reference_at_wire({"srtp-sent-clear": 0}) as at:
        answer, packets = await secure_call(at)
    assert b"RTP/SAVP" in answer
    assert {len(packet) for packet in packets} == {172}


@pytest.mark.parametrize(("defects", "status"), [({}, 488), ({"srtp-not-mandatory": 0.0}, 180)])
async def test_clear_audio_is_refused_where_it_is_to_be_secured(defects: dict[str, float], status: int) -> None:
    async with reference_at_wire(defects, secures_audio=True) as at:
        await at.invite()
        assert await at.first(is_answer(status, "INVITE"))


async def test_secured_audio_is_offered_where_it_is_to_be_secured() -> None:
    async with reference_at_wire(secures_audio=True) as at:
        invite = await at.dial()
    assert re.search(rb"m=audio \d+ RTP/SAVP [\s\S]*a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:\S{40}\r\n", invite.data)


def test_session_keys_are_those_of_the_standard() -> None:
    """RFC 3711, B.3."""
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139" + "0EC675AD498AFEEBB6960B3AABE6")
    assert _derive(master, 0, 16).hex() == "c61e7a93744f39ee10734afe3ff7a087"
    assert _derive(master, 2, 14).hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert _derive(master, 1, 20).hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"


def test_what_a_receiver_takes_is_under_its_key() -> None:
    packet = SrtpSender(KEY).protect(b"\x80\0\0\1" + bytes(8) + b"x" * 20)
    assert SrtpReceiver(KEY).is_authentic(packet)
    assert not SrtpReceiver(KEY[::-1]).is_authentic(packet)
    assert not SrtpReceiver(KEY).is_authentic(packet[:12] + b"y" + packet[13:])


def test_a_counter_that_rolls_over_is_counted() -> None:
    sender = SrtpSender(KEY)
    last, first = (b"\x80\0" + number.to_bytes(2) + bytes(8) + b"x" * 20 for number in (0xFFFF, 0))
    assert is_under(sender.protect(last), KEY)
    assert not is_under(sender.protect(first), KEY)


async def test_another_server_is_used_until_it_is_taken_out(tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    own, other = Wire(), Wire()
    other.sip = Stream(server_context(authority, tmp_path))  # type: ignore[assignment]
    await own.open()
    await other.open()
    settings = Settings(registrar=own.sip.address, user="1001", password="secret", ca_file=str(authority.file))
    accounts = Accounts(settings, SystemClock(), HEALTHY)
    await accounts.start()
    try:
        await own.phone_registered()
        uri = f"sip:{other.registrar};transport=tls"
        assert accounts.use_server(uri, "1001", "secret", "mandatory") is None
        await other.phone_registered()
        assert accounts.used.dial(f"sip:bench@{other.registrar}") is None
        invite = await other.sip.wait_for(is_request("INVITE"))
        assert b"RTP/SAVP" in invite.data
        accounts.reset()
        await other.sip.wait_for(lambda data: is_request("REGISTER")(data) and b";expires=0" in data)
        assert accounts.used is accounts.own
        assert accounts.use_server("sip:nowhere;transport=pigeon", "", "", "off")
    finally:
        await accounts.stop()
        own.close()
        other.close()
