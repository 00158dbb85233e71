"""SRTP with keys in the session description (RFC 3711, RFC 4568): offered, answered, nothing in clear, another key."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from agents.bench_ca import server_certificate
from agents.drivers import DriverRefused, Srtp
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.rtcp import ReceptionReport
from agents.instruments.sdes import MASTER_BYTES, Crypto, Suite
from agents.instruments.sdp import SECURED, SessionDescription, answer_problems
from agents.instruments.srtp import SrtpReceiver
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import ANSWER_TIMEOUT_S, RING_SOON_S, PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.other_server import (
    NOT_INSTALLED,
    back_home,
    bench_authority,
    point_phone_at,
    tls_server,
    visit,
)
from lab_inventory.clock import boottime_ns
from lab_inventory.errors import InvariantBroken
from lab_inventory.measurement import Unit

INVITE_TIMEOUT_S = 5.0
MEDIA_TIMEOUT_S = 2.0
LISTEN_S = 0.6
REPORT_AFTER_S = 0.5
REPORT_TIMEOUT_S = 8.0
"""Beyond the usual interval of RTCP, 5 s with its spread of a half (RFC 3550, 6.3.1)."""
WRONG_KEYS = 20
"""Packets that are tried with a wrong key, as a control of the instrument."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account the phone calls from: ``server`` is what it dials the bench at, ``note`` how it came about.

    ``server`` is None where the phone has no such account.
    """

    server: str | None
    note: str


@procedure(
    "secured-audio",
    measures={
        "sdes_offered": Unit.BOOL,
        "secure_audio": Unit.BOOL,
        "no_clear_rtp_when_mandatory": Unit.BOOL,
        "rekeyed": Unit.BOOL,
    },
)
async def secured_audio(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone, told to secure its audio, calls the bench; is called with SRTP and another key; then without SRTP."""
    if bench.declared_absent("srtp.sdes"):
        for quantity in secured_audio.measures:
            bench.measure(quantity, None, "SRTP with SDES is declared absent")
        return
    async with secured_account(bench) as account:
        if account.server is None:
            for quantity in secured_audio.measures:
                bench.measure(quantity, None, account.note)
            return
        await _offered(bench, account.server, account.note)
        call = await _call_with(bench, new_key(bench))
        await _secure_call(bench, call)
        await _no_clear_rtp(bench, call)


def new_key(bench: PhoneBench) -> Crypto:
    """A key of the bench's own, for one call or a part of one."""
    master = hashlib.sha512(bench.clock.token("srtp").encode()).digest()[:MASTER_BYTES]
    return Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=master)


@asynccontextmanager
async def secured_account(bench: PhoneBench, srtp: Srtp = Srtp.MANDATORY) -> AsyncIterator[Account]:
    """An account at a TLS server of the bench with SRTP made mandatory, since keys in clear protect nothing, and
    fingerprints that anybody could change do not either.

    A phone without TLS, or whose driver cannot enter a server, is taken as it is configured.
    """
    host, port = bench.endpoint.address
    if bench.declared_absent("tls"):
        yield Account(
            server=f"sip:bench@{host}:{port}", note="as configured, signalling in clear: TLS is declared absent"
        )
        return
    authority = bench_authority()
    certificate = await asyncio.to_thread(server_certificate, host, now=bench.clock.now(), issuer=authority)
    versions = {"lowest": ssl.TLSVersion.TLSv1_2, "highest": ssl.TLSVersion.TLSv1_3}
    with tls_server(bench, certificate, **versions) as listener:
        try:
            await point_phone_at(bench, listener, srtp=srtp)
        except DriverRefused as error:
            yield Account(server=f"sip:bench@{host}:{port}", note=f"as configured: {error.detail}")
            return
        async with back_home(bench):
            seen = await visit(bench, listener)
            if seen.registered:
                note = "told to secure its audio, over TLS"
                yield Account(server=f"sip:bench@{host}:{listener.address[1]}", note=note)
            elif bench.ics.get("tls") is True:
                raise LabError(f"{NOT_INSTALLED} ({seen.words})")
            else:
                yield Account(server=None, note=f"the phone does not register at the TLS server: {seen.words}")


