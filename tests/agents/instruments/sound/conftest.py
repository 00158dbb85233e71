"""Speech to measure with, made once for all tests of sound."""

import shutil
from pathlib import Path

import pytest

from agents.instruments.sound.speech import make_material


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed: apt-get install espeak-ng")
    directory = tmp_path_factory.mktemp("speech")
    make_material(directory)
    return directory
