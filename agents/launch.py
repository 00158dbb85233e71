"""Starts the process of a run so that it outlives the agent: a session of its own, a log file and no pipes, and a
clean environment, in which neither credentials nor anything of Ray is left.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from agents.bench_ca import FOLDER_VARIABLE, WORK_VARIABLE
from agents.light import LIGHT_VARIABLE
from agents.power import POWER_VARIABLE
from agents.processes import mark_of
from agents.run_directory import RunDirectory
from agents.sound_scores.mode import ASKED, VARIABLE

KEPT_VARIABLES = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR",
    POWER_VARIABLE, LIGHT_VARIABLE, FOLDER_VARIABLE, WORK_VARIABLE,
)  # fmt: skip
RUN_COMMAND = (sys.executable, "-P", "-m", "agents.run")


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a run's process may see of its surroundings."""
    return {name: environment[name] for name in KEPT_VARIABLES if name in environment}


def launch(
    directory: RunDirectory, command: Sequence[str] = RUN_COMMAND, *, carries_scores: bool = False
) -> subprocess.Popen[bytes]:
    """Start the run's process and put down which one it is. Raises OSError where it cannot be started.

    ``carries_scores``: whoever starts it looks for its recordings and has them scored (``agents.sound_scores``).

    The process puts the same down as its first act: so it is known even where the agent dies in between.
    """
    with directory.log_path.open("ab") as log:
        process = subprocess.Popen(
            [*command, str(directory.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(os.environ) | ({VARIABLE: ASKED} if carries_scores else {}),
            cwd=directory.path,
            start_new_session=True,
        )
    mark = mark_of(process.pid)
    if mark is not None:
        directory.write_process(mark)
    return process
