"""What is secret goes, what is evidence stays, and no length changes."""

import base64
import hashlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evidence.masking import Masking
from agents.instruments.sip_message import parse

PASSWORD = "quiet/secret+7"
MASKING = Masking(key=b"k" * 32, user="1001", realm="assay", password=PASSWORD)
RESPONSE = "0f" * 16
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
SECRETS = [
    PASSWORD,
    quote(PASSWORD, safe=""),
    base64.b64encode(f"1001:{PASSWORD}".encode()).decode(),
    base64.b64encode(PASSWORD.encode()).decode(),
    hashlib.new("md5", f"1001:assay:{PASSWORD}".encode()).hexdigest(),  # noqa: S324 - as digests do
    hashlib.sha256(f"1001:assay:{PASSWORD}".encode()).hexdigest().upper(),
]


def register(authorization: str, body: str = "") -> bytes:
    return (
        f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa\r\nCall-ID: a@b\r\n"
        f"CSeq: 2 REGISTER\r\n{authorization}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def digest(response: str = f'response="{RESPONSE}"') -> str:
    return (
        'Authorization: Digest username="1001", realm="assay", nonce="abc123", uri="sip:127.0.0.1", '
        f'{response}, cnonce="c9", qop=auth, nc=00000001, algorithm=MD5'
    )


@pytest.mark.parametrize(
    "header",
    [
        digest(),
        digest(f"RESPONSE = {RESPONSE}"),
        digest(f'\r\n response="{RESPONSE}"'),
        digest(f'respons="{RESPONSE}"'),
        digest(f"response '{RESPONSE}'"),
        digest().replace("Authorization", "proxy-authorization"),
        f'Authentication-Info: rspauth="{RESPONSE}", nextnonce="n2"',
        f'X-Copy: Digest response="{RESPONSE}"',
    ],
)
def test_a_digest_response_is_replaced_however_it_is_written(header: str) -> None:
    message = register(header)

    masked = MASKING.mask(message)

    assert RESPONSE.encode() not in masked.data
    assert len(masked.data) == len(message)
    assert masked.replaced


def test_what_a_response_is_made_from_stays_and_so_does_everything_else() -> None:
    before, after = parse(register(digest())), parse(MASKING.mask(register(digest())).data)

    start, _, rest = (before.get("Authorization") or "").partition(RESPONSE)
    assert (after.get("Authorization") or "").startswith(start)
    assert (after.get("Authorization") or "").endswith(rest)
    assert [header.raw for header in after.headers if header.name != "Authorization"] == [
        header.raw for header in before.headers if header.name != "Authorization"
    ]


def test_equal_responses_stay_equal_and_others_do_not_become_so() -> None:
    first, second = (MASKING.mask(register(digest())).data for _ in range(2))
    other = MASKING.mask(register(digest(f'response="{"1e" * 16}"'))).data
    of_another_run = Masking(key=b"x" * 32, user="1001", realm="assay", password=PASSWORD).mask(register(digest())).data

    assert first == second
    assert len({first, other, of_another_run}) == 3


@pytest.mark.parametrize("secret", SECRETS)
def test_the_password_is_found_in_no_form(secret: str) -> None:
    message = register(f"Authorization: Basic {secret}\r\nX-Debug: {secret}", f"it is {secret}.")

    masked = MASKING.mask(message)

    assert secret.encode() not in masked.data
    assert len(masked.data) == len(message)


def test_a_short_password_and_one_that_is_the_user_are_not_looked_for_as_text() -> None:
    message = register("X-Any: 1001 abc")

    for password in ("abc", "1001"):
        assert Masking(key=b"k", user="1001", realm="assay", password=password).mask(message).data == message


def test_keys_of_audio_are_replaced() -> None:
    body = (
        f"v=0\r\nk=base64:{KEY}\r\nm=audio 4000 RTP/SAVP 0\r\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4\r\na=ice-pwd:{KEY}\r\na=key-mgmt:mikey {KEY}\r\n"
    )

    masked = MASKING.mask(register("Content-Type: application/sdp", body))

    assert KEY.encode() not in masked.data
    assert b"|2^20|1:4" in masked.data
    assert len(parse(masked.data).body) == len(body)


def test_a_password_in_a_uri_is_replaced_and_a_port_is_not() -> None:
    masked = MASKING.mask(register("Contact: <sip:1001:hidden@127.0.0.1:5070>"))

    assert b"hidden" not in masked.data
    assert b"@127.0.0.1:5070>" in masked.data


def test_a_message_without_secrets_stays_as_it_is() -> None:
    message = register("Contact: <sip:1001@127.0.0.1:5070>", "Signal=5\r\nDuration=160")

    assert MASKING.mask(message).data == message
    assert MASKING.mask(message).replaced == ()


@given(st.binary(max_size=400), st.binary(max_size=60))
def test_any_bytes_keep_their_length(data: bytes, more: bytes) -> None:
    whole = data + b"\r\nAuthorization: Digest " + more + b"\r\nresponse=" + data

    masked = MASKING.mask(whole)

    assert len(masked.data) == len(whole)
