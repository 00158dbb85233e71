"""A real phone that hangs: taken out by itself, its power cut and given back, measured in a probation, put back."""

from collections.abc import Callable
from pathlib import Path

import psutil
from stack import Phone, Stack, until

PHONE = Phone()


def test_a_phone_that_hangs_is_taken_out_and_comes_back_when_its_power_was_cut(
    lab: Callable[..., Stack], tmp_path: Path
) -> None:
    switch = tmp_path / "switch"
    stack = lab(PHONE, power_program=switch)
    (phone,) = [process for process in stack.processes() if process.name() == "baresip"]
    # What cutting the power does to a phone that hangs: it goes on.
    switch.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/switched\ntest "$1" = off || kill -CONT {phone.pid}\n')
    switch.chmod(0o755)

    phone.suspend()
    batch = stack.submit(PHONE)
    (out,) = until("it is on probation", lambda: on_probation(stack), 180)
    judgement = stack.judgements(batch)["A"]
    verdicts = {r["verdict"] for level in judgement["levels"] for r in level["requirements"]}
    assert "fail" not in verdicts, "the lab could not measure it, which is not the phone's fault"
    assert "could not be measured on 3 runs in a row" in out["reason"]

    until("it is in service again", lambda: stack.call("GET", "/v1/quarantine") == [], 180)
    assert (tmp_path / "switched").read_text().splitlines() == ["off port-1", "on port-1"]
    probation = stack.call("GET", f"/v1/batches/{out['batch']}")
    (run,) = probation["entries"][0]["runs"]
    reports = stack.call("GET", f"/v1/runs/{run['run']}")["reports"]
    (recovered,) = [report["body"] for report in reports if report["body"]["kind"] == "device-recovered"]
    assert recovered["steps"][0].startswith("the power of port port-1 was cut")
    assert phone.status() != psutil.STATUS_STOPPED
    until("the phone is idle", lambda: stack.call("GET", "/v1/devices")[0]["state"] == "idle", 60)


def on_probation(stack: Stack) -> list[dict[str, str]]:
    found: list[dict[str, str]] = stack.call("GET", "/v1/quarantine")
    return [entry for entry in found if entry["state"] == "probation"]
