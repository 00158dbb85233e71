"""In the virtual machine: waits until udev has the headset whole, or until nothing of it is left.

``python -m agents.simulated.headset.machine.guest.presence there|gone``. Status 1 with a sentence: not within 20 s.
"""

import sys
import time  # noqa: TID251 - the guest waits for its own kernel
from pathlib import Path

WAIT_S = 20.0
_PIECES = ("/dev/snd/pcmC*D0p", "/dev/snd/pcmC*D0c", "/dev/snd/by-id/usb-*", "/dev/hidraw*")
"""Playback, capture, udev's link that names the device by its serial number, and HID."""


def pieces() -> list[bool]:
    """Which of playback, capture, udev's link and hidraw are there."""
    return [any(Path("/").glob(one.removeprefix("/"))) for one in _PIECES]


def main(wanted: str) -> None:
    """Wait; raises SystemExit where it was in vain."""
    for _ in range(int(WAIT_S / 0.01)):
        if (all(pieces()) and wanted == "there") or (not any(pieces()) and wanted == "gone"):
            return
        time.sleep(0.01)
    sys.exit(f"not {wanted} within {WAIT_S:g} s: {dict(zip(_PIECES, pieces(), strict=True))}")


if __name__ == "__main__":
    main(sys.argv[1])
