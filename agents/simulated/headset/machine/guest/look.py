"""In the virtual machine: looks at the headset as Linux shows it, and proves the loop, a key and a lamp.

Prints one JSON object a line: ``{"saw": NAME, ...}`` for each thing it found, and ``{"ask": WHAT}`` where somebody has
to press a key. Status 0: everything was found.
"""

import json
import os
import select
import subprocess
import sys
import time  # noqa: TID251 - the guest waits for its own kernel
from array import array
from pathlib import Path

from agents.instruments.usb.audio import read_audio
from agents.instruments.usb.report_descriptor import read_report_descriptor
from agents.instruments.usb.reports import build_outputs, read_input
from agents.instruments.usb.standard import read_configuration, read_device
from agents.instruments.usb.usages import HOOK_SWITCH, LED_MUTE, LED_RING, usage_name

APPEAR_S = 20.0
RATE = 48_000
SOUND_S = 1.5
SILENCE_S = 0.3
"""Before and behind the sound: the last milliseconds before a drain are never sent."""


def main() -> None:
    """Everything in turn; a SystemExit names what was not found."""
    card = _appears("/sys/class/sound", "card*")
    raw = _appears("/sys/class/hidraw", "hidraw*")
    subprocess.run(["udevadm", "settle", "--timeout=10"], check=True)
    by_id = sorted(path.name for path in Path("/dev/snd/by-id").glob("*"))
    _say({"saw": "card", "id": (card / "id").read_text().strip(), "by_id": by_id, "hidraw": raw.name})
    _say_descriptors(card, raw)
    _say_loop(card.name.removeprefix("card"))
    _say_keys(raw)


def _appears(folder: str, pattern: str) -> Path:
    for _ in range(int(APPEAR_S / 0.05)):
        if found := sorted(Path(folder).glob(pattern)):
            return found[0]
        time.sleep(0.05)
    sys.exit(f"no {pattern} in {folder} within {APPEAR_S:g} s")


def _say_descriptors(card: Path, raw: Path) -> None:
    usb = (card / "device").resolve().parent
    whole = (usb / "descriptors").read_bytes()
    device, configuration = read_device(whole[:18]), read_configuration(whole[18:])
    audio = read_audio(configuration.found)
    report = read_report_descriptor((raw / "device" / "report_descriptor").read_bytes())
    problems = [*device.problems, *configuration.problems, *audio.problems, *report.problems]
    terminals = [f"0x{one.terminal_type:04x}" for one in audio.found.terminals]
    serial = (usb / "serial").read_text().strip()
    _say({"saw": "descriptors", "problems": list(map(str, problems)), "terminals": terminals, "serial": serial})


def _say_loop(card: str) -> None:
    controls = subprocess.run(["amixer", "-c", card, "scontrols"], check=True, capture_output=True, text=True).stdout
    for line in controls.splitlines():
        name = line.split("'")[1]
        for setting in ("0dB", "unmute", "cap"):
            subprocess.run(["amixer", "-q", "-c", card, "sset", name, setting], check=False, capture_output=True)
    state, left = 1, array("h")
    for _ in range(int(SOUND_S * RATE)):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        left.append((state >> 8) % 40_001 - 20_000)
    stereo = array("h", (sample for one in left for sample in (one, one)))
    pad = bytes(4 * int(SILENCE_S * RATE))
    played, recorded = Path("/tmp/played.raw"), Path("/tmp/recorded.raw")  # noqa: S108 - a machine of its own
    played.write_bytes(pad + stereo.tobytes() + pad)
    shape = ["-q", "-D", f"hw:{card},0", "-t", "raw", "-f", "S16_LE", "-r", str(RATE), "--buffer-time=200000"]
    length_s = str(int(SOUND_S + 2 * SILENCE_S + 2))
    with subprocess.Popen(["arecord", *shape, "-c", "1", "-d", length_s, str(recorded)]) as recording:
        subprocess.run(["aplay", *shape, "-c", "2", str(played)], check=True)
        recording.wait(30)
    heard, sound = recorded.read_bytes(), left.tobytes()
    at = heard.find(sound)
    begins = heard.find(sound[:256])
    _say({"saw": "loop", "exact": at >= 0, "samples": len(left), "at": at // 2, "begins": begins // 2})
    if at < 0:
        sys.exit("what was recorded is not what was played")


def _say_keys(raw: Path) -> None:
    report = read_report_descriptor((raw / "device" / "report_descriptor").read_bytes()).found
    handle = os.open(f"/dev/{raw.name}", os.O_RDWR | os.O_NONBLOCK)
    try:
        for output in build_outputs(report, {LED_MUTE: 1, LED_RING: 1}):
            os.write(handle, output)
        _say({"saw": "lamps-written"})
        _say({"ask": "hook"})
        ready, _, _ = select.select([handle], [], [], APPEAR_S)
        if not ready:
            sys.exit("no report of the hook key")
        values = read_input(report, os.read(handle, 64))
        hook = next(one for one in values if one.usage == HOOK_SWITCH)
        _say({"saw": "hook", "usage": usage_name(hook.usage), "value": hook.value, "relative": hook.relative})
    finally:
        os.close(handle)


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
