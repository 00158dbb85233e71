"""One look each at what the reference phone does on the wire. Each gives a value that a defect changes."""

import asyncio
import re
import socket
from itertools import pairwise
from statistics import mean

from phone_wire import Wire, value_of
from reference_wire import AtWire, direction_of, is_answer, is_request, now_s, with_header

QUIET_S = 0.15


async def _rtp(at: AtWire, seconds: float) -> list[tuple[float, bytes]]:
    since = len(at.wire.rtp.seen)
    await asyncio.sleep(seconds)
    return [(seen.at_s, seen.data) for seen in at.wire.rtp.seen[since:]]


# Registration


async def refreshes_after_s(at: AtWire) -> float:
    await at.wire.sip.wait_for(lambda _: len(at.wire.registered) >= 2)
    return at.wire.registered[1] - at.wire.registered[0]


async def wrong_digests(at: AtWire) -> int:
    return at.wire.wrong_digests


async def second_nonce_count(at: AtWire) -> str:
    await at.wire.sip.wait_for(lambda _: len(at.wire.registered) >= 2)
    last = [seen.data for seen in at.wire.sip.seen if b"Authorization" in seen.data][-1]
    return re.findall(rb"nc=(\d+)", last)[0].decode()


async def names_instance(at: AtWire) -> bool:
    return any(b'+sip.instance="<urn:uuid:' in seen.data for seen in at.wire.sip.seen)


async def removes_binding(at: AtWire) -> bool:
    await at.phone.stop()
    await asyncio.sleep(0.01)
    return bool(at.count(lambda data: is_request("REGISTER")(data) and b";expires=0" in data))


def offers_both_algorithms(wire: Wire) -> None:
    def challenge(data: bytes, peer: tuple[str, int]) -> None:
        asks = [
            f'WWW-Authenticate: Digest realm="assay", nonce="abc", algorithm={name}, qop="auth"\r\n'
            for name in ("SHA-256", "MD5")
        ]
        wire.sip.send(wire.answer(data, 401, "".join(asks)), peer)

    wire._register = challenge  # type: ignore[method-assign]


async def algorithm_chosen(at: AtWire) -> str:
    found = await at.wire.sip.wait_for(lambda data: b"Authorization" in data)
    return re.findall(rb"algorithm=([\w-]+)", found.data)[0].decode()


def fails_after_the_first(wire: Wire) -> None:
    register = wire._register

    def once(data: bytes, peer: tuple[str, int]) -> None:
        if wire.registered:
            wire.sip.send(wire.answer(data, 503), peer)
        else:
            register(data, peer)

    wire._register = once  # type: ignore[method-assign]


async def tries_after_failure(at: AtWire) -> int:
    """How often it registers after the first in 1.7 s (expiry 1 s): at 0.7 s, 0.5 s later, and then 1 s later."""
    await asyncio.sleep(1.7)
    return at.count(is_request("REGISTER")) - 2


# Calls that come


async def rang_after_s(at: AtWire) -> float:
    sent_s = now_s()
    await at.invite()
    found = await at.first(is_answer(180, "INVITE"), timeout_s=0.6)
    return found.at_s - sent_s if found else -1


async def to_has_tag(at: AtWire) -> bool:
    return ";tag=" in value_of((await at.call())[2], "To")


async def contact_of_200(at: AtWire) -> bool:
    return bool(value_of((await at.call())[2], "Contact"))


async def from_tag_kept(at: AtWire) -> bool:
    return value_of((await at.call())[2], "From").endswith(";tag=wire")


async def answered_formats(at: AtWire) -> str:
    found = re.search(rb"m=audio \d+ RTP/AVP ([\d ]+)\r", (await at.call())[2])
    return found[1].decode() if found else ""


async def answered_sections(at: AtWire) -> int:
    return (await at.call())[2].count(b"\r\nm=") + 0


async def answered_after_s(at: AtWire) -> float:
    await at.invite()
    await at.first(is_answer(180, "INVITE"))
    pressed_s = now_s()
    at.phone.answer()
    found = await at.first(is_answer(200, "INVITE"))
    return found.at_s - pressed_s if found else -1


async def third_call_answered(at: AtWire) -> bool:
    for _ in range(2):
        call, _, _ = await at.call()
        await at.wire.ask("BYE", call)
    call, _ = await at.invite()
    await at.first(lambda data: is_answer(180, "INVITE")(data) and call.call_id.encode() in data)
    at.phone.answer()
    mine = f"Call-ID: {call.call_id}\r\n".encode()
    return await at.first(lambda data: is_answer(200, "INVITE")(data) and mine in data, timeout_s=0.3) is not None


