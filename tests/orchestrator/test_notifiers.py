"""Notices, from a commit to where they arrive: webhooks and email on a running server, with receivers that fail."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from lab_server import LabServer, serving
from receivers import Hook, hook

from lab_inventory.clock import SystemClock
from lab_inventory.errors import NoRoom
from orchestrator import notifiers
from orchestrator.mail import Mail, why_no_address
from orchestrator.settings import Settings, SmtpSecurity, read_settings
from orchestrator.store import subscription_views
from tests.ports import free_ports
from tests.security.test_webhook import certificate

HERE: dict[str, Any] = {"webhook_networks": "127.0.0.0/8"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again at once."""
    monkeypatch.setattr(notifiers, "again_after_s", lambda tries: 0.05)


@pytest.fixture
def chat() -> Iterator[Hook]:
    with hook() as made:
        yield made


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LabServer]:
    async with serving(tmp_path / "data", **HERE) as running:
        yield running


async def subscribe(server: LabServer, name: str, target: str, *events: str) -> str:
    body = {"subscription": name, "way": "webhook" if "://" in target else "email", "target": target, "events": events}
    answer = await server.operator.post("/v1/subscriptions", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def listed(server: LabServer) -> dict[str, dict[str, Any]]:
    return {row["subscription"]: row for row in (await server.operator.get("/v1/subscriptions")).json()}


async def until_listed(server: LabServer, name: str, **wanted: Any) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            found = (await listed(server))[name]
            if all(found[key] == value for key, value in wanted.items()):
                return found
            await asyncio.sleep(0.02)


async def test_what_was_subscribed_to_arrives_in_order_and_nothing_else(server: LabServer, chat: Hook) -> None:
    await server.join()
    secret = await subscribe(
        server, "chat", chat.url, "batch.accepted", "submission.judged", "certificate.granted", "batch.completed"
    )
    assert secret.startswith("whsec_")
    batch = await server.measured_batch()
    got = await asyncio.to_thread(chat.wait, 4)
    assert [notice["type"] for _, notice in got] == [
        "batch.accepted",
        "submission.judged",
        "certificate.granted",
        "batch.completed",
    ]
    assert got[1][1]["data"] == {
        "submission": batch["entries"][0]["submission"],
        "earned": "certified",
        "link": f"http://127.0.0.1:0/submissions/{batch['entries'][0]['submission']}",
    }
    assert len({delivery for delivery, _ in got}) == 4
    found = await until_listed(server, "chat", delivered=4, waiting=0)
    assert found["said"] == "127.0.0.1 answered 200"
    assert secret not in json.dumps(await listed(server))


async def test_a_notice_that_fails_is_sent_again_under_the_same_id_before_any_other(
    server: LabServer, chat: Hook
) -> None:
    chat.statuses[:] = [500, 404, 302]
    await subscribe(server, "chat", chat.url, "host.drained", "host.undrained")
    await server.join()
    await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
    await server.operator.post("/v1/hosts/host-1/undrain")
    got = await asyncio.to_thread(chat.wait, 5)
    assert [notice["type"] for _, notice in got] == ["host.drained"] * 4 + ["host.undrained"]
    assert len({delivery for delivery, _ in got}) == 2
    await until_listed(server, "chat", delivered=2, tries=0)


async def test_a_subscriber_that_does_not_answer_holds_up_nobody(server: LabServer, chat: Hook) -> None:
    with hook() as slow:
        slow.answers.clear()
        await subscribe(server, "slow", slow.url, "host.drained")
        await subscribe(server, "chat", chat.url, "host.drained", "host.undrained")
        await server.join()
        await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
        await server.operator.post("/v1/hosts/host-1/undrain")
        await asyncio.to_thread(chat.wait, 2)
        assert slow.got == []
        slow.answers.set()
        await asyncio.to_thread(slow.wait, 1)


async def test_what_happened_while_the_server_was_away_or_nobody_answered_arrives_after_its_next_start(
    tmp_path: Path, chat: Hook
) -> None:
    data = tmp_path / "data"
    async with serving(data, **HERE) as server:
        await server.join()
        chat.statuses[:] = [503] * 10_000
        await subscribe(server, "chat", chat.url, "host.drained")
        await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
        await asyncio.to_thread(chat.wait, 2)
    chat.statuses.clear()
    before = {delivery for delivery, _ in chat.got}
    async with serving(data, **HERE) as server:
        await until_listed(server, "chat", delivered=1)
    assert {delivery for delivery, _ in chat.got} == before


async def test_who_says_gone_is_told_nothing_more_and_the_lab_says_so_until_somebody_resumes(
    server: LabServer, chat: Hook
) -> None:
    chat.statuses[:] = [410]
    await subscribe(server, "chat", chat.url, "host.drained")
    await server.join()
    await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
    found = await until_listed(server, "chat", state="paused")
    assert (found["waiting"], found["reason"]) == (1, "it says that it is gone (410)")
    degraded = (await server.operator.get("/readyz")).json()["degraded"]
    assert degraded["subscription chat"].startswith("is paused: it says")
    assert (await server.operator.post("/v1/subscriptions/chat/resume")).status_code == 204
    await until_listed(server, "chat", delivered=1, state="live")
    assert (await server.operator.post("/v1/subscriptions/chat/resume")).status_code == 409
    assert (await server.operator.post("/v1/subscriptions/chat/remove")).status_code == 204
    assert await listed(server) == {}
    assert (await server.operator.post("/v1/subscriptions/chat/test")).status_code == 404


async def test_what_cannot_be_counted_is_not_sent_again_at_once(
    server: LabServer, chat: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        refused.set()
        raise NoRoom("the database cannot grow")

    refused = threading.Event()
    monkeypatch.setattr(subscription_views, "keep_delivered", refuse)
    monkeypatch.setattr(notifiers, "FIRST_AGAIN_S", 0.5)
    await server.join()
    await subscribe(server, "chat", chat.url, "host.drained")
    began_s = SystemClock().boottime_s()
    await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
    assert await asyncio.to_thread(refused.wait, 20)
    got = await asyncio.to_thread(chat.wait, 3)
    assert SystemClock().boottime_s() - began_s >= 1.0
    assert len({delivery for delivery, _ in got}) == 1


async def test_after_a_day_of_failures_a_subscription_is_paused(
    server: LabServer, chat: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifiers, "gives_up", lambda since, now: True)
    chat.statuses[:] = [500] * 10
    await subscribe(server, "chat", chat.url, "host.drained")
    await server.join()
    await server.operator.post("/v1/hosts/host-1/drain", json={"reason": "x"})
    found = await until_listed(server, "chat", state="paused")
    assert "nothing arrived for a day: 127.0.0.1 answered 500" in found["reason"]


async def test_what_cannot_be_subscribed_to_is_told_all_at_once(server: LabServer, chat: Hook) -> None:
    body = {"subscription": "x", "way": "webhook", "target": "ftp://x", "events": ["batch.eaten", "batch.completed"]}
    refused = await server.operator.post("/v1/subscriptions", json=body)
    assert refused.status_code == 422
    assert [one["path"] for one in refused.json()["problems"]] == ["events[0]", "target"]
    assert "batch.completed" in refused.json()["problems"][0]["expected"]
    body = {"subscription": "x", "way": "email", "target": "anna@example.org", "events": ["batch.completed"]}
    refused = await server.operator.post("/v1/subscriptions", json=body)
    assert "ASSAY_SMTP_HOST" in refused.json()["problems"][0]["wrong"]
    await subscribe(server, "chat", chat.url, "batch.completed")
    taken = {"subscription": "chat", "way": "webhook", "target": chat.url, "events": ["batch.completed"]}
    assert (await server.operator.post("/v1/subscriptions", json=taken)).status_code == 409


async def test_a_test_notice_says_what_came_of_it(server: LabServer, chat: Hook) -> None:
    await subscribe(server, "chat", chat.url, "batch.completed")
    chat.statuses[:] = [200, 500]
    answers = [(await server.operator.post("/v1/subscriptions/chat/test")).json() for _ in range(2)]
    assert answers == [
        {"arrived": True, "said": "127.0.0.1 answered 200"},
        {"arrived": False, "said": "127.0.0.1 answered 500"},
    ]
    assert chat.got[0][1]["type"] == "test"
    assert (await listed(server))["chat"]["delivered"] == 0


async def test_without_leave_no_notice_goes_to_this_network(tmp_path: Path, chat: Hook) -> None:
    async with serving(tmp_path / "data") as server:
        await subscribe(server, "chat", chat.url.replace("http:", "https:"), "batch.completed")
        said = (await server.operator.post("/v1/subscriptions/chat/test")).json()
    assert "is not on the internet; ASSAY_WEBHOOK_NETWORKS" in said["said"]
    assert chat.got == []


class Mailbox:
    """What a mail server took."""

    def __init__(self) -> None:
        self.took: list[tuple[list[str], Message]] = []
        self.arrived = threading.Semaphore(0)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.took.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        self.arrived.release()
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_ports(1)[0])
    controller.start()
    yield box, controller.port
    controller.stop()


async def test_an_email_says_what_happened_and_where_to_look(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    mail = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": SmtpSecurity.NONE, "smtp_from": "lab@x.org"}
    async with serving(tmp_path / "data", public_url="https://lab.example", **mail) as server:
        await server.join()
        assert await subscribe(server, "anna", "anna@example.org", "submission.judged") == ""
        batch = await server.measured_batch()
        assert await asyncio.to_thread(box.arrived.acquire, True, 20)
        await until_listed(server, "anna", delivered=1)
    ((to, message),) = box.took
    submission = batch["entries"][0]["submission"]
    assert to == ["anna@example.org"]
    assert message["Subject"] == f"Assay: submission {submission} was judged: certified"
    assert message["Message-ID"].startswith("<anna-")
    assert f"https://lab.example/submissions/{submission}" in str(message.get_payload())


@pytest.mark.parametrize(
    "subject", ["evil\r\nBcc: eve@example.org", "=?utf-8?q?x=0d=0aBcc:_eve@example.org?=", "=?=?utf-8?q?=0d=0aBcc:_e?="]
)
def test_nothing_that_is_sent_becomes_a_header(mailbox: tuple[Mailbox, int], subject: str) -> None:
    box, port = mailbox
    settings = Settings(
        smtp_host="127.0.0.1", smtp_port=port, smtp_security=SmtpSecurity.NONE, smtp_from="lab@example.org"
    )
    said = Mail(settings, SystemClock()).send("anna@example.org", "x-1", subject, "text")
    assert said.arrived, said.words
    ((to, message),) = box.took
    assert to == ["anna@example.org"]
    assert "Bcc" not in message


@pytest.mark.parametrize(
    "text",
    ["", "anna", "anna@", "@x", "a@x\r\nBcc: b@x", "a b@x.org", "<a@x.org>", "a@x.org,b@x.org", "a" * 300 + "@x"],
)
def test_what_is_no_mailbox_is_said_so(text: str) -> None:
    assert why_no_address(text)
    assert why_no_address("anna+lab@mail.example.org") == ""


def test_a_mail_server_is_spoken_to_in_clear_on_this_machine_only_and_its_certificate_is_looked_at(
    tmp_path: Path,
) -> None:
    with pytest.raises(Exception, match="cannot be used"):
        read_settings(smtp_host="mail.example", smtp_security="none", smtp_from="a@x.org")
    context = certificate(tmp_path / "server.pem", name="localhost")
    (port,) = free_ports(1)
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port, tls_context=context)
    controller.start()
    try:
        settings = Settings(smtp_host="localhost", smtp_port=port, smtp_from="lab@example.org")
        refused = Mail(settings, SystemClock()).send("anna@example.org", "x", "x", "x")
        assert "TLS failed: self-signed" in refused.words
        trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
        said = Mail(settings, SystemClock(), trust=trust).send("anna@example.org", "x", "x", "x")
        assert said.arrived, said.words
    finally:
        controller.stop()
