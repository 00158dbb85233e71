"""A second SIP server of the bench, by TLS, and the phone pointed at it: what came of that, and the way back.

The certificates are of the bench's own CA, which the phone must have been told to trust (docs/how-to/phone-tls.md).
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from agents.bench_ca import Authority, ServerCertificate, ca_folder, kept_ca
from agents.drivers import Server, Srtp
from agents.instruments.registrar import Binding, RegisterRecord
from agents.instruments.sip_streams import Flow
from agents.instruments.tls_server import TlsListener
from agents.measure import LabError
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns

CONNECTS_WITHIN_S = 8.0
"""Counted in looks: where the bench itself stood still meanwhile, the phone's time does not run out."""
SETTLES_S = 1.0
HOME_WITHIN_S = 20.0
LOOK_S = 0.02
NOT_INSTALLED = "the phone does not register at the good server: is the bench's CA installed?"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a phone did at a server: ``tried`` to connect, ``spoke`` SIP there, was ``registered``; ``words`` say it."""

    tried: bool
    spoke: bool
    registered: bool
    words: str
    attempts: tuple[dict[str, object], ...]

    def lines(self, server: str) -> bytes:
        """The handshakes as evidence: one JSON object a line."""
        return b"".join(json.dumps({"server": server, **attempt}).encode() + b"\n" for attempt in self.attempts)


def bench_authority() -> Authority:
    """The CA of this bench host; raises LabError where there is none."""
    return kept_ca(ca_folder(os.environ))


@contextmanager
def tls_server(
    bench: PhoneBench, certificate: ServerCertificate, *, lowest: ssl.TLSVersion, highest: ssl.TLSVersion
) -> Iterator[TlsListener]:
    """A server of the bench that shows this certificate, while this is open."""
    with bench.endpoint.listening_tls(certificate.context(lowest=lowest, highest=highest)) as listener:
        yield listener


async def point_phone_at(bench: PhoneBench, listener: TlsListener, *, srtp: Srtp = Srtp.OFF) -> None:
    """Enter the server into the phone, with the slot's account."""
    host, port = listener.address
    account = bench.registrar.account
    uri = f"sip:{host}:{port};transport=tls"
    await bench.driver.use_server(Server(uri=uri, user=account.username, password=account.password, srtp=srtp))


async def visit(bench: PhoneBench, listener: TlsListener) -> Visit:
    """Wait until it is clear what the phone, which was pointed there, does at the server."""
    for _ in range(round(CONNECTS_WITHIN_S / LOOK_S)):
        if _registered(bench, listener):
            break
        ended = [attempt.ended_ns for attempt in listener.attempts]
        last_ns = max((ended_ns for ended_ns in ended if ended_ns is not None), default=None)
        if last_ns is not None and None not in ended and boottime_ns() > last_ns + int(SETTLES_S * 1e9):
            break
        await asyncio.sleep(LOOK_S)
    attempts: tuple[dict[str, object], ...] = tuple(
        {
            "peer": f"{attempt.flow[0]}:{attempt.flow[1]}",
            "offered": list(attempt.hello.offered) if attempt.hello else None,
            "server_name": attempt.hello.server_name if attempt.hello else None,
            "version": attempt.version,
            "cipher": attempt.cipher,
            "alert": attempt.alert,
            "fault": attempt.fault,
            "sip_bytes": attempt.plain_bytes,
            "handshake_ns": attempt.handshake_ns,
            "ended_ns": attempt.ended_ns,
        }
        for attempt in listener.attempts
    )
    words = listener.attempts[-1].in_words() if listener.attempts else "the phone did not connect"
    return Visit(
        tried=bool(listener.attempts),
        spoke=any(attempt.plain_bytes for attempt in listener.attempts),
        registered=_registered(bench, listener),
        words=words,
        attempts=attempts,
    )


async def leave_server(bench: PhoneBench) -> None:
    """Take the server out of the phone again, and forget how it was reached there."""
    await bench.driver.use_server(None)
    bench.registrar.forget(_by_tls)


@asynccontextmanager
async def back_home(bench: PhoneBench) -> AsyncIterator[None]:
    """Whatever happens within, the phone is pointed back at its own server and its registration there awaited.

    Raises LabError where it does not come back, since then no later case could be carried out.
    """
    try:
        yield
    finally:
        await leave_server(bench)
        until_ns = boottime_ns() + int(HOME_WITHIN_S * 1e9)
        while not bench.registrar.bindings(boottime_ns()):
            if boottime_ns() > until_ns:
                raise LabError(f"the phone did not register at its own server again within {HOME_WITHIN_S:g} s")
            await asyncio.sleep(LOOK_S)


def registration_at(bench: PhoneBench, listener: TlsListener) -> RegisterRecord | None:
    """The phone's last REGISTER at this server that bound it there."""
    found = [record for record in bench.registrar.records.all() if record.binds and _at(record.peer, listener)]
    return found[-1] if found else None


def _registered(bench: PhoneBench, listener: TlsListener) -> bool:
    return registration_at(bench, listener) is not None


def _at(peer: tuple[str, int], listener: TlsListener) -> bool:
    """By the connection and not by the address: an earlier server may have had the same port."""
    return any(peer is attempt.flow for attempt in listener.attempts)


def _by_tls(binding: Binding) -> bool:
    return isinstance(binding.peer, Flow) and binding.peer.transport == "tls"
