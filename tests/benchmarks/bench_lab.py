"""A whole lab on this machine: from decision to run process, and what server, Ray and agent weigh.

Dispatch latency is the histogram the server itself exposes, over runs that are dispatched one after the other and
cancelled; the baseline is a bare process start (``python -c pass``) in the same minute. Memory is the proportional
set size, so that pages shared between Ray's processes count once; the baseline is one bare Python.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from lab_inventory.clock import SystemClock
from tests.e2e.stack import Phone, Stack, until

DISPATCHES = 20
LATENCY_P99_S_MAX = 2.0
MEMORY_MIB_MAX = 1200.0
_BUCKET = re.compile(r'assay_dispatch_latency_seconds_bucket\{lab="[^"]*",le="([^"]+)"\} ([0-9.]+)')


def figures() -> Iterator[dict[str, Any]]:
    """The figures, measured now."""
    phone = Phone()
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        stack = Stack(Path(folder), [phone])
        try:
            stack.start()
            for _ in range(DISPATCHES):
                _dispatch_once(stack, phone)
            latency_s = _p99_s(stack.http.get("/metrics").text)
            start_s = _bare_start_s()
            yield {
                "name": "dispatch latency p99 (bucket's upper end)",
                "value": latency_s,
                "unit": "s",
                "target": LATENCY_P99_S_MAX,
                "baseline": {"name": "a bare process start", "value": start_s, "ratio": round(latency_s / start_s, 1)},
                "ok": latency_s <= LATENCY_P99_S_MAX,
            }
            yield _memory(stack)
        finally:
            stack.stop()


def _dispatch_once(stack: Stack, phone: Phone) -> None:
    """One run from the queue to its process, then cancelled."""
    batch = stack.submit(phone)
    until("the run is taken", lambda: stack.runs(batch)[0]["state"] in ("taken", "running"))
    stack.call("POST", f"/v1/batches/{batch}/cancel", {"reason": "a benchmark"})
    until("the run is cancelled", lambda: stack.runs(batch)[0]["state"] == "cancelled")
    stack.until_ready(1)


def _p99_s(metrics: str) -> float:
    """The upper end of the bucket in which the 99th percentile lies."""
    buckets = [(float(end), float(count)) for end, count in _BUCKET.findall(metrics)]
    total = buckets[-1][1]
    return next(end for end, count in buckets if count >= 0.99 * total)


def _bare_start_s() -> float:
    """The median of five bare starts of the interpreter."""
    clock = SystemClock()
    took = []
    for _ in range(5):
        began_s = clock.boottime_s()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        took.append(clock.boottime_s() - began_s)
    return round(sorted(took)[2], 4)


def _memory(stack: Stack) -> dict[str, Any]:
    """Server, agent and Ray together, idle; phones are devices and do not count."""
    roots = [psutil.Process(process.pid) for name, process in stack.running().items() if name != "phones"]
    everything = {process.pid: process for root in roots for process in (root, *root.children(recursive=True))}
    used = sum(process.memory_full_info().pss for process in everything.values()) / 2**20
    idle = [sys.executable, "-c", "print(1, flush=True); input()"]
    with subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        own = psutil.Process(bare.pid).memory_full_info().pss / 2**20
        bare.communicate(b"1\n")
    return {
        "name": "resident memory of server, agent and Ray, idle",
        "value": round(used, 1),
        "unit": "MiB",
        "target": MEMORY_MIB_MAX,
        "baseline": {"name": "one bare Python", "value": round(own, 1), "ratio": round(used / own, 1)},
        "ok": used <= MEMORY_MIB_MAX,
    }
