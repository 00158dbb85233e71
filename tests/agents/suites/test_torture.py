"""Torture messages against phones of a few lines that break in ways of their own, and against a real one."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from agent_nouns import INSTRUMENT
from reference_bench import reference_on_bench

from agents.drivers import DriverUnreachable, PhoneDriver
from agents.instruments.arrivals import Arrivals
from agents.instruments.dialog import Dialog
from agents.instruments.digest import DigestVerdict
from agents.instruments.packets import Peer
from agents.instruments.registrar import Binding, RegisterRecord, Registrar
from agents.instruments.sdp import PCMU, TELEPHONE_EVENT, LocalAudio
from agents.instruments.sip_endpoint import SipEndpoint
from agents.instruments.sip_streams import Flow, Transport
from agents.instruments.sip_transactions import ServerTransaction
from agents.instruments.stall import StallMeter
from agents.instruments.torture import ANSWERS, MESSAGES
from agents.measure import Recorder
from agents.suites.ip_phone import torture, torture_watch
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.torture_watch import restarts
from lab_inventory.clock import SystemClock
from lab_inventory.programme import TestCase
from tests.agents.suites.test_ip_phone import an_assignment, measured, phone_on_bench

CASE = TestCase(id="TC-SIP-17", title="Torture messages", procedure="torture-messages", duration_s=30)
LOOPBACK = ("127.0.0.1", 0)
FINDINGS = Path(__file__).parents[3] / "docs" / "findings" / "baresip-1.0.0.md"
EVERY_SLUG = [one.slug for one in (*MESSAGES, *ANSWERS)]


def a_record(call_id: str, cseq: int) -> RegisterRecord:
    return RegisterRecord(
        at_ns=0,
        peer=LOOPBACK,
        call_id=call_id,
        cseq=cseq,
        contact=None,
        instance=None,
        user_agent="",
        expires_asked_s=None,
        expires_granted_s=None,
        verdict=DigestVerdict.ABSENT,
        reason="",
        nonce=None,
        nonce_count=None,
        status=401,
    )


def test_a_phone_that_registers_anew_with_another_call_id_has_restarted() -> None:
    records = (a_record("a", 4), a_record("a", 5), a_record("b", 1))

    assert restarts(records, 2)
    assert not restarts(records, 3)
    assert not restarts((a_record("a", 4), a_record("a", 5)), 1)


def test_of_a_phone_that_changes_its_call_id_by_itself_no_restart_is_said() -> None:
    assert not restarts((a_record("a", 1), a_record("b", 1), a_record("c", 1)), 2)


def test_a_note_names_every_message_however_many_there_are() -> None:
    every = [
        torture.Came(message=one, due="400 or no answer", came="200 without Unsupported", as_said=False)
        for one in (*MESSAGES, *ANSWERS)
    ]

    for count in (1, 30, len(every)):
        words = torture.in_words(every[:count])
        assert len(words) <= torture.WORDS_CHARACTERS_MAX
        assert all(one.message.slug in words for one in every[:count])
    assert "RFC 3261, 7.3.1" in torture.in_words(every[:1])


@dataclass
class Keys:
    """A driver of the stand-in: its answer key takes what rings; a dead phone has no keys."""

    phone: "StandIn"

    async def answer(self) -> None:
        if self.phone.dead:
            raise DriverUnreachable("nobody answers")
        await asyncio.sleep(self.phone.answers_after_s)
        self.phone.ringing[-1].accept()

    async def dial(self, uri: str) -> None:
        peer = self.phone.bench
        call = Dialog.outgoing(self.phone.endpoint, audio=self.phone.audio, peer=peer, target=uri)
        self.phone.dialled.append(call)
        call.invite()

    async def reset(self) -> None:
        if self.phone.dead:
            raise DriverUnreachable("nobody answers")


@dataclass
class StandIn:
    """A phone of a few lines that rings for every call, and does ``at_fatal`` at a message with ``fatal`` in it."""

    fatal: str = ""
    at_fatal: Callable[["StandIn"], None] = lambda phone: phone.die()
    dead: bool = False
    answers_after_s: float = 0.0
    bench: Peer = LOOPBACK
    dialled: list[Dialog] = field(default_factory=list)
    ringing: list[Dialog] = field(default_factory=list)

    def open(self) -> None:
        self.endpoint = SipEndpoint(clock=SystemClock()).open(LOOPBACK)
        self.audio = LocalAudio(host="127.0.0.1", port=9, formats=(PCMU, TELEPHONE_EVENT))
        read = self.endpoint.transport._on_request

        def on_request(received: Any) -> None:
            if self.fatal and self.fatal.encode() in received.message.raw:
                self.at_fatal(self)
            if not self.dead:
                read(received)

        self.endpoint.transport._on_request = on_request

    def on_call(self, invitation: ServerTransaction) -> Dialog:
        dialog = Dialog.incoming(self.endpoint, audio=self.audio, invitation=invitation)
        self.ringing.append(dialog)
        dialog.ring()
        return dialog

    def die(self) -> None:
        self.dead = True


@dataclass
class Registered:
    """A registrar at which the stand-in is, without a REGISTER having passed."""

    phone: StandIn
    records: Arrivals[RegisterRecord] = field(default_factory=lambda: Arrivals(most=10))

    def bindings(self, _: int) -> tuple[Binding, ...]:
        host, port = self.phone.endpoint.address
        return (
            Binding(
                uri=f"sip:phone@{host}:{port}",
                instance=None,
                peer=(host, port),
                user_agent="",
                registered_ns=0,
                expires_ns=0,
            ),
        )


@asynccontextmanager
async def bench_of(phone: StandIn) -> AsyncIterator[PhoneBench]:
    phone.open()
    endpoint = SipEndpoint(clock=SystemClock()).open(LOOPBACK)
    bench = PhoneBench(
        endpoint=endpoint,
        registrar=cast(Registrar, Registered(phone)),
        driver=cast(PhoneDriver, Keys(phone)),
        meter=StallMeter(),
        clock=SystemClock(),
        ics={},
        ixit={},
    )
    phone.bench = endpoint.address
    try:
        with phone.endpoint.expecting_calls(phone.on_call):
            yield bench
    finally:
        bench.sender.close()
        endpoint.close()
        phone.endpoint.close()


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the procedure send only these messages and answers."""

    def only(*slugs: str) -> None:
        for name, whole in (("MESSAGES", MESSAGES), ("ANSWERS", ANSWERS)):
            monkeypatch.setattr(torture, name, tuple(one for one in whole if one.slug in slugs))

    return only


