"""The story of one product, on real runs of the phone program, as people type it: each with a token of its own.

A decider offers a programme that grants; a vendor submits; the phone fails one requirement and the review is returned;
the vendor mends it (here: the defect proxy is taken away) and submits again; it passes; a reviewer recommends, another
person decides; the certificate is verified, listed, revoked, and verification and listing say so.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from stack import ROOT, WIDEBAND, Phone, Stack, failed, until

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")} | {"COLUMNS": "200"}
PROGRAMME = "desk-phones"
LEVEL = "certified"
SHEET = {
    "customer": {"name": "Test vendor", "contact": "certification@vendor.example"},
    "item": {
        "received_on": "2026-11-02",
        "condition": "Undamaged, sealed, as sold.",
        "sampling": "Chosen and sent by the vendor; the laboratory took no sample.",
    },
    "environment": "On the bench's own network without impairment, at 20 to 24 degrees Celsius.",
    "deviations": "The methods were followed without deviation.",
    "authorised_by": {"name": "Anna Example", "function": "Head of the laboratory"},
}


class Person:
    """Somebody with one role, at a terminal."""

    def __init__(self, stack: Stack, name: str, token: str) -> None:
        self.stack = stack
        self.name = name
        self.environment = {"ASSAY_SERVER": stack.address, "ASSAY_TOKEN": token}

    def run(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """How a command ended, and all that it said."""
        ended = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", *words],
            cwd=ROOT,
            env=CLEAN | self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def types(self, *words: str) -> str:
        """What a command says that must go well."""
        status, said = self.run(*words)
        assert status == 0, f"{self.name}: assay {' '.join(words)}: {said}"
        return said


def let_in(operator: Person, work: Path, name: str, *roles: str) -> Person:
    """Somebody who was let in by an admin, and signed in with the code that was printed."""
    code = operator.types("people", "add", name, *roles).split()[-1]
    path = work / f"{name}.token"
    guest = Person(operator.stack, name, "")
    assert guest.run("sign-in", "--token-file", str(path), stdin=code + "\n")[0] == 0
    return Person(operator.stack, name, path.read_text().strip())


def programme(path: Path) -> Path:
    """The basic programme as a lab's own that grants."""
    text = (ROOT / "lab_inventory" / "programmes" / "ip-phone-basic.yaml").read_text(encoding="utf-8")
    changed = text.replace("id: ip-phone-basic", f"id: {PROGRAMME}", 1).replace(
        "demonstration: true", "demonstration: false"
    )
    assert changed.count(PROGRAMME) == 1
    assert "demonstration: false" in changed
    path.write_text(changed, encoding="utf-8")
    return path


def batch_file(path: Path) -> Path:
    submission = {
        "title": "the desk phone",
        "vendor": "Test vendor",
        "product": {"maker": "baresip", "model": "baresip", "firmware": "1.0.0"},
        "hardware_revision": "A",
        "mode": "wideband",
        "profile": "digital",
        "ics": WIDEBAND,
    }
    path.write_text(yaml.safe_dump({"title": "a product", "programme": PROGRAMME, "submissions": [submission]}))
    return path


def test_a_product_goes_from_a_fail_to_a_certificate_that_is_listed_and_revoked(
    lab: Callable[..., Stack], tmp_path: Path
) -> None:
    stack = lab(Phone(defects=("hold-as-sendrecv",)))
    laboratory = {"name": "A Lab Ltd", "address": "1 Bench Road, Anytown", "contact": "lab@example.org"}
    stack.call("PUT", "/v1/lab", {**stack.lab, "laboratory": laboratory})
    anna = Person(stack, "operator", stack.http.headers["Authorization"].removeprefix("Bearer "))
    acme = let_in(anna, tmp_path, "acme", "--role", "vendor", "--vendor", "Test vendor")
    rita = let_in(anna, tmp_path, "rita", "--role", "reviewer")
    dora = let_in(anna, tmp_path, "dora", "--role", "decider")

    dora.types("programme", "offer", str(programme(tmp_path / "own.yaml")))
    batch = acme.types("submit", str(batch_file(tmp_path / "batch.yaml"))).split()[-1]
    (judgement,) = stack.judgements(batch).values()
    assert failed(judgement) == {"BP-SIP-03": "fail"}
    first = str(judgement["submission"])
    status, said = dora.run("decide", first, "--grant", LEVEL, "--words", "It is nearly there.")
    assert (status, "level-not-earned" in said) == (2, True), said
    rita.types("reviews", "return", first, "--words", "BP-SIP-03 fails: a call on hold is answered with sendrecv.")
    assert "returned" in acme.types("reviews", "show", first)

    # The new firmware: the same phone without the defect before it.
    stack.take_defects_away()
    batch = acme.types("submit", str(tmp_path / "batch.yaml")).split()[-1]
    (judgement,) = stack.judgements(batch).values()
    assert failed(judgement) == {}
    second = str(judgement["submission"])
    status, said = dora.run("decide", second, "--grant", LEVEL, "--words", "As measured.")
    assert (status, "recommendation" in said) == (2, True), said
    rita.types("reviews", "recommend", second, "--grant", LEVEL, "--words", "Everything passes.")
    assert rita.run("decide", second, "--grant", LEVEL, "--words", "Everything passes.")[0] == 2
    certificate = dora.types("decide", second, "--grant", LEVEL, "--words", "As recommended.").split()[-1]
    (tmp_path / "sheet.json").write_text(json.dumps(SHEET))
    anna.types("reports", "issue", second, "--sheet", str(tmp_path / "sheet.json"))

    (listed,) = stack.http.get("/v1/listing", params={"words": "baresip"}).json()["certificates"]
    assert (listed["certificate"], listed["state"], listed["demonstration"]) == (certificate, "granted", False)
    assert listed["report"].startswith("rep-")
    (tmp_path / "certificate.json").write_bytes(stack.http.get(f"/v1/certificates/{certificate}").content)
    (tmp_path / "issuer.json").write_bytes(stack.http.get("/v1/issuer").content)
    verify = ("verify", str(tmp_path / "certificate.json"), "--issuer", str(tmp_path / "issuer.json"))
    status_list = ("--status-list", f"{stack.address}/v1/status-list")
    assert acme.run(*verify, *status_list)[0] == 0
    dora.types("certificates", "revoke", certificate, "--reason", "The phone that is sold is another.")
    status, said = acme.run(*verify, *status_list)
    assert (status, "revoked" in said) == (4, True), said
    (listed,) = stack.http.get("/v1/listing").json()["certificates"]
    assert listed["state"] == "revoked"
    until("the page says so", lambda: "revoked" in stack.http.get(f"/certificates/{certificate}").text)
    assert "the tables agree with it" in anna.types("audit", "verify", "--data", str(stack.work / "lab"))
