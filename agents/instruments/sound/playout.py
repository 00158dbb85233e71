"""A sound card of its own for a phone program, so that what it plays behind its jitter buffer can be recorded.

A private PulseAudio (its own socket, no file outside its directory, no hardware) with two null sinks: what is played
into ``ear`` is recorded, what is played into ``mouth`` a phone program hears. A program that speaks ALSA finds both by
those names in the environment given here (package libasound2-plugins), and the other side of both, for
``assay-agent bench sound``, as ``heard`` and ``spoken``. Both run in real time, by this machine's clock.

The recording has no time of its own: it says what was played and how delay changed, and not how long the way took. It
starts processes and stops them, and touches no other sound server.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.instruments.sound.samples import Samples, from_pcm, to_pcm
from lab_inventory.errors import BadInput, Unavailable

PROGRAMS = ("pulseaudio", "parec", "pacat")
SINKS = ("ear", "mouth")
STOP_S = 5.0
LATENCY_MS = 200
"""Long enough that a loaded machine does not starve the card."""
SOCKET_PATH_BYTES_MAX = 99

_ALSA = """</usr/share/alsa/alsa.conf>
pcm.ear { type pulse device ear }
ctl.ear { type pulse }
pcm.mouth { type pulse device mouth.monitor }
ctl.mouth { type pulse }
pcm.heard { type pulse device ear.monitor }
pcm.spoken { type pulse device mouth }
"""


@dataclass(frozen=True, kw_only=True)
class SoundCard:
    """A running card: the directory of its socket, and its rate in Hz (mono, 16 bit)."""

    directory: Path
    rate_hz: int

    @property
    def environment(self) -> dict[str, str]:
        """What a phone program needs to find ``ear`` and ``mouth`` in ALSA, or to speak with PulseAudio itself."""
        return {
            "PULSE_SERVER": f"unix:{self.directory / 'socket'}",
            "PULSE_RUNTIME_PATH": str(self.directory),
            "PULSE_COOKIE": str(self.directory / "cookie"),
            "ALSA_CONFIG_PATH": str(self.directory / "alsa.conf"),
        }

    @contextmanager
    def recording(self, path: Path) -> Iterator[None]:
        """Record what is played into ``ear``, as raw 16 bit samples, from before the block begins until it ends."""
        command = ["parec", "--verbose", *self._format(), "--device=ear.monitor", "--raw", str(path)]
        with _running(command, os.environ | self.environment, "Stream successfully created", "recording"):
            yield

    def play(self, samples: Samples, sink: str) -> None:
        """Play into a sink in real time; returns when it was played."""
        command = ["pacat", "--playback", *self._format(), f"--device={sink}", "--raw"]
        done = subprocess.run(
            command,
            input=to_pcm(samples).astype("<i2").tobytes(),
            env=os.environ | self.environment,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"nothing could be played into {sink}: {done.stderr.decode(errors='replace').strip()}")

    def _format(self) -> list[str]:
        return [f"--rate={self.rate_hz}", "--channels=1", "--format=s16le", f"--latency-msec={LATENCY_MS}"]


@contextmanager
def sound_card(directory: Path, *, rate_hz: int) -> Iterator[SoundCard]:
    """A card that lives as long as the block; ``directory`` must exist and be short (a socket is made in it)."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        raise Unavailable(f"not installed: {', '.join(absent)} (packages pulseaudio and pulseaudio-utils)")
    if len(os.fsencode(directory / "socket")) > SOCKET_PATH_BYTES_MAX:  # PulseAudio would cut the name in silence
        raise BadInput(f"{directory} is too long for a socket: {SOCKET_PATH_BYTES_MAX} bytes with its name")
    card = SoundCard(directory=directory, rate_hz=rate_hz)
    (directory / "alsa.conf").write_text(_ALSA)
    modules = [f"module-native-protocol-unix socket={directory / 'socket'} auth-anonymous=1"]
    modules += [f"module-null-sink sink_name={sink} rate={rate_hz} channels=1 format=s16le" for sink in SINKS]
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    command += ["--realtime=no", "--high-priority=no", "--log-target=stderr", "--log-level=info"]
    command += [f"--load={module}" for module in modules]
    own = os.environ | card.environment | {"HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)}
    del own["PULSE_SERVER"]  # a server that finds one named takes itself for a second
    with _running(command, own, "Daemon startup complete", "PulseAudio"):
        yield card


def read_recording(path: Path) -> Samples:
    """What was recorded, as samples."""
    return from_pcm(np.frombuffer(path.read_bytes(), dtype="<i2"))


@contextmanager
def _running(command: list[str], environment: dict[str, str], ready: str, what: str) -> Iterator[None]:
    """A process from when it said ``ready`` until the block ends; raises Unavailable where it ends before."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None  # noqa: S101 - it was asked for
        said: list[str] = []
        try:
            for line in process.stderr:
                said.append(line.strip())
                if ready in line:
                    break
            else:
                raise Unavailable(f"{what} did not start: {' / '.join(said[-3:]) or 'it said nothing'}")
            yield
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