async def _offered(bench: PhoneBench, server: str, note: str) -> None:
    """What the phone offers when it calls the bench at ``server``."""
    port, audio = bench.open_call_audio()
    try:
        with expecting_calls(bench.endpoint, audio=replace(audio, key=new_key(bench))) as arrived:
            await bench.driver.dial(server)
            dialog = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S)
        if dialog is None:
            bench.measure("sdes_offered", None, f"no INVITE came; the phone is {note}")
            return
        offered, words = sdes_in(dialog.remote)
        bench.measure("sdes_offered", offered, f"{words}; the phone is {note}")
        dialog.refuse(486)
    finally:
        port.close()


def sdes_in(description: SessionDescription | None) -> tuple[bool, str]:
    """Whether a description secures its audio with a key of the suite that all must have (RFC 4568, 6.2)."""
    audio = description.audio if description else None
    if audio is None:
        return False, "no audio was offered"
    if audio.protocol != SECURED:
        return False, f"the audio was offered as {audio.protocol}"
    if any(key.suite is Suite.AES_CM_128_HMAC_SHA1_80 for key in audio.keys):
        return True, f"{audio.protocol} with {', '.join(key.suite for key in audio.keys)}"
    return False, f"{audio.protocol} without a usable key of AES_CM_128_HMAC_SHA1_80: {'; '.join(audio.key_faults)}"


async def _call_with(bench: PhoneBench, key: Crypto) -> Call | None:
    """Call the phone and offer nothing but SRTP; the call, or None where the phone did not take it."""
    binding = bench.registered()
    port, audio = bench.open_call_audio()
    port.secure()
    audio = replace(audio, key=key)
    call = Call(Dialog.outgoing(bench.endpoint, audio=audio, peer=binding.peer, target=binding.uri), port, audio)
    bench.calls.append(call)
    invite = call.dialog.invite()
    await invite.response(180, timeout_s=RING_SOON_S)
    if await invite.final(timeout_s=0) is None:
        await bench.driver.answer()
    final = await invite.final(timeout_s=ANSWER_TIMEOUT_S)
    return call if final is not None and final.message.status == 200 else None


async def _secure_call(bench: PhoneBench, call: Call | None) -> None:
    """Audio after decryption, and after another key."""
    if call is None or call.dialog.offer is None or call.media is None:
        for quantity in ("secure_audio", "rekeyed"):
            bench.measure(quantity, None, "the phone did not take the call that offered RTP/SAVP alone")
        return
    problems = answer_problems(call.dialog.offer, call.dialog.remote) if call.dialog.remote else ()
    heard, words = await call.audio_heard(float(bench.ixit.get("tone", 1000)))
    _check_wrong_key(bench, call)
    bench.measure("secure_audio", heard and not problems, "; ".join([words, *problems]))
    await _rekey(bench, call)
    final = await call.dialog.bye().final(timeout_s=1.0)
    if final is None:
        await bench.driver.hang_up()


def _check_wrong_key(bench: PhoneBench, call: Call) -> None:
    """The control: what authenticated must not do so under another key, or the instrument shows nothing."""
    media = call.media
    if media is None or not media.keys:
        return
    wrong = SrtpReceiver(replace(media.keys[0], master=new_key(bench).master))
    if any(wrong.unprotect(packet) is not None for packet in call.port.protected[:WRONG_KEYS]):
        raise InvariantBroken("packets of the phone authenticate under a key that it never had")