async def crashes_after_two_calls(at: AtWire) -> int:
    for _ in range(2):
        call, _, _ = await at.call()
        await at.wire.ask("BYE", call)
    return len(at.crashes)


async def repeats_of_200(at: AtWire) -> bool:
    await at.invite()
    await at.first(is_answer(180, "INVITE"))
    at.phone.answer()
    await asyncio.sleep(QUIET_S)
    return at.count(is_answer(200, "INVITE")) > 1


async def rings_for_repeated_invite(at: AtWire) -> int:
    _, data = await at.invite()
    await at.first(is_answer(180, "INVITE"))
    at.wire.sip.send(data, at.wire.peer)
    await asyncio.sleep(0.05)
    return len({value_of(seen.data, "To") for seen in at.wire.sip.seen if is_answer(180, "INVITE")(seen.data)})


async def cancelled(at: AtWire) -> tuple[bool, bool]:
    """Whether CANCEL is answered 200, and its INVITE 487."""
    call, _ = await at.invite()
    await at.first(is_answer(180, "INVITE"))
    branch = f"z9hG4bKINVITE{call.call_id}{call.number}"
    at.wire.sip.send(at.wire.request("CANCEL", call, branch=branch), at.wire.peer)
    await asyncio.sleep(0.05)
    return bool(at.count(is_answer(200, "CANCEL"))), bool(at.count(is_answer(487, "INVITE")))


async def bye_answered(at: AtWire) -> bool:
    call, _, _ = await at.call()
    return b" 200 " in (await at.wire.ask("BYE", call, timeout_s=QUIET_S))[:12]


async def bye_sent(at: AtWire) -> bool:
    await at.call()
    at.phone.hang_up()
    return await at.first(is_request("BYE"), timeout_s=QUIET_S) is not None


async def bye_of_the_call(at: AtWire) -> bool:
    call, _, _ = await at.call()
    at.phone.hang_up()
    bye = await at.first(is_request("BYE"))
    return bye is not None and value_of(bye.data, "Call-ID") == call.call_id


async def packets_after_bye(at: AtWire) -> int:
    call, _, _ = await at.call()
    await _rtp(at, 0.05)
    await at.wire.ask("BYE", call)
    return len(await _rtp(at, 0.3))


async def options_answered(at: AtWire) -> bytes:
    return (await at.wire.ask("OPTIONS", at.wire.new_call(), timeout_s=QUIET_S))[8:11]


async def options_in_dialog(at: AtWire) -> bytes:
    call, _, _ = await at.call()
    return (await at.wire.ask("OPTIONS", call, timeout_s=QUIET_S))[8:11]


async def allow_told(at: AtWire) -> bool:
    return "INVITE" in value_of(await at.wire.ask("OPTIONS", at.wire.new_call()), "Allow")


async def _options(at: AtWire, change: tuple[bytes, bytes] = (b"", b""), header: str = "Subject: x") -> bytes:
    data = with_header(at.wire.request("OPTIONS", at.wire.new_call()), header)
    at.wire.sip.send(data.replace(*change, 1) if change[0] else data, at.wire.peer)
    found = await at.first(lambda data: data.startswith(b"SIP/2.0") and b" OPTIONS\r\n" in data, timeout_s=QUIET_S)
    return found.data[8:11] if found else b""


async def unknown_extension(at: AtWire) -> bytes:
    return await _options(at, header="Require: nothing-has-this")


async def unknown_scheme(at: AtWire) -> bytes:
    return await _options(at, (b"OPTIONS sip:", b"OPTIONS unheard-of:"))


async def short_body(at: AtWire) -> bytes:
    return await _options(at, (b"Content-Length: 0", b"Content-Length: 50"))


async def crashes_on_bad_message(at: AtWire) -> int:
    await _options(at, (b"To: <", b'To: "<'))
    return len(at.crashes)


async def message_summary(at: AtWire) -> bytes:
    notify = with_header(at.wire.request("NOTIFY", at.wire.new_call()), "Event: message-summary")
    at.wire.sip.send(notify, at.wire.peer)
    found = await at.first(lambda data: b" NOTIFY\r\n" in data and data.startswith(b"SIP/2.0"))
    return found.data[8:11] if found else b""


async def ringing_is_reliable(at: AtWire) -> bool:
    await at.invite("Require: 100rel")
    found = await at.first(is_answer(180, "INVITE"))
    return found is not None and value_of(found.data, "RSeq") != ""


