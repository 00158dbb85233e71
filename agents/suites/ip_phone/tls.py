"""TLS signalling: which versions a phone speaks, and which certificates of a server it takes (RFC 5246, 8446, 5922)."""

import asyncio
import ssl
from dataclasses import dataclass

from agents.bench_ca import Authority, ServerCertificate, new_authority, server_certificate
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.other_server import (
    NOT_INSTALLED,
    Visit,
    back_home,
    bench_authority,
    leave_server,
    point_phone_at,
    tls_server,
    visit,
)
from lab_inventory.measurement import Unit

WRONG_HOST = "wrong-host.invalid"
"""A name that no server has (RFC 6761, 6.4)."""
OLD_VERSIONS = ("SSL 3.0", "TLS 1.0", "TLS 1.1")
_V12, _V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """One good certificate, and the bad ones by what is wrong with each."""

    good: ServerCertificate
    bad: dict[str, ServerCertificate]


@procedure(
    "tls-signalling",
    measures={"tls_1_2": Unit.BOOL, "tls_1_3": Unit.BOOL, "bad_certificates_rejected": Unit.BOOL},
)
async def tls_signalling(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone is pointed at one TLS server of the bench after the other, good ones and bad ones.

    A certificate counts as rejected where the phone connected and sent no SIP, provided that it registers at a good
    server before and after.
    """
    if bench.declared_absent("tls"):
        for quantity in tls_signalling.measures:
            bench.measure(quantity, None, "TLS is declared absent")
        return
    authority = bench_authority()
    certificates = await asyncio.to_thread(_certificates, bench, authority)
    lines = b""
    visits: dict[str, Visit] = {}
    async with back_home(bench):
        good = certificates.good
        for name, certificate, lowest, highest in (
            ("good, TLS 1.2 and 1.3", good, _V12, _V13),
            ("good, TLS 1.2", good, _V12, _V12),
            ("good, TLS 1.3", good, _V13, _V13),
            *((name, certificate, _V12, _V13) for name, certificate in certificates.bad.items()),
            ("good again", good, _V12, _V13),
        ):
            with tls_server(bench, certificate, lowest=lowest, highest=highest) as listener:
                await point_phone_at(bench, listener)
                visits[name] = await visit(bench, listener)
                await leave_server(bench)
            lines += visits[name].lines(name)
            if len(visits) == 1 and not visits[name].registered and bench.ics.get("tls") is True:
                raise LabError(f"{NOT_INSTALLED} ({visits[name].words})")
    recorder.attach("TLS handshakes", "application/jsonl", lines)
    _measure(bench, visits, tuple(certificates.bad))


def _certificates(bench: PhoneBench, authority: Authority) -> Certificates:
    """Takes some tenths of a second, for the keys."""
    host, now = bench.endpoint.address[0], bench.clock.now()
    return Certificates(
        good=server_certificate(host, now=now, issuer=authority),
        bad={
            "expired": server_certificate(host, now=now, issuer=authority, expired=True),
            "wrong host": server_certificate(WRONG_HOST, now=now, issuer=authority),
            "unknown issuer": server_certificate(host, now=now, issuer=new_authority("nobody knows", now)),
            "self-signed": server_certificate(host, now=now, issuer=None),
        },
    )


def _measure(bench: PhoneBench, visits: dict[str, Visit], bad: tuple[str, ...]) -> None:
    both = visits["good, TLS 1.2 and 1.3"]
    for quantity, version in (("tls_1_2", "TLS 1.2"), ("tls_1_3", "TLS 1.3")):
        seen = visits[f"good, {version}"]
        registered = "registered" if seen.registered else "did not register"
        bench.measure(
            quantity, seen.registered, f"{registered} at a server with {version} only: {seen.words}{_old(seen)}"
        )
    rejected, note = verdict_on_bad(both, visits["good again"], {name: visits[name] for name in bad})
    bench.measure("bad_certificates_rejected", rejected, note)


def verdict_on_bad(before: Visit, after: Visit, bad: dict[str, Visit]) -> tuple[bool | None, str]:
    """Whether every bad certificate was rejected, and what was seen of each; None where that cannot be told."""
    if not before.registered:
        return None, f"the phone registers at no good server either, so that nothing is shown: {before.words}"
    seen = "; ".join(f"{name}: {_in_words(found)}" for name, found in bad.items())
    if any(found.spoke for found in bad.values()):
        return False, seen
    if not after.registered:
        return None, f"afterwards it registers at the good server no more, so that nothing is shown: {seen}"
    if not all(found.tried for found in bad.values()):
        return None, seen
    return True, seen


def _in_words(found: Visit) -> str:
    if not found.tried:
        return "never tried"
    return f"{'TAKEN' if found.spoke else 'rejected'} ({found.words})"


def _old(seen: Visit) -> str:
    offered = seen.attempts[-1]["offered"] if seen.attempts else None
    old = [version for version in OLD_VERSIONS if isinstance(offered, list) and version in offered]
    return f"; it offers {' and '.join(old)}, which are not to be used (RFC 8996)" if old else ""
