"""TLS listeners of the endpoint, seen by clients of Python's ssl module: honest ones and such that check nothing."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import cache

import pytest

from agents.bench_ca import Authority, ServerCertificate, new_authority, server_certificate
from agents.instruments.digest import Account
from agents.instruments.registrar import Registrar
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_message import request_bytes
from agents.instruments.sip_streams import Transport, transport_of
from agents.instruments.tls_server import TlsListener, TlsServer
from lab_inventory.clock import SystemClock

HOST = "127.0.0.1"
NOW = SystemClock().now()
WAIT_S = 3.0
ANY = {"lowest": ssl.TLSVersion.TLSv1_2, "highest": ssl.TLSVersion.TLSv1_3}
HEADERS = [
    ("From", "<sip:u@h>;tag=n"),
    ("To", "<sip:u@h>"),
    ("Call-ID", "one"),
    ("CSeq", "1 REGISTER"),
    ("Contact", "<sip:u@127.0.0.1:9;transport=tls>"),
]
REGISTER = request_bytes("REGISTER", "sip:h", [("Via", "SIP/2.0/TLS h;branch=z9hG4bKa"), *HEADERS])


@cache
def authority(name: str) -> Authority:
    return new_authority(name, NOW)


@cache
def certificate(kind: str) -> ServerCertificate:
    match kind:
        case "expired":
            return server_certificate(HOST, now=NOW, issuer=authority("ours"), expired=True)
        case "wrong host":
            return server_certificate("other.invalid", now=NOW, issuer=authority("ours"))
        case "unknown issuer":
            return server_certificate(HOST, now=NOW, issuer=authority("another"))
        case "self-signed":
            return server_certificate(HOST, now=NOW, issuer=None)
    return server_certificate(HOST, now=NOW, issuer=authority("ours"))


def client(*, checks: bool = True, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority("ours").pem.decode())
    context.maximum_version = highest
    if not checks:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
async def endpoint() -> AsyncIterator[SipEndpoint]:
    clock = SystemClock()
    registrar = Registrar(Account(username="u", password="p", realm="assay"), expires_s=60, clock=clock)
    opened = SipEndpoint(clock=clock, registrar=registrar).open((HOST, 0))
    yield opened
    opened.close()


async def registers(listener: TlsListener, context: ssl.SSLContext) -> bytes:
    """The answer to a REGISTER, or nothing where the client does not get that far.

    In a thread, because asyncio's own client drops the connection without its alert.
    """
    return await asyncio.to_thread(_registers, listener, context)


def _registers(listener: TlsListener, context: ssl.SSLContext) -> bytes:
    with socket.create_connection(listener.address, timeout=WAIT_S) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=HOST) as secured:
                secured.sendall(REGISTER)
                answer = secured.recv(65_536)
                secured.unwrap().close()
        except ssl.SSLError:
            return b""
    return answer


async def ended(listener: TlsListener) -> TlsServer:
    async with asyncio.timeout(WAIT_S):
        while not listener.attempts or listener.attempts[0].ended_ns is None:
            await asyncio.sleep(0.005)
    return listener.attempts[0]


@pytest.mark.parametrize(
    ("version", "said"), [(ssl.TLSVersion.TLSv1_2, "TLS 1.2"), (ssl.TLSVersion.TLSv1_3, "TLS 1.3")]
)
async def test_a_client_registers_in_the_one_version_offered(
    endpoint: SipEndpoint, version: ssl.TLSVersion, said: str
) -> None:
    with endpoint.listening_tls(certificate("good").context(lowest=version, highest=version)) as listener:
        answer = await registers(listener, client())
        seen = await ended(listener)
    assert answer.startswith(b"SIP/2.0 401")
    assert (seen.version, seen.alert, seen.fault) == (said, "", "")
    assert seen.hello is not None
    assert seen.hello.offered == ("TLS 1.3", "TLS 1.2")
    assert endpoint.registrar is not None
    (record,) = endpoint.registrar.records.all()
    assert transport_of(record.peer) is Transport.TLS
    assert seen.plain_bytes == len(REGISTER)


@pytest.mark.parametrize(
    ("kind", "alert"),
    [
        ("expired", "certificate_expired"),
        ("wrong host", "bad_certificate"),
        ("unknown issuer", "unknown_ca"),
        ("self-signed", "unknown_ca"),
    ],
)
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_that_checks_certificates_is_seen_to_refuse_a_bad_one_by_its_alert(
    endpoint: SipEndpoint, kind: str, alert: str, highest: ssl.TLSVersion
) -> None:
    with endpoint.listening_tls(certificate(kind).context(**ANY)) as listener:
        assert await registers(listener, client(highest=highest)) == b""
        seen = await ended(listener)
    assert seen.version is None
    assert seen.alert == alert
    assert any(alert in entry.fault for entry in endpoint.transport.trace.entries())


@pytest.mark.parametrize("kind", ["expired", "wrong host", "unknown issuer", "self-signed"])
async def test_a_client_that_checks_nothing_is_seen_to_register(endpoint: SipEndpoint, kind: str) -> None:
    with endpoint.listening_tls(certificate(kind).context(**ANY)) as listener:
        assert (await registers(listener, client(checks=False))).startswith(b"SIP/2.0 401")
        seen = await ended(listener)
    assert seen.version == "TLS 1.3"
    assert seen.plain_bytes > 0


async def test_a_client_too_old_for_the_server_is_told_so_and_seen(endpoint: SipEndpoint) -> None:
    only_new = certificate("good").context(lowest=ssl.TLSVersion.TLSv1_3, highest=ssl.TLSVersion.TLSv1_3)
    with endpoint.listening_tls(only_new) as listener:
        assert await registers(listener, client(highest=ssl.TLSVersion.TLSv1_2)) == b""
        seen = await ended(listener)
    assert seen.version is None
    assert "unsupported protocol" in seen.fault
    assert seen.hello is not None
    assert seen.hello.offered == ("TLS 1.2",)


async def test_a_client_that_speaks_no_tls_is_cut_off_and_the_reason_told(endpoint: SipEndpoint) -> None:
    with endpoint.listening_tls(certificate("good").context(**ANY)) as listener:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(REGISTER)
        assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
        writer.close()
        seen = await ended(listener)
    assert seen.fault == "no TLS: the first record is no TLS handshake"
    assert not endpoint.registrar or not endpoint.registrar.records.all()


async def test_a_client_that_leaves_during_the_handshake_is_told_of(endpoint: SipEndpoint) -> None:
    with endpoint.listening_tls(certificate("good").context(**ANY)) as listener:
        _, writer = await asyncio.open_connection(*listener.address)
        writer.close()
        seen = await ended(listener)
    assert seen.in_words() == (
        "offered no readable ClientHello; the client ended the connection during the handshake without an alert"
    )


async def test_when_listening_ends_its_connections_end_and_the_slot_address_stays(endpoint: SipEndpoint) -> None:
    with endpoint.listening_tls(certificate("good").context(**ANY)) as listener:
        reader, writer = await asyncio.open_connection(*listener.address, ssl=client(), server_hostname=HOST)
        writer.write(REGISTER)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*listener.address)
    _, plain = await asyncio.open_connection(*endpoint.address)
    plain.close()
