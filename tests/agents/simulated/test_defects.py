"""Each defect disturbs one thing that a bench sees, and nothing else; a proxy without any disturbs nothing.

One real phone for each defect, all at the same time, goes through the same conversation with a bare peer.
"""

import asyncio
import re
import statistics
from itertools import pairwise
from pathlib import Path

import pytest
from phone_wire import PHONES, Call, PhoneAtWire, Seen, Wire, phone_at_wire

from agents.simulated.defects import DEFECTS

Observed = dict[str, object]
HEALTHY: Observed = {
    "wrong digests": 0,
    "refreshed in time": True,
    "rings at once": True,
    "answer within offer": True,
    "digits": "159",
    "ends of a digit": 3,
    "hold": "sendonly, recvonly",
    "audio after hold": True,
    "options answered": True,
    "bye answered": True,
    "cancelled with 487": True,
    "G.722 audio": True,
    "INVITE repeats": 1,
    "even": True,
}
CHANGED: dict[str, Observed] = {
    "ringing-never": {"rings at once": False},
    "ringing-late": {"rings at once": False},
    "answer-codec-not-offered": {"answer within offer": False},
    "hold-as-sendrecv": {"hold": "sendrecv, sendrecv"},
    "resume-no-media": {"audio after hold": False},
    "dtmf-end-missing": {"ends of a digit": 1},
    "dtmf-digit-lost": {"digits": "19"},
    "options-unanswered": {"options answered": False},
    "bye-unanswered": {"bye answered": False},
    "cancel-no-487": {"cancelled with 487": False},
    "rtp-jitter": {"even": False},
    "invite-no-retransmission": {"INVITE repeats": 0},
    "register-wrong-digest": {"wrong digests": True},
    "register-refresh-late": {"refreshed in time": False},
    "codec-g722-silent": {"G.722 audio": False},
}
KEYS_PACKETS_MAX = 300
EXPIRES_S = 3
DIRECT, TRANSPARENT = "no proxy", "a proxy without defects"


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Observed]:
    async def every() -> dict[str, Observed]:
        slugs: dict[str, list[str] | None] = {DIRECT: None, TRANSPARENT: []} | {slug: [slug] for slug in DEFECTS}
        works = [tmp_path_factory.mktemp("phone") for _ in slugs]
        observations = await asyncio.gather(
            *(_observe(work, chosen) for work, chosen in zip(works, slugs.values(), strict=True))
        )
        return dict(zip(slugs, observations, strict=True))

    return asyncio.run(every())


@pytest.mark.parametrize("before", [DIRECT, TRANSPARENT])
def test_an_honest_phone_shows_nothing_wrong(observed: dict[str, Observed], before: str) -> None:
    assert observed[before] == HEALTHY


@pytest.mark.parametrize("slug", sorted(DEFECTS))
def test_a_defect_changes_what_it_says_and_nothing_else(observed: dict[str, Observed], slug: str) -> None:
    assert observed[slug] == HEALTHY | CHANGED[slug]


def test_every_defect_of_the_demonstration_is_known() -> None:
    for path in PHONES.glob("*/defects"):
        named = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert named, path
        assert set(named) <= DEFECTS.keys()


async def _observe(work: Path, slugs: list[str] | None) -> Observed:
    async with phone_at_wire(work, slugs=slugs, expires_s=EXPIRES_S) as at:
        begun = asyncio.get_running_loop().time()
        seen: Observed = {}
        call, rang_s, answer = await at.wire.call(at.driver, "0")
        seen["rings at once"] = rang_s < 1.0
        seen["answer within offer"] = _formats(answer) <= {"0", "101"}
        seen["even"] = await _is_even(at.wire)
        seen |= await _digits(at)
        seen |= await _hold(at, call)
        seen["options answered"] = bool(await at.wire.ask("OPTIONS", call))
        seen["bye answered"] = bool(await at.wire.ask("BYE", call))
        seen["cancelled with 487"] = await _cancelled(at.wire)
        since = len(at.wire.rtp.seen)
        call, _, _ = await at.wire.call(at.driver, "9")
        seen["G.722 audio"] = await _audio(at.wire, since, payload_type=9)
        await at.wire.ask("BYE", call)
        seen["INVITE repeats"] = await _repeats(at)
        await asyncio.sleep(max(0.0, 2.6 * EXPIRES_S - (asyncio.get_running_loop().time() - begun)))
        gaps = [late - early for early, late in pairwise(at.wire.registered)]
        seen["refreshed in time"] = bool(gaps) and max(gaps) < EXPIRES_S
        wrong = at.wire.wrong_digests
        seen["wrong digests"] = True if wrong >= 2 else wrong
        return seen


