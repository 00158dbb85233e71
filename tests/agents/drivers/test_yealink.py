"""The Yealink driver against a stand-in for the phone's web interface: which requests it sends, and what it makes of
every answer. No phone was there.
"""

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yealink_stand_in import YealinkStandIn, yealink_stand_in

from agents.drivers import DriverRefused, DriverUnreachable, Server, driver_in
from agents.drivers import http_control as http_control_module
from agents.drivers.baresip import BaresipDriver
from agents.drivers.yealink import YealinkDriver
from agents.measure import LabError
from lab_inventory.clock import SystemClock
from lab_inventory.device import Product
from lab_inventory.lab import Account, ControlTls, Slot

ACCOUNT = Account.model_validate({"user": "admin", "password": "0pen-Sesame"})


@asynccontextmanager
async def driven(
    phone: YealinkStandIn,
    account: Account | None = None,
    tls: ControlTls | None = None,
    server: ssl.SSLContext | None = None,
) -> AsyncIterator[YealinkDriver]:
    async with yealink_stand_in(phone, server):
        driver = YealinkDriver(phone.control, account=account, tls=tls, caller="1001@10.0.0.1:5060")
        try:
            yield driver
        finally:
            await driver.close()


async def test_each_verb_is_the_request_that_the_manual_has_for_it() -> None:
    phone = YealinkStandIn()
    async with driven(phone) as driver:
        await driver.open()
        await driver.dial("sip:bench@10.0.0.1:5060")
        await driver.answer()
        await driver.hold()
        await driver.resume()
        await driver.press_keys("1*#")
        await driver.transfer("sip:1003@10.0.0.1:5060")
        await driver.consult("sip:1003@10.0.0.1:5060")
        await driver.complete_transfer()
        await driver.hang_up()
        await driver.reboot()
    assert phone.keys == [
        "number=bench@10.0.0.1:5060&outgoing_uri=1001@10.0.0.1:5060",
        "ASW",
        "F_HOLD",
        "F_HOLD",
        "1",
        "*",
        "POUND",
        "BTrans=1003@10.0.0.1:5060",
        "ATrans=1003@10.0.0.1:5060",
        "F_TRANSFER",
        "CALLEND",
        "Reboot",
    ]


async def test_another_server_is_refused_and_there_is_none_to_take_out() -> None:
    phone = YealinkStandIn()
    async with driven(phone) as driver:
        await driver.use_server(None)
        with pytest.raises(DriverRefused, match="enters another SIP server"):
            await driver.use_server(Server(uri="sip:10.0.0.1:5061", user="1001", password="x"))
    assert phone.targets == []


async def test_reset_ends_as_many_calls_as_there_can_be() -> None:
    phone = YealinkStandIn()
    async with driven(phone) as driver:
        await driver.reset()
    assert phone.keys == ["CALLEND"] * 4


async def test_a_key_that_no_such_phone_has_is_refused_and_none_is_pressed() -> None:
    phone = YealinkStandIn()
    async with driven(phone) as driver:
        with pytest.raises(DriverRefused, match="no key A"):
            await driver.press_keys("1A")
        with pytest.raises(DriverRefused, match="cannot be dialled"):
            await driver.dial("sip:1001&key=Reset@10.0.0.1")
    assert phone.targets == []


async def test_the_firmware_is_what_the_phone_says_and_on_one_line() -> None:
    phone = YealinkStandIn(body=b"firmware=66.86.0.15\nmac=001565000000\n")
    async with driven(phone) as driver:
        assert await driver.firmware() == "firmware=66.86.0.15 mac=001565000000"
    assert phone.targets == ["/servlet?phonecfg=get[&accounts=0][&dnd=0][&fw=0]"]


@pytest.mark.parametrize("scheme", ["digest", "basic"])
async def test_it_signs_by_the_scheme_that_the_phone_asks_for_and_each_key_is_pressed_once(scheme: str) -> None:
    phone = YealinkStandIn(account=("admin", "0pen-Sesame"), scheme=scheme)
    async with driven(phone, ACCOUNT) as driver:
        await driver.answer()
        await driver.hang_up()
    assert phone.keys == ["ASW", "CALLEND"]
    assert "authorization" not in phone.heads[0].lower()
    assert ("0pen-Sesame" in "".join(phone.heads)) is False


