import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.sdes import Crypto, MalformedCrypto, Suite, answer_faults, mask_keys, read_crypto

MASTER = bytes(range(30))
INLINE = base64.b64encode(MASTER).decode()


@pytest.mark.parametrize("more", ["", "|2^31", "|1048576"])
def test_a_key_is_read_with_or_without_a_lifetime(more: str) -> None:
    found = read_crypto(f"3 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}{more}")
    assert found == Crypto(tag=3, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=MASTER)


@given(tag=st.integers(1, 999_999_999), suite=st.sampled_from(Suite), master=st.binary(min_size=30, max_size=30))
def test_what_is_built_is_read_back(tag: int, suite: Suite, master: bytes) -> None:
    crypto = Crypto(tag=tag, suite=suite, master=master)
    assert read_crypto(crypto.attribute()) == crypto


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1", "not tag, suite and key"),
        (f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}", "the suite"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20|1:4", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} UNENCRYPTED_SRTP", "session parameters"),
        (f"1 AES_CM_128_HMAC_SHA1_80 uri:{INLINE}", "inline"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:!!!", "base64"),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "3 bytes"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_the_reason(value: str, reason: str) -> None:
    with pytest.raises(MalformedCrypto, match=reason):
        read_crypto(value)


@given(st.text(max_size=120))
def test_any_value_is_read_or_refused(value: str) -> None:
    try:
        read_crypto(value)
    except MalformedCrypto:
        return


def test_an_answer_needs_one_key_of_its_own_with_tag_and_suite_of_the_offer() -> None:
    offered = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=MASTER)
    own = Crypto(tag=1, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30))
    other_tag = Crypto(tag=2, suite=Suite.AES_CM_128_HMAC_SHA1_80, master=bytes(30))
    assert answer_faults([offered], [own]) == ()
    assert "0 usable" in answer_faults([offered], [])[0]
    assert "none of those offered" in answer_faults([offered], [other_tag])[0]
    assert "would share one" in answer_faults([offered], [offered])[0]


def test_keys_are_masked_with_as_many_bytes_and_equal_ones_stay_equal() -> None:
    raw = f"a=crypto:1 X inline:{INLINE}|2^20\r\na=crypto:2 X INLINE:{INLINE}\r\n".encode()
    masked = mask_keys(raw)
    assert len(masked) == len(raw)
    assert INLINE.encode() not in masked
    first, second = (line.partition(b":")[2].partition(b":")[2][:40] for line in masked.splitlines())
    assert first == second
    assert mask_keys(raw.replace(b"AAEC", b"AAED")) != masked


def test_a_key_does_not_show_where_it_is_printed() -> None:
    crypto = read_crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}")
    assert INLINE not in repr(crypto)
    assert repr(MASTER) not in repr(crypto)
