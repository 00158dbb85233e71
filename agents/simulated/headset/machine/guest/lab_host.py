"""In the virtual machine: a lab host. Its agent serves, and its USB ports take whatever headset is offered to them.

``python -m agents.simulated.headset.machine.guest.lab_host ORDER``, where ORDER is JSON: ``environment`` of the agent,
``files`` to be written for it (path to text, for this user alone), ``ports``: for each port of the virtual hub, in
their order, the host's USB/IP port where the headset that is to be plugged in there is offered.

Whether a headset is plugged in is the headset's affair: as long as it is not, its port is tried again.
"""

import json
import os
import subprocess
import sys
import time  # noqa: TID251 - the guest waits for its own kernel
from contextlib import suppress
from pathlib import Path
from threading import Thread

from agents.simulated.headset.machine.guest.attach import NotAttached, attach, is_free

HOST, BUSID = "10.0.2.2", "1-1"
LOOK_S = 0.1


def main(order_json: str) -> int:
    """Serve until the agent ends; its status."""
    order = json.loads(order_json)
    for name, text in order["files"].items():
        path = Path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
    for at, usbip_port in enumerate(order["ports"]):
        Thread(target=take_what_is_offered, args=(usbip_port, at), daemon=True).start()
    command = [sys.executable, "-u", "-m", "agents.cli", "serve"]
    return subprocess.run(command, env={**os.environ, **order["environment"]}, check=False).returncode


def take_what_is_offered(usbip_port: int, at: int) -> None:
    """Attach the headset whenever it is offered and port ``at`` is free, without end."""
    while True:
        if is_free(at):
            with suppress(NotAttached, OSError):
                attach(HOST, usbip_port, BUSID, at=at)
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
