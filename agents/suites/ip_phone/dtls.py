"""SRTP with keys by DTLS (RFC 5763, RFC 5764): both roles, certificate and fingerprint, nothing in clear."""

import asyncio
from dataclasses import dataclass, replace

from agents.drivers import Srtp
from agents.instruments.dialog import Dialog, expecting_calls
from agents.instruments.dtls import DtlsIdentity, DtlsState, new_identity
from agents.instruments.dtls_sdp import DTLS_TRANSPORTS, Fingerprint, Setup
from agents.instruments.sdp import SessionDescription, answer_problems
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import RING_TIMEOUT_S, PhoneBench
from agents.suites.ip_phone.call import Call
from agents.suites.ip_phone.srtp import INVITE_TIMEOUT_S, LISTEN_S, secured_account
from lab_inventory.measurement import Unit

HANDSHAKE_TIMEOUT_S = 5.0
"""Enough for a flight that is lost twice: it is repeated after 1 s and after 2 s more (RFC 6347, 4.2.4.1)."""
BYE_TIMEOUT_S = 3.0
SILENT_S = 1.0
"""How long a call whose certificate is the wrong one is listened to after its handshake."""


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """How a call with DTLS went: whether it was heard as it must be, and in words."""

    call: Call
    right: bool
    words: str


