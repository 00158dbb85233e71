"""Offers with everything legal and some that is not: what the phone answers (RFC 3264; RFC 3261, 13 and 14).

The offers themselves are pure functions of where the bench listens.
"""

from collections.abc import Callable

from agents.instruments.sdp import (
    G722,
    PCMA,
    PCMU,
    TELEPHONE_EVENT,
    LocalAudio,
    MalformedSdp,
    SessionDescription,
    answer_problems,
    parse_sdp,
)
from agents.instruments.sip_message import Response
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, in_words
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.measurement import Unit

UNHEARD_OF = "X-ASSAY"
"""An encoding that nobody has."""


def with_video(audio: LocalAudio) -> bytes:
    """Audio, and a video line in an encoding that nobody has: refused with port 0 (RFC 3264, 6)."""
    return _ours(audio) + _lines(f"m=video {audio.port + 2} RTP/AVP 99", f"a=rtpmap:99 {UNHEARD_OF}/90000")


def with_unknown_formats(audio: LocalAudio) -> bytes:
    """Encodings that nobody has stand before the one that everybody has."""
    head = _head(audio, f"m=audio {audio.port} RTP/AVP 96 97 0 101")
    maps = (f"a=rtpmap:96 {UNHEARD_OF}/8000", f"a=rtpmap:97 {UNHEARD_OF}-2/48000/2", "a=fmtp:97 x=1;y=z")
    return head + _lines(*maps, "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15")


def with_unknown_attributes(audio: LocalAudio) -> bytes:
    """Lines and attributes that may be passed over, at both levels (RFC 8866, 5 and 5.13); and ptime, maxptime."""
    host = audio.host
    session = ("v=0", f"o=bench {audio.port} 1 IN IP4 {host}", "s=a call", "i=nothing", f"c=IN IP4 {host}", "b=AS:84")
    media = (f"m=audio {audio.port} RTP/AVP 0 101", "i=a microphone", "b=TIAS:64000", "a=rtpmap:0 PCMU/8000")
    events = ("a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20", "a=maxptime:60")
    unknown = ("a=x-assay-unknown", "a=x-assay-unknown:with value", "a=sendrecv")
    return _lines(*session, "t=0 0", "a=x-assay-session:1", "a=tool:assay", *media, *events, *unknown)


def with_media_address(audio: LocalAudio) -> bytes:
    """The address stands in the media section and not in the session's (RFC 8866, 5.7)."""
    text = _ours(audio).decode()
    line = f"c=IN IP4 {audio.host}\r\n"
    return (text.replace(line, "", 1).replace("a=rtpmap", f"{line}a=rtpmap", 1)).encode()


def without_common_codec(audio: LocalAudio) -> bytes:
    """Nothing that anybody could speak."""
    return _head(audio, f"m=audio {audio.port} RTP/AVP 96") + _lines(f"a=rtpmap:96 {UNHEARD_OF}/8000")


def unreadable(audio: LocalAudio) -> bytes:
    """No session description, though it says that it is one."""
    return b"v=0\r\nthis is no session description\r\n"


_ACCEPTED: tuple[tuple[str, Callable[[LocalAudio], bytes]], ...] = (
    ("media_address_read", with_media_address),
    ("unknown_formats_skipped", with_unknown_formats),
    ("unknown_attributes_skipped", with_unknown_attributes),
    ("second_media_refused", with_video),
)


@procedure(
    "offers",
    measures={
        "media_address_read": Unit.BOOL,
        "unknown_formats_skipped": Unit.BOOL,
        "unknown_attributes_skipped": Unit.BOOL,
        "second_media_refused": Unit.BOOL,
        "no_common_codec_refused": Unit.BOOL,
        "unreadable_offer_refused": Unit.BOOL,
    },
)
async def offers(bench: PhoneBench, recorder: Recorder) -> None:
    """Call after call with another offer each."""
    for quantity, offer in _ACCEPTED:
        call, invite = bench.call_phone(offer=offer)
        final = await bench.take_call(invite)
        problems = offer_answer_problems(call.dialog.offer, final.message if final else None)
        bench.measure(quantity, not problems, "; ".join(problems))
        await _hang_up(bench)
    for quantity, offer, statuses, clause in (
        ("no_common_codec_refused", without_common_codec, {488, 606}, "RFC 3261, 13.3.1.3"),
        ("unreadable_offer_refused", unreadable, {400, 415, 488, 606}, "RFC 3261, 13.3.1.3 and 21.4.1"),
    ):
        _, invite = bench.call_phone(offer=offer)
        final = await bench.take_call(invite)
        status = final.message.status if final else None
        due = " or ".join(str(one) for one in sorted(statuses))
        bench.measure(quantity, status in statuses, f"{in_words('the INVITE', final)}; {due} is due ({clause})")
        await _hang_up(bench)


