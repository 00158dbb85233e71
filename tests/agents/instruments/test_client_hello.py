import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.instruments.client_hello import MalformedHello, read_client_hello


def hello_of(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, name: str | None = "phone.example") -> bytes:
    context = ssl.create_default_context()
    context.minimum_version, context.maximum_version = lowest, highest
    context.check_hostname = name is not None
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = hello_of(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize(
    ("lowest", "highest", "offered"),
    [
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ("TLS 1.3", "TLS 1.2")),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ("TLS 1.2",)),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, ("TLS 1.3",)),
    ],
)
def test_the_versions_a_client_offers_are_read(
    lowest: ssl.TLSVersion, highest: ssl.TLSVersion, offered: tuple[str, ...]
) -> None:
    found = read_client_hello(hello_of(lowest, highest))
    assert found is not None
    assert found.offered == offered


def test_the_host_a_client_asks_for_is_read_and_may_be_missing() -> None:
    asked, unasked = (
        read_client_hello(HELLO),
        read_client_hello(hello_of(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, None)),
    )
    assert asked is not None
    assert asked.server_name == "phone.example"
    assert unasked is not None
    assert unasked.server_name is None


def test_a_hello_in_several_records_is_put_together() -> None:
    body = HELLO[5:]
    records = b"".join(
        b"\x16\x03\x01\x00\x64"[:3] + len(part).to_bytes(2, "big") + part for part in (body[:100], body[100:])
    )
    assert read_client_hello(records) == read_client_hello(HELLO)


@given(size=st.integers(0, len(HELLO) - 1))
def test_a_part_of_a_hello_waits_for_more(size: int) -> None:
    assert read_client_hello(HELLO[:size]) is None


@given(place=st.integers(0, len(HELLO) - 1), value=st.integers(0, 255))
def test_a_hello_with_a_wrong_byte_is_read_or_refused(place: int, value: int) -> None:
    damaged = bytearray(HELLO)
    damaged[place] = value
    try:
        read_client_hello(bytes(damaged))
    except MalformedHello:
        return


@pytest.mark.parametrize(
    "junk", [b"OPTIONS sip:a@b SIP/2.0\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x16\x03\x01\x00\x00"]
)
def test_what_is_no_hello_is_refused(junk: bytes) -> None:
    with pytest.raises(MalformedHello):
        read_client_hello(junk)