async def timer_answered(at: AtWire) -> str:
    await at.invite("Supported: timer", "Session-Expires: 90;refresher=uac")
    await at.first(is_answer(180, "INVITE"))
    at.phone.answer()
    found = await at.first(is_answer(200, "INVITE"))
    return value_of(found.data, "Session-Expires") if found else ""


async def _timed(at: AtWire, refresher: str) -> float:
    call, _ = await at.invite("Supported: timer", f"Session-Expires: 2;refresher={refresher}")
    await at.first(is_answer(180, "INVITE"))
    at.phone.answer()
    final = await at.first(is_answer(200, "INVITE"))
    assert final is not None
    at.wire.confirm(call, final.data)
    return final.at_s


async def refreshed_after_s(at: AtWire) -> float:
    from_s, since = await _timed(at, "uas"), len(at.wire.sip.seen)
    found = await at.first(lambda data: data.startswith((b"INVITE", b"UPDATE")), since=since, timeout_s=1.8)
    return found.at_s - from_s if found else -1


async def expired_session_ended(at: AtWire) -> bool:
    await _timed(at, "uac")
    return await at.first(is_request("BYE"), timeout_s=1.8) is not None


async def replaced_at_once(at: AtWire) -> bool:
    """Whether an INVITE that replaces the call is answered without a key, and the old call ended."""
    call, _, final = await at.call()
    tag = value_of(final, "To").partition("tag=")[2]
    other, data = at.wire.new_call(), b""
    data = at.wire.request("INVITE", other, body=at.wire.sdp("0")).replace(b"tag=wire", b"tag=other")
    at.wire.sip.send(with_header(data, f"Replaces: {call.call_id};to-tag={tag};from-tag=wire"), at.wire.peer)
    return await at.first(is_request("BYE"), timeout_s=QUIET_S) is not None


async def transfer_told(at: AtWire) -> tuple[bytes, ...]:
    """The REFER of the wire is followed to a call that is answered: what the NOTIFYs say."""
    call, _, _ = await at.call()
    call.number += 1
    since = len(at.wire.sip.seen)
    refer = with_header(at.wire.request("REFER", call), f"Refer-To: <sip:other@{at.wire.registrar}>")
    at.wire.sip.send(refer, at.wire.peer)
    said: list[bytes] = []

    def take(data: bytes, addr: tuple[str, int], receive=at.wire.sip.datagram_received) -> None:  # type: ignore[no-untyped-def]
        receive(data, addr)
        if data.startswith(b"NOTIFY"):
            at.wire.sip.send(at.wire.answer(data, 200), addr)
            said.append(data.rpartition(b"SIP/2.0 ")[2][:3])

    at.wire.sip.datagram_received = take  # type: ignore[method-assign]
    invite = await at.wire.sip.wait_for(is_request("INVITE"), since=since)
    at.wire.answer_next(invite, "0")
    await asyncio.sleep(0.1)
    return tuple(said)


# Calls that go out


async def dialled_after_s(at: AtWire) -> float:
    pressed_s = now_s()
    return (await at.dial()).at_s - pressed_s


async def undialled(at: AtWire) -> int:
    """How many calls that are dialled never come to the wire."""
    assert at.phone.dial(f"sip:bench@{at.wire.registrar}") is None
    return int(await at.first(is_request("INVITE"), timeout_s=QUIET_S) is None)


async def max_forwards(at: AtWire) -> str:
    return value_of((await at.dial()).data, "Max-Forwards")


async def branch_cookie(at: AtWire) -> bool:
    return "branch=z9hG4bK" in value_of((await at.dial()).data, "Via")


async def invites_sent(at: AtWire) -> int:
    await at.dial()
    await asyncio.sleep(0.18)  # sent again at 0.05 s and 0.15 s
    return at.count(is_request("INVITE"))


async def first_repeat_after_s(at: AtWire) -> float:
    since = len(at.wire.sip.seen)
    invite = await at.dial()
    await at.wire.sip.wait_for(lambda _: at.count(is_request("INVITE"), since) >= 2)
    return [seen.at_s for seen in at.wire.sip.seen[since:] if is_request("INVITE")(seen.data)][1] - invite.at_s


async def invites_before_give_up(at: AtWire) -> int:
    await at.dial()
    await asyncio.sleep(0.7)
    return at.count(is_request("INVITE"))


async def acknowledged(at: AtWire) -> bool:
    await at.dialled()
    return await at.first(is_request("ACK"), timeout_s=QUIET_S) is not None


async def ack_branch_own(at: AtWire) -> bool:
    invite, _ = await at.dialled()
    ack = await at.wire.sip.wait_for(is_request("ACK"))
    return value_of(ack.data, "Via") != value_of(invite.data, "Via")


