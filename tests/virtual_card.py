"""What the tests at a virtual sound card need of a machine."""

import shutil
from pathlib import Path

import pytest

from agents.instruments.sound.playout import PROGRAMS

PLUGIN = Path("/usr/lib/x86_64-linux-gnu/alsa-lib/libasound_module_pcm_pulse.so")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None] + ([] if PLUGIN.exists() else [PLUGIN.name])
needs_card = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {MISSING} (packages pulseaudio, pulseaudio-utils and libasound2-plugins)"
)