def _formats(answer: bytes) -> set[str]:
    found = re.search(rb"m=audio \d+ \S+ ([\d ]+)", answer)
    return set(found[1].decode().split()) if found else {"none"}


async def _is_even(wire: Wire) -> bool:
    """By the median, which a test's own late moments do not move: 1-3 ms as the phone sends, about 9 ms jittered."""
    since = len(wire.rtp.seen)
    await wire.rtp.wait_for(lambda _: len(wire.rtp.seen) > since + 60)
    times = [packet.at_s for packet in wire.rtp.seen[since : since + 60]]
    off = [abs(after - before - 0.020) for before, after in pairwise(times)]
    return statistics.median(off) < 0.0055


async def _digits(at: PhoneAtWire) -> Observed:
    since = len(at.wire.rtp.seen)
    await at.driver.press_keys("159")
    await asyncio.sleep(1.0)
    while (so_far := len(_events(at.wire, since))) < KEYS_PACKETS_MAX:
        await asyncio.sleep(0.3)
        if len(_events(at.wire, since)) == so_far:
            break
    ends: dict[bytes, int] = {}
    digits = ""
    for packet in _events(at.wire, since):
        if packet.data[4:8] not in ends:
            digits += str(packet.data[12])
        ends[packet.data[4:8]] = ends.get(packet.data[4:8], 0) + bool(packet.data[13] & 0x80)
    return {"digits": digits, "ends of a digit": min(ends.values())}


def _events(wire: Wire, since: int) -> list[Seen]:
    return [packet for packet in wire.rtp.seen[since:] if packet.data[1] & 0x7F == 101]


async def _hold(at: PhoneAtWire, call: Call) -> Observed:
    invite = await _order(at, at.driver.hold)
    own = _direction(invite.data)
    at.wire.answer_next(invite, "0")
    await at.wire.sip.wait_for(lambda data: data.startswith(b"ACK "))
    invite = await _order(at, at.driver.resume)
    since = len(at.wire.rtp.seen)
    at.wire.answer_next(invite, "0")
    audio = await _audio(at.wire, since, payload_type=0)
    answered = _direction(await at.wire.ask("INVITE", call, body=at.wire.sdp("0", "sendonly")))
    await at.wire.ask("INVITE", call, body=at.wire.sdp("0"))
    return {"hold": f"{own}, {answered}", "audio after hold": audio}


async def _order(at: PhoneAtWire, press: object) -> Seen:
    since = len(at.wire.sip.seen)
    await press()  # type: ignore[operator]
    return await at.wire.sip.wait_for(lambda data: data.startswith(b"INVITE "), since=since)


def _direction(message: bytes) -> str:
    found = re.search(rb"a=(sendrecv|sendonly|recvonly|inactive)", message)
    return found[1].decode() if found else "none"


async def _audio(wire: Wire, since: int, *, payload_type: int) -> bool:
    try:
        await wire.rtp.wait_for(
            lambda _: sum(packet.data[1] & 0x7F == payload_type for packet in wire.rtp.seen[since:]) > 10,
            timeout_s=1.0,
        )
    except TimeoutError:
        return False
    return True


async def _cancelled(wire: Wire) -> bool:
    call, since = wire.new_call(), len(wire.sip.seen)
    branch, mine = f"z9hG4bKcancel{call.call_id}", f"Call-ID: {call.call_id}\r\n".encode()
    wire.sip.send(wire.request("INVITE", call, body=wire.sdp("0"), branch=branch), wire.peer)
    await asyncio.sleep(0.2)
    wire.sip.send(wire.request("CANCEL", call, branch=branch), wire.peer)
    await wire.sip.wait_for(lambda data: b" 200 " in data[:12] and mine in data and b"CANCEL" in data, since=since)
    try:
        final = await wire.sip.wait_for(lambda data: b" 487 " in data[:12] and mine in data, since=since, timeout_s=1.0)
    except TimeoutError:
        return False
    call.to = value = final.data.partition(b"\nTo: ")[2].partition(b"\r")[0].decode()
    wire.sip.send(wire.request("ACK", call, branch=branch), wire.peer)
    return bool(value)


async def _repeats(at: PhoneAtWire) -> int:
    since = len(at.wire.sip.seen)
    await at.driver.dial(f"sip:nobody@{at.wire.registrar}")
    await asyncio.sleep(1.0)
    return sum(seen.data.startswith(b"INVITE ") for seen in at.wire.sip.seen[since:]) - 1
