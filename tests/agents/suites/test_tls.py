"""The TLS procedure against scripted phones that check certificates, and such that do not, and against a real one."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT
from scripted_phone import ScriptedPhone

from agents.bench_ca import CA_FILE, FOLDER_VARIABLE, make_ca, server_certificate
from agents.instruments.digest import Account
from agents.instruments.registrar import Registrar
from agents.instruments.sender.sender import Sender
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.stall import StallMeter
from agents.instruments.tls_server import TlsListener
from agents.measure import LabError, Recorder
from agents.suites.ip_phone import other_server, tls
from agents.suites.ip_phone.bench import Found, PhoneBench
from agents.suites.ip_phone.other_server import (
    Visit,
    bench_authority,
    point_phone_at,
    registration_at,
    tls_server,
    visit,
)
from lab_inventory.clock import SystemClock
from lab_inventory.ics import Answers

ACCOUNT = Account(username="u", password="p", realm="assay")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "ca"
    make_ca(folder, "tests", SystemClock().now())
    return folder


@pytest.fixture(autouse=True)
def _quick(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(ca))
    monkeypatch.setattr(other_server, "SETTLES_S", 0.1)


def context(ca: Path, *, checks: bool = True, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ca / CA_FILE)
    made.maximum_version = highest
    if not checks:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@asynccontextmanager
async def bench_with(
    phone_tls: ssl.SSLContext | None, *, ics: Answers | None = None, tired: int = 1000
) -> AsyncIterator[PhoneBench]:
    clock = SystemClock()
    registrar = Registrar(ACCOUNT, expires_s=600, clock=clock)
    endpoint = SipEndpoint(clock=clock, registrar=registrar).open(("127.0.0.1", 0))
    phone = ScriptedPhone(endpoint.address, ACCOUNT, phone_tls, tired=tired)
    meter, sender = StallMeter(), Sender()
    try:
        await phone.open()
        yield PhoneBench(
            endpoint=endpoint,
            registrar=registrar,
            driver=phone,
            meter=meter,
            clock=clock,
            ics=ics or {},
            ixit={},
            sender=sender,
        )
    finally:
        sender.close()
        await phone.close()
        endpoint.close()


async def measured(bench: PhoneBench, folder: Path) -> dict[str, Found]:
    recorder = Recorder(declared=tls.tls_signalling.measures, instrument=INSTRUMENT, folder=folder)
    (folder).mkdir(exist_ok=True)
    await tls.tls_signalling.carry_out(bench, recorder)
    return {found.quantity: found for found in bench.found}


def values(found: dict[str, Found]) -> dict[str, object]:
    return {quantity: one.value for quantity, one in found.items()}


async def test_a_phone_that_checks_certificates_passes_and_is_registered_at_home_afterwards(
    ca: Path, tmp_path: Path
) -> None:
    async with bench_with(context(ca)) as bench:
        found = await measured(bench, tmp_path / "evidence")
        assert bench.registered().uri.endswith("transport=udp")
    note = found["bad_certificates_rejected"].note
    assert values(found) == {"tls_1_2": True, "tls_1_3": True, "bad_certificates_rejected": True}, note
    for part in (
        "expired: rejected (offered TLS 1.3/TLS 1.2; alert certificate_expired)",
        "wrong host: rejected (offered TLS 1.3/TLS 1.2; alert bad_certificate)",
        "unknown issuer: rejected (offered TLS 1.3/TLS 1.2; alert unknown_ca)",
        "self-signed: rejected (offered TLS 1.3/TLS 1.2; alert unknown_ca)",
    ):
        assert part in note
    (evidence,) = (tmp_path / "evidence").iterdir()
    assert len(evidence.read_text().splitlines()) == 8


async def test_a_phone_that_checks_nothing_is_found(ca: Path, tmp_path: Path) -> None:
    async with bench_with(context(ca, checks=False)) as bench:
        found = await measured(bench, tmp_path / "evidence")
    assert values(found) == {"tls_1_2": True, "tls_1_3": True, "bad_certificates_rejected": False}
    assert found["bad_certificates_rejected"].note.count("TAKEN") == 4


async def test_a_phone_that_checks_everything_but_the_name_is_found(ca: Path, tmp_path: Path) -> None:
    nameless = context(ca)
    nameless.check_hostname = False
    async with bench_with(nameless) as bench:
        found = await measured(bench, tmp_path / "evidence")
    assert found["bad_certificates_rejected"].value is False
    assert "wrong host: TAKEN" in found["bad_certificates_rejected"].note
    assert found["bad_certificates_rejected"].note.count("TAKEN") == 1


async def test_a_phone_with_tls_1_2_only_is_found(ca: Path, tmp_path: Path) -> None:
    async with bench_with(context(ca, highest=ssl.TLSVersion.TLSv1_2)) as bench:
        found = await measured(bench, tmp_path / "evidence")
    assert values(found) == {"tls_1_2": True, "tls_1_3": False, "bad_certificates_rejected": True}


async def test_a_phone_without_the_benchs_ca_is_an_error_of_the_lab_where_tls_is_declared(tmp_path: Path) -> None:
    async with bench_with(ssl.create_default_context(), ics={"tls": True}) as bench:
        with pytest.raises(LabError, match="is the bench's CA installed"):
            await measured(bench, tmp_path / "evidence")
        assert bench.registered().uri.endswith("transport=udp")


async def test_a_phone_that_registers_nowhere_by_tls_has_rejected_nothing(tmp_path: Path) -> None:
    async with bench_with(ssl.create_default_context()) as bench:
        found = await measured(bench, tmp_path / "evidence")
    assert values(found) == {"tls_1_2": False, "tls_1_3": False, "bad_certificates_rejected": None}


async def test_where_tls_is_declared_absent_nothing_is_pressed(tmp_path: Path) -> None:
    async with bench_with(None, ics={"tls": False}) as bench:
        found = await measured(bench, tmp_path / "evidence")
    assert set(values(found).values()) == {None}
    assert {one.note for one in found.values()} == {"TLS is declared absent"}


async def test_a_bench_without_a_ca_says_which_command_makes_one(
    ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    async with bench_with(context(ca)) as bench:
        with pytest.raises(LabError, match="assay-agent bench ca"):
            await measured(bench, tmp_path / "evidence")


async def test_a_registration_counts_at_the_server_that_was_connected_to_and_at_none_with_its_port(ca: Path) -> None:
    async with bench_with(context(ca)) as bench:
        good = server_certificate(bench.endpoint.address[0], now=bench.clock.now(), issuer=bench_authority())
        with tls_server(bench, good, lowest=ssl.TLSVersion.TLSv1_2, highest=ssl.TLSVersion.TLSv1_3) as listener:
            await point_phone_at(bench, listener)
            assert (await visit(bench, listener)).registered
            later = TlsListener(address=listener.address, attempts=[])
            assert registration_at(bench, listener)
            assert registration_at(bench, later) is None


def a_visit(*, tried: bool = True, spoke: bool = False, registered: bool = False) -> Visit:
    return Visit(tried=tried, spoke=spoke, registered=registered, words="seen", attempts=())


GOOD = a_visit(spoke=True, registered=True)


@pytest.mark.parametrize(
    ("before", "after", "bad", "rejected"),
    [
        (GOOD, GOOD, a_visit(), True),
        (GOOD, GOOD, a_visit(spoke=True), False),
        (GOOD, GOOD, a_visit(tried=False), None),
        (GOOD, a_visit(), a_visit(), None),
        (GOOD, a_visit(), a_visit(spoke=True), False),
        (a_visit(), GOOD, a_visit(), None),
    ],
)
def test_a_bad_certificate_counts_as_rejected_only_by_a_phone_that_takes_good_ones(
    before: Visit, after: Visit, bad: Visit, rejected: bool | None
) -> None:
    assert tls.verdict_on_bad(before, after, {"expired": bad})[0] is rejected