async def _rekey(bench: PhoneBench, call: Call) -> None:
    """Another key of ours in a re-INVITE; what comes after the answer must be under the key in it."""
    before = call.media
    key = new_key(bench)
    final = await call.rekey(key).final(timeout_s=ANSWER_TIMEOUT_S)
    if final is None or final.message.status != 200:
        came = final.message.status if final else "with nothing"
        bench.measure("rekeyed", False, f"the re-INVITE with another key was answered {came}")
        return
    after = call.media
    problems = (
        answer_problems(call.dialog.offer, call.dialog.remote) if call.dialog.offer and call.dialog.remote else ()
    )
    if after is None or not after.keys or problems:
        bench.measure("rekeyed", False, f"the answer has no valid key: {'; '.join(problems)}")
        return
    right, words = await _heard_under(call, after.keys[0])
    hears, report = await _hears_under(call, key)
    changed = before is not None and bool(before.keys) and before.keys[0].master != after.keys[0].master
    own = "its own key is another too" if changed else "it keeps its own key, as RFC 4568 allows"
    # Without its report nothing shows that it took the key of the bench, and what is not shown does not pass.
    bench.measure("rekeyed", hears if right else False, f"{words}; {own}; {report}")


async def _heard_under(call: Call, key: Crypto) -> tuple[bool, str]:
    """Whether audio comes and authenticates under this key from 0.2 s after now on."""
    since_ns = boottime_ns() + 200_000_000
    if await call.first_packet(since_ns, MEDIA_TIMEOUT_S) is None:
        return False, "no audio that authenticates came after the answer"
    await asyncio.sleep(LISTEN_S)
    came = call.port.packets(since_ns=since_ns)
    strange = [packet for packet in call.port.unauthentic if packet.at_ns >= since_ns]
    old = [packet for packet in came if packet.key != key.fingerprint]
    words = f"{len(came) - len(old)} packets under the key of the answer, {len(old)} under an earlier one"
    return not old and not strange, f"{words}, {len(strange)} under none"


async def _hears_under(call: Call, key: Crypto) -> tuple[bool | None, str]:
    """Whether the phone hears what is sent under this key of ours, by its own reception reports; None without one.

    What a phone cannot authenticate it drops before it counts it (RFC 3711, 3.3), so that the highest sequence number
    it reports stays behind the first packet under a key that it does not use.
    """
    first = call.port.first_under.get(key.fingerprint)
    if first is None:
        return None, "nothing was sent under the new key, since the phone wants nothing"
    sent_ns = call.port.sent_ns[first]

    def tells(report: ReceptionReport) -> bool:
        return report.source == call.port.source and report.at_ns > sent_ns + int(REPORT_AFTER_S * 1e9)

    report = await call.port.reports.first(tells, timeout_s=REPORT_TIMEOUT_S)
    if report is None:
        return None, f"no reception report came within {REPORT_TIMEOUT_S:g} s, so that what it hears is not seen"
    ahead = (report.highest_sequence - first) & 0xFFFF
    hears = ahead < 1 << 15
    return hears, f"its reception report says that it {'hears' if hears else 'does NOT hear'} the new key of the bench"


async def _no_clear_rtp(bench: PhoneBench, secured: Call | None) -> None:
    """The phone must also refuse a call that offers RTP/AVP alone, and send nothing in it."""
    if secured is None or not (secured.port.packets() or secured.port.unauthentic):
        bench.measure("no_clear_rtp_when_mandatory", None, "no secured call with audio came about")
        return
    call = await bench.established_call()
    await asyncio.sleep(LISTEN_S)
    clear = len(bench.calls[-1].port.packets())
    taken = call is not None and call.media is not None
    unprotected = len(secured.port.unauthentic)
    control = len(secured.port.rtcp_unauthentic)
    note = (
        f"{unprotected} packets of the secured call authenticate under no key, and {control} of RTCP, which are not "
        f"judged here; a call with RTP/AVP alone was {'taken' if taken else 'refused'}, "
        f"with {clear} packets in clear"
    )
    bench.measure("no_clear_rtp_when_mandatory", not (unprotected or taken or clear), note)
