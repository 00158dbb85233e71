"""The parts of the procedure for secured audio that decide; the whole is tried on two phones beside this file."""

from types import SimpleNamespace

import pytest

from agents.instruments.arrivals import Arrivals
from agents.instruments.rtcp import ReceptionReport
from agents.instruments.sdes import Crypto, Suite
from agents.instruments.sdp import PCMU, LocalAudio, parse_sdp
from agents.suites.ip_phone import srtp

KEY = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30))
LATER_NS = 2_000_000_000


@pytest.mark.parametrize(
    ("first", "highest", "at_ns", "hears"),
    [
        (100, 350, LATER_NS, True),
        (100, 99, LATER_NS, False),
        (65_500, 0x1_0010, LATER_NS, True),  # the count has gone round
        (100, 99, 1, None),  # said too soon to tell
    ],
)
async def test_a_phone_hears_a_new_key_where_its_report_has_come_past_the_first_packet_under_it(
    monkeypatch: pytest.MonkeyPatch, first: int, highest: int, at_ns: int, hears: bool | None
) -> None:
    monkeypatch.setattr(srtp, "REPORT_TIMEOUT_S", 0.01)
    reports: Arrivals[ReceptionReport] = Arrivals(most=9)
    reports.add(ReceptionReport(at_ns=LATER_NS, source=8, lost=0, highest_sequence=9))  # of another source
    reports.add(ReceptionReport(at_ns=at_ns, source=7, lost=0, highest_sequence=highest))
    port = SimpleNamespace(first_under={KEY.fingerprint: first}, sent_ns={first: 0}, source=7, reports=reports)
    assert (await srtp._hears_under(SimpleNamespace(port=port), KEY))[0] is hears  # type: ignore[arg-type]


async def test_a_phone_that_wants_no_audio_is_not_said_to_hear_it() -> None:
    port = SimpleNamespace(first_under={})
    assert (await srtp._hears_under(SimpleNamespace(port=port), KEY))[0] is None  # type: ignore[arg-type]


AUDIO = LocalAudio(host="127.0.0.1", port=4000, formats=(PCMU,), key=KEY)


@pytest.mark.parametrize(
    ("offer", "secured", "words"),
    [
        (AUDIO.describe(version=1), True, "RTP/SAVP with AES_CM_128_HMAC_SHA1_80"),
        (AUDIO.describe(version=1).replace(b"SAVP", b"AVP"), False, "offered as RTP/AVP"),
        (AUDIO.describe(version=1).replace(b"SHA1_80", b"SHA1_32"), False, "without a usable key"),
        (AUDIO.describe(version=1).replace(b"inline:", b"inline:A"), False, "base64"),
        (AUDIO.describe(version=1).replace(b"m=audio 4000", b"m=audio 0"), False, "no audio"),
    ],
)
def test_an_offer_is_secured_by_its_transport_and_a_key_that_every_phone_must_have(
    offer: bytes, secured: bool, words: str
) -> None:
    found, said = srtp.sdes_in(parse_sdp(offer))
    assert found is secured
    assert words in said