async def ended_after_cancel_race(at: AtWire) -> bool:
    """The wire answers 200 after the phone has sent CANCEL: whether BYE follows."""
    invite = await at.dial()
    at.wire.sip.send(at.wire.answer(invite.data, 180), invite.peer)
    await asyncio.sleep(0.02)
    at.phone.hang_up()
    assert await at.first(is_request("CANCEL"))
    at.wire.answer_next(invite, "0")
    return await at.first(is_request("BYE"), timeout_s=QUIET_S) is not None


async def prack(at: AtWire) -> str:
    invite = await at.dial()
    at.wire.sip.send(at.wire.answer(invite.data, 180, "Require: 100rel\r\nRSeq: 7\r\n"), invite.peer)
    found = await at.first(is_request("PRACK"), timeout_s=QUIET_S)
    return value_of(found.data, "RAck") if found else ""


async def tried_after_422(at: AtWire) -> str:
    invite = await at.dial()
    since = len(at.wire.sip.seen)
    at.wire.sip.send(at.wire.answer(invite.data, 422, "Min-SE: 3000\r\n"), invite.peer)
    found = await at.first(is_request("INVITE"), since=since, timeout_s=QUIET_S)
    return value_of(found.data, "Session-Expires") if found else ""


# Calls that stand


async def cseq_step(at: AtWire) -> int:
    await at.dialled()
    await at.first(is_request("ACK"))
    since = len(at.wire.sip.seen)
    at.phone.hold()
    hold = await at.first(is_request("INVITE"), since=since)
    invite = await at.first(is_request("INVITE"))
    assert hold and invite
    numbers = [int(value_of(found.data, "CSeq").split()[0]) for found in (invite, hold)]
    return numbers[1] - numbers[0]


async def hold_offered(at: AtWire) -> str:
    await at.call()
    since = len(at.wire.sip.seen)
    at.phone.hold()
    found = await at.take_reinvite(since, "recvonly")
    return direction_of(found.data) if found else ""


async def held_answer_and_packets(at: AtWire) -> tuple[str, bool]:
    call, _, _ = await at.call()
    final = await at.wire.ask("INVITE", call, body=at.wire.sdp("0", "sendonly"))
    await asyncio.sleep(0.03)
    return direction_of(final), bool(await _rtp(at, 0.1))


async def inactive_answer(at: AtWire) -> str:
    call, _, _ = await at.call()
    return direction_of(await at.wire.ask("INVITE", call, body=at.wire.sdp("0", "inactive")))


async def resumed_after_s(at: AtWire) -> float:
    """When audio comes after the resume key; -1: never."""
    await at.call()
    since = len(at.wire.sip.seen)
    at.phone.hold()
    await at.take_reinvite(since, "recvonly")
    await asyncio.sleep(0.05)
    since, heard, pressed_s = len(at.wire.sip.seen), len(at.wire.rtp.seen), now_s()
    at.phone.resume()
    await at.take_reinvite(since, "sendrecv")
    try:
        return (await at.wire.rtp.wait_for(lambda _: True, since=heard, timeout_s=0.4)).at_s - pressed_s
    except TimeoutError:
        return -1


async def _tried_after_491(at: AtWire) -> bool:
    since = len(at.wire.sip.seen)
    at.phone.hold()
    hold = await at.wire.sip.wait_for(is_request("INVITE"), since=since)
    since = len(at.wire.sip.seen)
    at.wire.sip.send(at.wire.answer(hold.data, 491), hold.peer)
    return await at.first(is_request("INVITE"), since=since, timeout_s=0.3) is not None


async def called_side_tries_after_491(at: AtWire) -> bool:
    """The called side may try again at once (0 to 2 s, here the shortest)."""
    await at.call()
    return await _tried_after_491(at)


async def caller_waits_after_491(at: AtWire) -> bool:
    """The caller waits for 2.1 s at least."""
    await at.dialled()
    await at.first(is_request("ACK"))
    return not await _tried_after_491(at)


async def after_failed_transfer(at: AtWire) -> bytes:
    """The phone's REFER is refused: which request comes then, INVITE to take the call back or BYE."""
    await at.call()
    since = len(at.wire.sip.seen)
    at.phone.transfer(f"sip:other@{at.wire.registrar}")
    await at.take_reinvite(since, "recvonly")
    refer = await at.wire.sip.wait_for(is_request("REFER"))
    since = len(at.wire.sip.seen)
    at.wire.sip.send(at.wire.answer(refer.data, 603), refer.peer)
    found = await at.first(lambda data: data.startswith((b"INVITE", b"BYE")), since=since)
    return found.data.split(b" ")[0] if found else b""