@procedure(
    "dtls-secured-audio",
    measures={
        "dtls_offered": Unit.BOOL,
        "dtls_audio_as_caller": Unit.BOOL,
        "dtls_audio_as_called": Unit.BOOL,
        "dtls_fingerprint_checked": Unit.BOOL,
        "dtls_nothing_in_clear": Unit.BOOL,
    },
)
async def dtls_secured_audio(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone, told to secure its audio by DTLS, calls the bench; is called; is called with another certificate than
    the fingerprint tells; and is called without SRTP.
    """
    if bench.declared_absent("srtp.dtls"):
        bench.measure_rest(dtls_secured_audio, "SRTP with DTLS is declared absent")
        return
    identity = await asyncio.to_thread(new_identity, bench.clock.now())
    async with secured_account(bench, Srtp.DTLS) as account:
        if account.server is None:
            bench.measure_rest(dtls_secured_audio, account.note)
            return
        calling = await _phone_calls(bench, account.server, account.note, identity)
        called = await _phone_is_called(bench, identity)
        await _with_another_certificate(bench, identity, called)
        await _nothing_in_clear(bench, [one for one in (calling, called) if one is not None])


async def _phone_calls(bench: PhoneBench, server: str, note: str, identity: DtlsIdentity) -> _Heard | None:
    """What it offers, and its audio with the bench as the client of the handshake, where the phone lets it be."""
    port, audio = bench.open_call_audio()
    port.secure()
    audio = replace(audio, fingerprint=identity.fingerprint)
    with expecting_calls(bench.endpoint, audio=audio) as arrived:
        await bench.driver.dial(server)
        dialog = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S)
    if dialog is None:
        port.close()
        bench.measure("dtls_offered", None, f"no INVITE came; the phone is {note}")
        bench.measure("dtls_audio_as_caller", None, "the phone did not call")
        return None
    offered, words = dtls_in(dialog.remote)
    bench.measure("dtls_offered", offered, f"{words}; the phone is {note}")
    media = dialog.remote.audio if dialog.remote else None
    if media is None or media.protocol not in DTLS_TRANSPORTS or not media.fingerprints:
        port.close()
        dialog.refuse(488)
        bench.measure("dtls_audio_as_caller", False, f"the offer cannot be answered with DTLS: {words}")
        return None
    dialog.ring()
    dialog.accept()
    call = Call(dialog, port, audio, identity=identity)
    bench.calls.append(call)
    heard = await _heard(bench, call)
    bench.measure("dtls_audio_as_caller", heard.right, heard.words)
    await _hang_up(bench, call)
    return heard


def dtls_in(description: SessionDescription | None) -> tuple[bool, str]:
    """Whether an offer secures its audio by DTLS as it must (RFC 5763, 5; RFC 5764, 8), and in words what it has."""
    audio = description.audio if description else None
    if audio is None:
        return False, "no audio was offered"
    if audio.protocol not in DTLS_TRANSPORTS:
        return False, f"the audio was offered as {audio.protocol}"
    problems = list(audio.key_faults)
    if not audio.fingerprints:
        problems.append("no usable fingerprint (RFC 5763, 5)")
    if audio.setup is not Setup.ACTPASS:
        problems.append(f"setup is {audio.setup or 'left out'}, an offer must have actpass (RFC 5763, 5)")
    words = f"{audio.protocol} with {', '.join(one.hash_name for one in audio.fingerprints) or 'no fingerprint'}"
    return not problems, "; ".join([words, *problems])


async def _phone_is_called(bench: PhoneBench, identity: DtlsIdentity) -> _Heard | None:
    """Its answer to an offer of DTLS alone, and its audio after the handshake."""
    call = await _call_with(bench, identity, identity.fingerprint)
    if call is None:
        bench.measure("dtls_audio_as_called", False, "the phone did not take the call that offered DTLS-SRTP alone")
        return None
    heard = await _heard(bench, call)
    problems = (
        answer_problems(call.dialog.offer, call.dialog.remote) if call.dialog.offer and call.dialog.remote else ()
    )
    bench.measure("dtls_audio_as_called", heard.right and not problems, "; ".join([heard.words, *problems]))
    await _hang_up(bench, call)
    return heard


async def _call_with(bench: PhoneBench, identity: DtlsIdentity, told: Fingerprint) -> Call | None:
    """Call the phone, offer DTLS alone under this fingerprint; the call, or None where the phone did not take it."""
    binding = bench.registered()
    port, audio = bench.open_call_audio()
    port.secure()
    audio = replace(audio, fingerprint=told)
    dialog = Dialog.outgoing(bench.endpoint, audio=audio, peer=binding.peer, target=binding.uri)
    call = Call(dialog, port, audio, identity=identity)
    bench.calls.append(call)
    invite = call.dialog.invite()
    await invite.response(180, timeout_s=RING_TIMEOUT_S)  # how soon it rings is for another case to judge
    final = await bench.take_call(invite)
    return call if final is not None and final.message.status == 200 else None


async def _heard(bench: PhoneBench, call: Call) -> _Heard:
    """Wait for the handshake, then listen."""
    if call.dtls is None:
        return _Heard(call=call, right=False, words="the phone's description has no audio to be keyed by DTLS")
    agreed = await call.dtls.finished(HANDSHAKE_TIMEOUT_S)
    words = call.dtls.in_words()
    if not agreed:
        return _Heard(call=call, right=False, words=words)
    heard, level = await call.audio_heard(float(bench.ixit.get("tone", 1000)))
    return _Heard(call=call, right=heard, words=f"{words}; {level}")


async def _with_another_certificate(bench: PhoneBench, identity: DtlsIdentity, called: _Heard | None) -> None:
    """Tell another fingerprint than that of the bench's certificate: a good phone then sends no audio."""
    if called is None or not called.right:
        bench.measure("dtls_fingerprint_checked", None, "the phone sends no audio with the right certificate either")
        return
    value = bytes(byte ^ 0xFF for byte in identity.fingerprint.value)
    call = await _call_with(bench, identity, replace(identity.fingerprint, value=value))
    if call is None or call.dtls is None:
        bench.measure("dtls_fingerprint_checked", None, "the phone did not take a call with another fingerprint")
        return
    await call.dtls.finished(HANDSHAKE_TIMEOUT_S)
    words = call.dtls.in_words()
    await asyncio.sleep(SILENT_S)
    under, clear = len(call.port.packets()), len(call.port.unauthentic)
    words = f"with another fingerprint than its certificate's: {words}; {under} packets came under keys, {clear} not"
    bench.measure("dtls_fingerprint_checked", not under and not clear, words)
    await _hang_up(bench, call)


async def _nothing_in_clear(bench: PhoneBench, secured: list[_Heard]) -> None:
    """Every packet of the calls with DTLS authenticates, and a call that offers RTP/AVP alone is refused.

    A call whose handshake failed tells nothing: the phone may have keys that the bench has thrown away.
    """
    judged = [one.call for one in secured if one.call.dtls and one.call.dtls.state is not DtlsState.FAILED]
    unprotected = sum(len(one.port.unauthentic) for one in judged)
    if not unprotected and not any(one.port.packets() for one in judged):
        bench.measure("dtls_nothing_in_clear", None, "no call with DTLS had audio")
        return
    call = await bench.established_call()
    await asyncio.sleep(LISTEN_S)
    clear = len(bench.calls[-1].port.packets())
    taken = call is not None and call.media is not None
    note = (
        f"{unprotected} packets of the calls with DTLS authenticate under no key; a call with RTP/AVP alone was "
        f"{'taken' if taken else 'refused'}, with {clear} packets in clear"
    )
    bench.measure("dtls_nothing_in_clear", not (unprotected or taken or clear), note)


async def _hang_up(bench: PhoneBench, call: Call) -> None:
    """End the call, so that the next finds the phone idle."""
    up = call.dialog.established and not call.dialog.ended
    if not up or await call.dialog.bye().final(timeout_s=BYE_TIMEOUT_S) is None:
        await bench.driver.hang_up()
