"""What a run with a real phone keeps: no secret in any form, and a capture in which tshark finds the trace again."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from agent_nouns import INSTRUMENT

from agents.measure import Recorder, evidence_path
from agents.suites.ip_phone import PROCEDURES, REALM
from agents.suites.ip_phone.call import LEVEL_DBFS_MIN, TONE_LEVEL_DBFS
from agents.suites.ip_phone.suite import PhoneSuite
from lab_inventory.clock import SystemClock
from lab_inventory.evidence.lines import read_sip
from lab_inventory.evidence.sound_svg import level_dbfs
from lab_inventory.evidence.wav import read_wav
from lab_inventory.programme import TestCase
from tests.agents.suites.test_ip_phone import CASES, an_assignment, phone_on_bench

RESPONSE = re.compile(rb'\bresponse="([0-9a-f]{32})"')


async def kept(suite: PhoneSuite, case: TestCase, folder: Path) -> dict[str, bytes]:
    """The files of a case, by name."""
    folder.mkdir(exist_ok=True)
    recorder = Recorder(declared=PROCEDURES[case.procedure].measures, instrument=INSTRUMENT, folder=folder)
    await suite.carry_out(case, recorder)
    return {one.name: evidence_path(folder, one.digest).read_bytes() for one in recorder.evidence()}


def dissected(capture: bytes, folder: Path, sip_port: str) -> list[dict[str, Any]]:
    """Each packet as tshark sees it; audio is found by what the messages say of it."""
    path = folder / "case.pcapng"
    path.write_bytes(capture)
    fields = ("frame.time_epoch", "sip.Method", "sip.Status-Code", "sip.Call-ID", "rtp.seq", "rtcp.pt", "_ws.malformed")
    asked = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-r", str(path), "-d", f"udp.port=={sip_port},sip", "-T", "json", *asked]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (package tshark)")
async def test_evidence_of_a_run_holds_no_secret_and_tshark_finds_in_the_capture_what_the_trace_holds(
    tmp_path: Path,
) -> None:
    refresh = CASES["TC-REG-02"].model_copy(update={"parameters": {"cycles": 1, "expiry_s": 6}})
    assigned = an_assignment()
    async with phone_on_bench(tmp_path, assigned) as suite:
        call = await kept(suite, CASES["TC-SIP-01"], tmp_path / "evidence")
        whole = await kept(suite, refresh, tmp_path / "evidence")
        raw = b"".join(entry.raw for entry in suite._bench.endpoint.transport.trace.entries())

    responses = set(RESPONSE.findall(raw))
    assert responses
    user, password = assigned.slot.account.user, assigned.slot.account.password.get_secret_value()
    ha1 = hashlib.new("md5", f"{user}:{REALM}:{password}".encode()).hexdigest()  # noqa: S324 - as digests do
    secrets = [password.encode(), ha1.encode(), base64.b64encode(password.encode()), *responses]
    for name, data in (call | whole).items():
        assert not [secret for secret in secrets if secret in data], name
    told = [line for line in read_sip(whole["TC-REG-02 SIP messages"]).lines if line.masked]
    assert len(told) >= len(responses)
    assert {line.digest.partition(":")[0] for line in told} == {"correct"}

    sip_port = assigned.slot.registrar.rpartition(":")[2]
    lines = read_sip(call["TC-SIP-01 SIP messages"]).lines
    packets = dissected(call["TC-SIP-01 capture"], tmp_path, sip_port)
    signalling = [packet for packet in packets if "sip.Call-ID" in packet]
    assert all(packet["sip.Call-ID"][0].encode() in line.raw for packet, line in zip(signalling, lines, strict=True))
    assert [(packet.get("sip.Method") or packet["sip.Status-Code"])[0] for packet in signalling] == [
        (words := line.raw.split(b" ", 2))[words[0] == b"SIP/2.0"].decode() for line in lines
    ]
    seconds = [float(packet["frame.time_epoch"][0]) for packet in signalling]
    assert [at - seconds[0] for at in seconds] == pytest.approx(
        [(line.at_ns - lines[0].at_ns) / 1e9 for line in lines], abs=1e-6
    )
    assert abs(seconds[0] - SystemClock().now().timestamp()) < 120  # the wall clock
    heard = [
        json.loads(line)["sequence"] for line in call["TC-SIP-01 RTP packets"].splitlines() if b'"sent"' not in line
    ]
    assert [int(packet["rtp.seq"][0]) for packet in packets if "rtp.seq" in packet] == heard
    assert heard
    assert len(packets) == len(lines) + len(heard) + sum("rtcp.pt" in packet for packet in packets)
    assert not [packet for packet in packets if "_ws.malformed" in packet]

    sent, received = (read_wav(call[f"TC-SIP-01 audio {way} call 1 PCMU"]) for way in ("sent", "received"))
    assert level_dbfs(sent) == pytest.approx(TONE_LEVEL_DBFS, abs=0.5)
    assert level_dbfs(received) > LEVEL_DBFS_MIN