async def found_at(bench: PhoneBench, folder: Path) -> dict[str, Any]:
    recorder = Recorder(declared=torture.torture_messages.measures, instrument=INSTRUMENT, folder=folder)
    folder.mkdir(exist_ok=True)
    async with bench.one_case(CASE):
        await torture.torture_messages.carry_out(bench, recorder)
    return {found.quantity: found for found in bench.found}


async def test_what_is_handled_otherwise_is_named_with_what_was_due_what_came_and_the_clause(
    tmp_path: Path, sends: Callable[..., None]
) -> None:
    # The stand-in answers an unknown method 405 as it must, and knows nothing of Require.
    sends("percent-is-no-escape", "unknown-require", "ack-of-nothing", "proxy-require-at-a-phone")
    async with bench_of(StandIn()) as bench:
        found = await found_at(bench, tmp_path / "evidence")

    assert found["no_crash"].value is True
    assert found["handled_as_said_percent"].value == 75
    assert "unknown-require: 420 was due, 200 came (RFC 3261, 8.2.2.3" in found["handled_as_said_percent"].note


async def test_a_message_after_which_no_call_works_is_named(
    tmp_path: Path, sends: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torture_watch, "CALL_WITHIN_S", 0.2)
    monkeypatch.setattr(torture_watch, "BACK_WITHIN_S", 0.1)
    sends("max-forwards-zero", "unknown-authorization", "bye-in-no-dialog")
    async with bench_of(StandIn(fatal="NoOneKnowsThisScheme")) as bench:
        found = await found_at(bench, tmp_path / "evidence")

    assert (found["no_crash"].value, found["handled_as_said_percent"].value) == (False, None)
    assert found["no_crash"].note == "after unknown-authorization a call no longer worked"
    assert "2 of 3 messages were not sent" in found["handled_as_said_percent"].note


async def test_a_phone_that_restarts_is_seen_by_its_registration(tmp_path: Path, sends: Callable[..., None]) -> None:
    sends("unknown-authorization", "bye-in-no-dialog")
    phone = StandIn(fatal="NoOneKnowsThisScheme")
    async with bench_of(phone) as bench:
        bench.registrar.records.add(a_record("before", 7))
        phone.at_fatal = lambda _: bench.registrar.records.add(a_record("after", 1))
        found = await found_at(bench, tmp_path / "evidence")

    assert found["no_crash"].value is False
    assert found["no_crash"].note == "after unknown-authorization the phone registered as after a restart"
    assert found["handled_as_said_percent"].value == 100


def evidence_of(folder: Path, key: str) -> list[bytes]:
    """The lines of the file of JSON lines that begins with this key."""
    start = f'{{"{key}"'.encode()
    return next(data.splitlines() for path in folder.iterdir() if (data := path.read_bytes()).startswith(start))