# Audio


async def g722_heard(at: AtWire) -> bool:
    await at.call("9")
    return bool(await _rtp(at, 0.1))


async def _audio(at: AtWire, seconds: float) -> list[tuple[float, bytes]]:
    await at.call()
    await _rtp(at, 0.1)
    return await _rtp(at, seconds)


async def spread_ms(at: AtWire) -> float:
    """By how much an interval between packets is off 20 ms, in the mean."""
    times = sorted(at_s for at_s, _ in await _audio(at, 0.5))
    return mean(abs(later - earlier - 0.02) for earlier, later in pairwise(times)) * 1000


async def lost(at: AtWire) -> int:
    numbers = [int.from_bytes(packet[2:4]) for _, packet in await _audio(at, 0.5)]
    return max(numbers) - min(numbers) + 1 - len(set(numbers))


async def longest_gap_ms(at: AtWire) -> float:
    times = [at_s for at_s, _ in await _audio(at, 1.3)]
    return max(later - earlier for earlier, later in pairwise(times)) * 1000


async def interval_ms(at: AtWire) -> float:
    times = [at_s for at_s, _ in await _audio(at, 0.5)]
    return (times[-1] - times[0]) / (len(times) - 1) * 1000


async def peak(at: AtWire) -> int:
    """The highest level of the mu-law audio, linear (ITU-T G.711)."""
    codes = {byte for _, packet in await _audio(at, 0.1) for byte in packet[12:]}
    return max((((~code & 15) << 3) + 132 << (~code >> 4 & 7)) - 132 for code in codes)


async def reported(at: AtWire) -> tuple[int, int] | None:
    """The highest sequence number in the phone's first report on what it hears, and how many it counts as lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beside:
        beside.bind(("127.0.0.1", 0))
        beside.setblocking(False)
        await at.invite(body=at.wire.sdp("0") + f"a=rtcp:{beside.getsockname()[1]}\r\n".encode())
        await at.first(is_answer(180, "INVITE"))
        at.phone.answer()
        final = await at.first(is_answer(200, "INVITE"))
        found = re.search(rb"m=audio (\d+)", final.data if final else b"")
        assert found
        for number in (65_534, 65_535, 1):
            packet = b"\x80\0" + number.to_bytes(2) + bytes(4) + b"mine" + bytes(160)
            at.wire.rtp.send(packet, ("127.0.0.1", int(found[1])))
        try:
            async with asyncio.timeout(2):  # the soonest that the first may come: 1.03 s (RFC 3550, 6.3.1)
                data = await asyncio.get_running_loop().sock_recv(beside, 2000)
        except TimeoutError:
            return None
    assert data[:2] == b"\x81\xc8"  # a sender report with one block
    assert data[28:32] == b"mine"
    return int.from_bytes(data[36:40]), int.from_bytes(data[33:36])


async def _events(at: AtWire, keys: str) -> list[bytes]:
    await at.call()
    await _rtp(at, 0.04)
    since = len(at.wire.rtp.seen)
    assert at.phone.keys(keys) is None
    await asyncio.sleep(0.25 * len(keys) + 0.1)
    return [seen.data for seen in at.wire.rtp.seen[since:] if seen.data[1] & 0x7F == 101]


async def keys_57(at: AtWire) -> list[int]:
    packets = await _events(at, "57")
    codes: dict[bytes, int] = {}
    for packet in packets:
        codes.setdefault(packet[4:8], packet[12])
    return list(codes.values())


async def keys_heard_as_audio(at: AtWire) -> bool:
    """Whether audio that is louder than the tone comes beside the events; the lower a code the louder (G.711)."""
    await _events(at, "57")
    audio = [seen.data for seen in at.wire.rtp.seen if seen.data[1] & 0x7F == 0]
    return any(min(byte & 0x7F for byte in packet[12:]) < 0x26 for packet in audio)


async def event_ends(at: AtWire) -> int:
    return sum(bool(packet[13] & 0x80) for packet in await _events(at, "1"))


async def event_timestamps(at: AtWire) -> int:
    return len({packet[4:8] for packet in await _events(at, "1")})


async def event_marked(at: AtWire) -> bool:
    return bool((await _events(at, "1"))[0][1] & 0x80)


async def event_volumes(at: AtWire) -> int:
    return len({packet[13] & 0x3F for packet in await _events(at, "1")})


async def event_duration_ms(at: AtWire) -> float:
    return max(int.from_bytes(packet[14:16]) for packet in await _events(at, "1")) / 8