def offer_answer_problems(offer: SessionDescription | None, final: Response | None) -> tuple[str, ...]:
    """What is wrong with the answer to an INVITE with this offer; every refused line must have port 0."""
    if final is None or final.status != 200:
        return (in_words("the INVITE", final),)
    try:
        answer = parse_sdp(final.body)
    except MalformedSdp as error:
        return (error.detail,)
    if offer is None:
        return ()
    problems = list(answer_problems(offer, answer))
    if answer.audio is None:
        problems.append("the audio line is refused (RFC 3264, 6)")
    if any(found.accepted for found in answer.media if found.kind != "audio"):
        problems.append("a line in an encoding that nobody has is accepted and not refused with port 0 (RFC 3264, 6)")
    return tuple(problems)


@procedure(
    "late-and-changed-offers",
    measures={
        "late_offer_valid": Unit.BOOL,
        "codec_removed_followed": Unit.BOOL,
        "codec_added_valid": Unit.BOOL,
        "reinvite_without_offer_valid": Unit.BOOL,
    },
)
async def late_and_changed_offers(bench: PhoneBench, recorder: Recorder) -> None:
    """An INVITE without an offer; then a call whose codecs change, and a re-INVITE without an offer."""
    call, invite = bench.call_phone(offer=lambda _: b"")
    final = await bench.take_call(invite)
    problems = late_offer_problems(final.message if final else None)
    if not problems and await call.first_packet(invite.sent_ns[0], 2.0) is None:
        problems = ("no audio packets came after the ACK with the answer (RFC 3264, 5.1)",)
    bench.measure("late_offer_valid", not problems, "; ".join(problems))
    await _hang_up(bench)

    call, invite = bench.call_phone((PCMU, PCMA, TELEPHONE_EVENT))
    final = await bench.take_call(invite)
    if final is None or final.message.status != 200:
        bench.measure_rest(late_and_changed_offers, in_words("the INVITE", final))
        return
    await call.first_packet(0, 1.0)
    host, port = call.port.address
    narrowed = LocalAudio(host=host, port=port, formats=(PCMA, TELEPHONE_EVENT))
    reinvite = call.dialog.invite(audio=narrowed)
    answer = await reinvite.final(timeout_s=REQUEST_TIMEOUT_S)
    problems = offer_answer_problems(call.dialog.offer, answer.message if answer else None)
    if not problems and answer is not None:
        since_ns = answer.at_ns + 300_000_000
        packet = await call.first_packet(since_ns, 1.0)
        if packet is None or packet.payload_type != PCMA.payload_type:
            came = "nothing" if packet is None else f"payload type {packet.payload_type}"
            problems = (f"{came} came 0.3 s after the re-INVITE that left PCMA alone (RFC 3264, 8.3.2)",)
    bench.measure("codec_removed_followed", not problems, "; ".join(problems))

    widened = LocalAudio(host=host, port=port, formats=(PCMU, PCMA, G722, TELEPHONE_EVENT))
    answer = await call.dialog.invite(audio=widened).final(timeout_s=REQUEST_TIMEOUT_S)
    problems = offer_answer_problems(call.dialog.offer, answer.message if answer else None)
    bench.measure("codec_added_valid", not problems, "; ".join(problems))

    answer = await call.dialog.invite(body=b"").final(timeout_s=REQUEST_TIMEOUT_S)
    problems = late_offer_problems(answer.message if answer else None)
    bench.measure("reinvite_without_offer_valid", not problems, "; ".join(problems))


def late_offer_problems(final: Response | None) -> tuple[str, ...]:
    """What is wrong with the 200 to an INVITE without an offer: it must have one (RFC 3261, 13.2.1 and 14.2)."""
    if final is None or final.status != 200:
        return (in_words("the INVITE without an offer", final),)
    if not final.body:
        return ("the 200 to an INVITE without an offer has none either (RFC 3261, 13.2.1)",)
    try:
        offer = parse_sdp(final.body)
    except MalformedSdp as error:
        return (error.detail,)
    if offer.audio is None or offer.audio.host is None:
        return ("the phone's offer has no audio line with an address (RFC 3264, 5.1)",)
    return ()


async def _hang_up(bench: PhoneBench) -> None:
    """End the call that was made last, however far it came, so that the next finds the phone idle."""
    dialog = bench.calls[-1].dialog
    if dialog.established and not dialog.ended:
        await dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    else:
        await bench.driver.reset()


def _head(audio: LocalAudio, media: str) -> bytes:
    host = audio.host
    return _lines("v=0", f"o=bench {audio.port} 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", media)


def _ours(audio: LocalAudio) -> bytes:
    return audio.describe(version=1)


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
