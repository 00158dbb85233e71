"""Real processes are killed in the middle of a real run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from stack import HOST, Phone, Stack, reports_digest, until

from agents.key import kept_key

PHONE = Phone()


def run_process(stack: Stack, run: str) -> psutil.Process:
    """The process of a run, by the command line that its agent gave it."""

    def found() -> psutil.Process | None:
        for process in stack.processes():
            if any(word.endswith(run) for word in process.cmdline()) and "agents.run" in process.cmdline():
                return process
        return None

    process: psutil.Process = until(f"{run} has a process", found)
    return process


def first_attempt(stack: Stack, batch: str) -> dict[str, Any]:
    """The first attempt; where the machine was too busy to measure something a second follows, no matter here."""
    return next(run for run in stack.runs(batch) if run["attempt"] == 1)


def test_a_run_outlives_its_agent_and_the_next_one_adopts_it(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE)
    batch = stack.submit(PHONE)
    run = stack.until_running(batch)
    process = run_process(stack, run["run"])
    stack.kill("agent")
    stack.start_agent()
    assert process.is_running()
    assert stack.judgements(batch)["A"]["earned"]
    assert first_attempt(stack, batch)["state"] == "completed"


def test_agent_and_run_killed_the_run_is_repeated_and_its_late_report_does_not_count(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE, lease_ttl_s=20.0)
    batch = stack.submit(PHONE)
    first = stack.until_running(batch)
    process = run_process(stack, first["run"])
    key = kept_key(stack.work / "agent", HOST)
    assert key is not None
    stack.kill("agent")
    process.kill()
    until(
        "the first attempt has ended",
        lambda: next(r for r in stack.runs(batch) if r["run"] == first["run"])["state"] in ("lapsed", "error"),
        60,
    )
    stack.start_agent()
    second = until(
        "it is tried again",
        lambda: next((r for r in stack.runs(batch) if r["attempt"] == 2 and r["state"] in ("taken", "running")), None),
    )
    before, after = (stack.call("GET", f"/v1/runs/{run['run']}") for run in (first, second))
    assert all(after["epochs"][resource] > epoch for resource, epoch in before["epochs"].items())

    late = {
        "seq": len(before["reports"]) + 1,
        "at": "2026-01-01T00:00:00Z",
        "body": {"kind": "ended", "outcome": "completed", "within_deadline": True},
    }
    asked = httpx.post(f"{stack.address}/v1/agents/challenge", json={"host": HOST}).json()["challenge"]
    proof = {"host": HOST, "challenge": asked, "signature": key.sign(asked)}
    token = httpx.post(f"{stack.address}/v1/agents/credential", json=proof).json()["credential"]
    reply = httpx.post(
        f"{stack.address}/v1/agents/reports",
        headers={"Authorization": f"Bearer {token}"},
        json={"run": first["run"], "epochs": before["epochs"], "reports": [late]},
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["received"][0]["reception"] == "quarantined"
    assert stack.judgements(batch)["A"]["earned"]
    assert reports_digest(stack.call("GET", f"/v1/runs/{first['run']}")) == reports_digest(before)


def test_a_run_does_not_notice_that_its_ray_worker_dies(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE)
    batch = stack.submit(PHONE)
    run = stack.until_running(batch)
    assert run["ray_node"]
    assert run["ray_actor"]
    workers = [p for p in psutil.process_iter(["cmdline"]) if "ray::LabHost" in " ".join(p.info["cmdline"] or ())]
    assert workers
    for worker in workers:
        worker.kill()
    assert stack.judgements(batch)["A"]["earned"]
    assert first_attempt(stack, batch)["state"] == "completed"


def test_a_server_that_restarts_in_the_middle_loses_nothing(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE)
    batch = stack.submit(PHONE)
    stack.until_running(batch)
    stack.kill("server")
    stack.start_server()
    assert stack.judgements(batch)["A"]["earned"]
    assert first_attempt(stack, batch)["state"] == "completed"


def test_a_phone_that_dies_in_the_middle_is_an_error_of_the_lab_and_never_a_fail(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE)
    batch = stack.submit(PHONE)
    stack.until_running(batch, cases=5)
    stack.kill("phones")
    judgement = stack.judgements(batch)["A"]
    assert judgement["earned"] is None
    verdicts = {r["verdict"] for level in judgement["levels"] for r in level["requirements"]}
    assert "fail" not in verdicts
    assert {"error", "not-run"} & verdicts


def test_a_cancelled_batch_stops_its_run_and_frees_the_phone(lab: Callable[..., Stack]) -> None:
    stack = lab(PHONE)
    batch = stack.submit(PHONE)
    run = stack.until_running(batch)
    process = run_process(stack, run["run"])
    stack.call("POST", f"/v1/batches/{batch}/cancel", {"reason": "wrong firmware"})
    until("the run is cancelled", lambda: stack.runs(batch)[0]["state"] == "cancelled", 60)
    until("its process is gone", lambda: not process.is_running(), 30)
    until("the phone is idle", lambda: stack.call("GET", "/v1/devices")[0]["state"] == "idle", 60)


def test_without_ray_nothing_runs_and_the_reason_shows(lab: Callable[..., Stack], tmp_path: Path) -> None:
    stack = lab(PHONE)
    driver = next(
        p for p in psutil.process_iter(["cmdline"]) if "orchestrator.dispatch.ray_driver" in (p.info["cmdline"] or ())
    )
    driver.suspend()
    try:
        for worker in psutil.process_iter(["cmdline"]):
            if "ray::LabHost" in " ".join(worker.info["cmdline"] or ()):
                worker.kill()
        batch = stack.submit(PHONE)
        until("it is placed", lambda: stack.runs(batch)[0]["state"] == "placed", 30)
        assert stack.runs(batch)[0]["ray_actor"] is None
    finally:
        driver.resume()
    assert stack.until_running(batch)["ray_actor"]