@pytest.mark.parametrize("scheme", ["digest", "basic"])
async def test_a_wrong_password_is_refused_in_words_that_name_the_account_and_no_password(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    phone = YealinkStandIn(account=("admin", "another"), scheme=scheme)
    async with driven(phone, ACCOUNT) as driver:
        with pytest.raises(DriverRefused, match="does not take the account admin") as caught:
            await driver.answer()
    assert phone.keys == []
    assert "0pen-Sesame" not in str(caught.value) + repr(driver) + caplog.text


async def test_a_phone_that_wants_an_account_says_that_the_slot_has_none() -> None:
    async with driven(YealinkStandIn(account=("admin", "x"))) as driver:
        with pytest.raises(DriverRefused, match="the slot has no control_account"):
            await driver.answer()


@pytest.mark.parametrize(
    ("phone", "words"),
    [
        (YealinkStandIn(status=403), "Action URI Allow IP List"),
        (YealinkStandIn(status=404, body=b"<html>Not Found</html>"), "answers 404"),
        (YealinkStandIn(status=500), "answers 500"),
        (YealinkStandIn(status=302, headers="Location: https://127.0.0.1/\r\n"), "it wants TLS: set control_tls"),
        (YealinkStandIn(status=302, headers="Location: http://elsewhere/\r\n"), "redirects are not followed"),
        (YealinkStandIn(body=b'<HTML><form><input name="pwd" type="password"></form></HTML>'), "a page to log in"),
    ],
)
async def test_what_is_no_200_is_refused_in_words_that_help(phone: YealinkStandIn, words: str) -> None:
    async with driven(phone) as driver:
        with pytest.raises(DriverRefused, match=words):
            await driver.answer()
    assert len(phone.targets) == 1


async def test_a_slow_phone_is_unreachable_and_the_key_is_not_pressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_control_module, "REQUEST_TIMEOUT_S", 0.2)
    phone = YealinkStandIn(slow_s=30)
    async with driven(phone) as driver:
        with pytest.raises(DriverUnreachable, match="does not answer within"):
            await driver.answer()
    assert len(phone.targets) == 1


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a phone")])
    now = SystemClock().now()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    path = folder / "phone.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_the_phone_signed_itself_is_taken_only_where_the_slot_says_so(tmp_path: Path) -> None:
    server = self_signed(tmp_path)
    phone = YealinkStandIn()
    async with driven(phone, tls=ControlTls.VERIFIED, server=server) as driver:
        with pytest.raises(DriverUnreachable, match="control_tls: any-certificate"):
            await driver.answer()
    async with driven(phone, tls=ControlTls.ANY_CERTIFICATE, server=server) as driver:
        await driver.answer()
    assert phone.keys == ["ASW"]


def slot(**more: object) -> Slot:
    return Slot.model_validate(
        {
            "name": "slot-1",
            "category": "ip-phone",
            "registrar": "127.0.0.1:5060",
            "account": {"user": "1001", "password": "x"},
            "control": "127.0.0.1:1",
            "unit": {"hardware_revision": "B", "mode": "wideband"},
            **more,
        }
    )


async def test_a_slot_gives_the_account_and_from_whom_is_called() -> None:
    phone = YealinkStandIn(account=("admin", "0pen-Sesame"))
    async with yealink_stand_in(phone):
        account = {"user": "admin", "password": "0pen-Sesame"}
        driver = driver_in(slot(control=phone.control, control_account=account), YealinkDriver)
        await driver.dial("sip:bench@127.0.0.1:5060")
        await driver.close()
    assert phone.keys == ["number=bench@127.0.0.1:5060&outgoing_uri=1001@127.0.0.1:5060"]


def test_a_driver_without_an_account_says_that_it_takes_none() -> None:
    with pytest.raises(LabError, match="the driver baresip takes neither"):
        driver_in(slot(control_tls="verified"), BaresipDriver)


@pytest.mark.parametrize("model", ["T58", "SIP-T46G", "SIP-T21P E2"])
def test_the_names_in_the_manuals_are_known(model: str) -> None:
    found = YealinkDriver.recognises(f"Yealink {model} 58.80.0.5")
    assert found == Product(maker="Yealink", model=model, firmware="58.80.0.5")
