"""In the virtual machine: asks the host for programs, runs one after the other, sends their output line by line.

One JSON object a line over TCP. From the host ``{"run": [PROGRAM, ARGUMENT, ...]}`` or ``{"end": true}``; to the host
``{"ready": UPTIME_S}`` once, then ``{"out": LINE}`` for each line of output and ``{"exit": STATUS}``.
"""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TextIO

HOST = "10.0.2.2"
"""What QEMU's user network calls the machine it runs on."""

OUTPUT_BYTES_MAX = 16_000


def main() -> None:
    """Serve the host that the kernel's command line names by ``lab_port=``."""
    found = re.search(r"\blab_port=(\d+)", Path("/proc/cmdline").read_text())
    if found is None:
        sys.exit("the kernel's command line has no lab_port=")
    serve(HOST, int(found[1]))


def serve(name: str, port: int) -> None:
    """Serve until the host says end or goes away; raises OSError where it cannot be reached."""
    with socket.create_connection((name, port), timeout=30) as line:
        line.settimeout(None)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with line.makefile("rw", encoding="utf-8", newline="\n") as host:
            _say(host, {"ready": float(Path("/proc/uptime").read_text().split()[0])})
            for said in host:
                order = json.loads(said)
                if "run" not in order:
                    return
                _run(host, order["run"])


def _run(host: TextIO, program: list[str]) -> None:
    try:
        with subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as running:
            for line in running.stdout or ():
                _say(host, {"out": line.rstrip("\n")[:OUTPUT_BYTES_MAX]})
        _say(host, {"exit": running.returncode})
    except OSError as error:
        _say(host, {"out": str(error)})
        _say(host, {"exit": 127})


def _say(host: TextIO, what: dict[str, object]) -> None:
    host.write(json.dumps(what) + "\n")
    host.flush()


if __name__ == "__main__":
    main()