async def test_a_real_phone_survives_every_message_and_departs_where_the_findings_say_so(tmp_path: Path) -> None:
    async with phone_on_bench(tmp_path, an_assignment()) as suite:
        found = await measured(suite, CASE, tmp_path)

    assert found["no_crash"].value is True
    told = set(re.findall(r"^\| `([a-z0-9-]+)` \|", FINDINGS.read_text(encoding="utf-8"), re.MULTILINE))
    table = [json.loads(line) for line in evidence_of(tmp_path / "evidence", "slug")]
    assert [line["slug"] for line in table] == EVERY_SLUG
    assert {line["slug"] for line in table if not line["as_said"]} == told
    assert all(slug in found["handled_as_said_percent"].note for slug in told)
    assert found["handled_as_said_percent"].value == pytest.approx(100 * (1 - len(told) / len(EVERY_SLUG)))


async def test_the_reference_phone_handles_at_least_what_the_certified_level_asks(tmp_path: Path) -> None:
    async with reference_on_bench(tmp_path) as suite:
        found = await measured(suite, CASE, tmp_path)

    assert found["no_crash"].value is True
    share = found["handled_as_said_percent"].value
    assert isinstance(share, float)
    assert share >= 95, found["handled_as_said_percent"].note


async def test_calls_of_the_phone_are_answered_oddly_and_each_acknowledgement_is_told(
    tmp_path: Path, sends: Callable[..., None]
) -> None:
    # The stand-in reads a length that is too large as it must, and does not look at how many Vias there are.
    sends("max-forwards-zero", "answer-content-length-too-large", "answer-with-two-vias", "answer-tortuous")
    phone = StandIn()
    async with bench_of(phone) as bench:
        found = await found_at(bench, tmp_path / "evidence")

    assert found["no_crash"].value is True
    assert found["handled_as_said_percent"].value == 75
    assert "answer-with-two-vias: no ACK was due, ACK came" in found["handled_as_said_percent"].note
    assert len(phone.dialled) == 2


async def test_a_person_who_is_slow_at_the_keys_takes_no_time_from_the_phone(
    tmp_path: Path, sends: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torture, "WHOLE_CALL_EVERY", 1)
    monkeypatch.setattr(torture_watch, "BUDGET_S", 0.5)
    sends("max-forwards-zero", "unknown-authorization", "bye-in-no-dialog")
    async with bench_of(StandIn(answers_after_s=0.3)) as bench:
        found = await found_at(bench, tmp_path / "evidence")

    assert (found["no_crash"].value, found["handled_as_said_percent"].value) == (True, 100)


async def test_a_phone_that_keeps_restarting_is_not_sent_all(tmp_path: Path, sends: Callable[..., None]) -> None:
    sends("bye-in-no-dialog", "ack-of-nothing", "info-in-no-dialog", "notify-of-nothing")
    phone, boots = StandIn(fatal="tag=nobody"), itertools.count()
    async with bench_of(phone) as bench:
        bench.registrar.records.add(a_record("before", 7))
        phone.at_fatal = lambda _: bench.registrar.records.add(a_record(f"boot-{next(boots)}", 1))
        found = await found_at(bench, tmp_path / "evidence")

    assert found["no_crash"].note.count("restart") == torture_watch.CRASHES_MAX
    assert found["handled_as_said_percent"].value is None


async def test_what_had_to_be_refused_and_was_taken_is_counted(tmp_path: Path, sends: Callable[..., None]) -> None:
    sends("unknown-require", "unknown-scheme-of-target", "max-forwards-zero")
    async with bench_of(StandIn()) as bench:
        found = await found_at(bench, tmp_path / "evidence")

    assert found["invalid_taken"].value == 2
    assert "unknown-require" in found["invalid_taken"].note


async def test_nothing_of_a_call_that_was_taken_stays(tmp_path: Path, sends: Callable[..., None]) -> None:
    sends("tortuous-invite", "no-content-length")
    phone = StandIn()
    async with bench_of(phone) as bench:
        await found_at(bench, tmp_path / "evidence")

    assert len(phone.ringing) >= 5
    assert all(call.ended for call in phone.ringing)


async def test_a_phone_that_registered_over_a_stream_is_left_unmeasured(tmp_path: Path) -> None:
    phone = StandIn()
    async with bench_of(phone) as bench:
        host, port = phone.endpoint.address
        flow = Flow((host, port), transport=Transport.TCP, local=LOOPBACK)
        (binding,) = bench.registrar.bindings(0)
        bench.registrar.bindings = lambda _: (replace(binding, peer=flow),)  # type: ignore[method-assign]
        found = await found_at(bench, tmp_path / "evidence")

        assert found == {}
        assert set(bench.unmeasured) == set(torture.torture_messages.measures)
