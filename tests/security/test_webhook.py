"""Webhooks: what is sent and how it is signed, and every address that nothing is sent to, with real sockets."""

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab_inventory.clock import SystemClock
from orchestrator import webhook
from orchestrator.webhook import Webhooks, new_secret, resolve, target_of, why_not_to

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
BODY = json.dumps({"type": "test"}).encode()


class Receiver:
    """A web server on loopback that keeps what it got and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.reply = b"thanks"
        self.location = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", str(len(receiver.reply)))
                self.end_headers()
                self.wfile.write(receiver.reply)

            def log_message(self, format: str, *arguments: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def sending(allowed: Sequence[webhook.Network] = LOOPBACK, **options: Any) -> Webhooks:
    return Webhooks(SystemClock(), allowed, **options)


def test_a_notice_arrives_with_a_signature_that_its_receiver_can_check(receiver: Receiver) -> None:
    secret = new_secret(SystemClock())
    said = sending().send(f"http://127.0.0.1:{receiver.port}/hook?x=1", secret, "chat-7", BODY)
    assert said.arrived, said.words
    ((path, headers, body),) = receiver.got
    assert (path, body) == ("/hook?x=1", BODY)
    # As https://www.standardwebhooks.com describes it, written here without our code.
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-id"] == "chat-7"
    assert abs(int(headers["webhook-timestamp"]) - SystemClock().now().timestamp()) < 60


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "//example.org/",
        "https://",
        "https://user:word@example.org/",
        "https://user@example.org/",
        "https://example.org/#x",
        "https://example.org:99999/",
        "https://exa mple.org/",
        "https://example.org/\r\nX-Injected: yes",
        "https://example.org/\x00",
        "https://[::1/",
        "https://ex\N{LATIN SMALL LETTER A WITH DIAERESIS}mple.org/",
        "https://example.org/" + "a" * 500,
        "javascript:alert(1)",
        "",
    ],
)
def test_what_is_no_address_for_a_notice_is_said_so(url: str) -> None:
    assert isinstance(target_of(url), str)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001:0:0:0:0:0:80ff:fffe",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "none",
    ],
)
def test_nothing_is_sent_to_an_address_off_the_internet(address: str) -> None:
    assert why_not_to(address, (), https=True)


def test_the_internet_is_reached_with_tls_and_what_is_allowed_without() -> None:
    assert why_not_to("93.184.215.14", (), https=True) == ""
    assert why_not_to("2606:2800:21f:cb07:6820:80da:af6b:8b2c", (), https=True) == ""
    assert "without TLS" in why_not_to("93.184.215.14", (), https=False)
    assert why_not_to("127.0.0.1", LOOPBACK, https=False) == ""
    assert why_not_to("::ffff:127.0.0.1", LOOPBACK, https=True)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "localhost", "[::ffff:7f00:1]"])
def test_other_ways_to_write_this_machine_reach_nothing(receiver: Receiver, host: str) -> None:
    said = sending(()).send(f"https://{host}:{receiver.port}/", "whsec_AAAA", "x", BODY)
    assert not said.arrived
    assert receiver.got == []


def test_a_name_whose_addresses_are_not_all_fit_is_refused(receiver: Receiver) -> None:
    both = sending((), resolve=lambda host, port: ["93.184.215.14", "10.0.0.1"])
    said = both.send("https://example.org/", "whsec_AAAA", "x", BODY)
    assert "is 10.0.0.1, which is not on the internet" in said.words


def test_the_connection_goes_to_the_address_that_was_checked_whatever_dns_says_next(receiver: Receiver) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked: list[str] = []

    def changing(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers.pop(0)

    said = sending(resolve=changing).send(f"http://rebound.example:{receiver.port}/", "whsec_AAAA", "x", BODY)
    assert said.arrived, said.words
    assert asked == ["rebound.example"]
    assert receiver.got[0][1]["host"] == f"rebound.example:{receiver.port}"


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.location = 302, f"http://127.0.0.1:{receiver.port}/elsewhere"
    said = sending().send(f"http://127.0.0.1:{receiver.port}/", "whsec_AAAA", "x", BODY)
    assert not said.arrived
    assert "not followed" in said.words
    assert [path for path, _, _ in receiver.got] == ["/"]


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert sending().send(f"http://127.0.0.1:{receiver.port}/", "whsec_AAAA", "x", BODY).arrived


def test_a_great_reply_is_read_to_a_bound_and_nothing_of_it_is_told(receiver: Receiver) -> None:
    receiver.reply = b"secret" * 200_000
    receiver.status = 500
    said = sending().send(f"http://127.0.0.1:{receiver.port}/", "whsec_AAAA", "x", BODY)
    assert said.words == "127.0.0.1 answered 500"


def test_who_answers_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "WHOLE_S", 0.5)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            wire, _ = listening.accept()
            with wire:
                wire.settimeout(0.05)
                while not ended.is_set():
                    try:
                        wire.sendall(b"H")
                        if not wire.recv(65536):
                            return
                    except TimeoutError:
                        continue
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        began_s = SystemClock().boottime_s()
        said = sending().send(f"http://127.0.0.1:{listening.getsockname()[1]}/", "whsec_AAAA", "x", BODY)
        took_s = SystemClock().boottime_s() - began_s
        ended.set()
        dripping.join()
    assert not said.arrived
    assert took_s < webhook.STEP_S


def certificate(path: Path, *, name: str, expired: bool = False) -> ssl.SSLContext:
    """A server's TLS with a certificate of its own, written to ``path``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=20))
        .not_valid_after(now - timedelta(days=10) if expired else now + timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize(
    ("name", "expired", "trusted", "words"),
    [
        ("hook.example", False, True, "answered 200"),
        ("other.example", False, True, "Hostname mismatch"),
        ("hook.example", True, True, "expired"),
        ("hook.example", False, False, "self-signed"),
    ],
)
def test_tls_is_verified_by_the_name_although_the_connection_goes_to_an_address(
    receiver: Receiver, tmp_path: Path, name: str, expired: bool, trusted: bool, words: str
) -> None:
    server = certificate(tmp_path / "server.pem", name=name, expired=expired)
    receiver.server.socket = server.wrap_socket(receiver.server.socket, server_side=True)
    trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem") if trusted else None)
    sender = sending(resolve=lambda host, port: ["127.0.0.1"], trust=trust)
    said = sender.send(f"https://hook.example:{receiver.port}/", "whsec_AAAA", "x", BODY)
    assert words.lower() in said.words.lower()
    assert said.arrived is (words == "answered 200")


def test_a_name_that_does_not_resolve_and_a_port_where_nobody_is_are_said_so() -> None:
    def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    said = sending(resolve=nowhere).send("https://no.example/", "whsec_AAAA", "x", BODY)
    assert said.words == "no.example cannot be resolved: Name or service not known"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    said = sending().send(f"http://127.0.0.1:{port}/", "whsec_AAAA", "x", BODY)
    assert said.words == "127.0.0.1: Connection refused"
    assert resolve("127.0.0.1", 80) == ("127.0.0.1",)
