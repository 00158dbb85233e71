"""What keeps the agent running on a host: a port with two ways, each told as shell text for the host. Pure.

Every script is repeatable: starting what runs and stopping what does not changes nothing. None touches runs, which are
processes of their own and outlive the agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

from deploy.rollout_file import Agent, SupervisorName

UNIT = "assay-agent.service"
RULES = "70-assay.rules"
_DATA = Path(__file__).parent


class Supervisor(Protocol):
    """Scripts end with a status other than 0 where they could not do what they say."""

    @property
    def name(self) -> SupervisorName:
        """As the rollout file names it."""
        ...

    @property
    def promise(self) -> str:
        """What it does for the agent and what not, for people."""
        ...

    def files(self) -> Mapping[str, str]:
        """What a release carries for it: file names and texts."""
        ...

    def install(self) -> str:
        """Make the files of the current release known to the machine; called while the agent is stopped."""
        ...

    def start(self) -> str:
        """Start the agent of the current release where none runs."""
        ...

    def stop(self) -> str:
        """Stop the agent and wait until it is gone; runs live on."""
        ...

    def pid(self) -> str:
        """Print the process id of the agent that it keeps, or nothing."""
        ...


@dataclass(frozen=True)
class Systemd:
    """A unit. Stopping it stops the agent alone (KillMode=process)."""

    agent: Agent
    name: SupervisorName = SupervisorName.SYSTEMD
    promise: str = "systemd starts the agent at boot and again whenever it ends"

    def files(self) -> Mapping[str, str]:
        """The unit."""
        text = (_DATA / "systemd" / UNIT).read_text(encoding="utf-8")
        given = {"@INSTALL_DIR@": self.agent.install_dir, "@WORK_DIR@": self.agent.work_dir, "@USER@": self.agent.user}
        for name, value in given.items():
            text = text.replace(name, value)
        return {UNIT: text}

    def install(self) -> str:
        """Put the unit in place whole or not at all."""
        unit, current = f"/etc/systemd/system/{UNIT}", quote(f"{self.agent.install_dir}/current/{UNIT}")
        return (
            f"install -m 0644 {current} {unit}.new && mv -f {unit}.new {unit} && "
            f"systemctl daemon-reload && systemctl --quiet enable {UNIT}"
        )

    def start(self) -> str:
        """Start the unit."""
        return f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl start {UNIT}"

    def stop(self) -> str:
        """Stop the unit, where there is one."""
        return f"if systemctl cat {UNIT} >/dev/null 2>&1; then systemctl stop {UNIT}; fi"

    def pid(self) -> str:
        """The unit's main process."""
        return f"systemctl show --property MainPID --value {UNIT} 2>/dev/null | grep -vx 0 || true"


@dataclass(frozen=True)
class PlainProcess:
    """A process with a pid file. It is known by its environment, so that a process id used again is not mistaken."""

    agent: Agent
    name: SupervisorName = SupervisorName.PROCESS
    promise: str = (
        "no supervisor: the agent is started once as a process; NOTHING RESTARTS IT after a reboot or a crash, "
        "until 'assay-deploy apply' is run again"
    )

    def files(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def install(self) -> str:
        """Nothing is to be made known."""
        return "true"

    def start(self) -> str:
        """Start it in a session of its own; it writes its process id down before it becomes the agent."""
        install = self.agent.install_dir
        pid_file = quote(f"{install}/agent.pid")
        inner = f"echo $$ > {pid_file}.new && mv -f {pid_file}.new {pid_file}"
        inner += f" && exec {as_agent(self.agent, f'{install}/current', 'serve')}"
        log = quote(f"{install}/agent.log")
        return (
            f'if [ -z "$({self.pid()})" ]; then '
            f"[ ! -e {log} ] || mv -f {log} {log}.1; "
            f"setsid sh -c {quote(inner)} </dev/null >{log} 2>&1 & "
            f'n=0; until [ -n "$({self.pid()})" ] || [ "$n" -ge 100 ]; do n=$((n+1)); sleep 0.1; done; '
            f'[ -n "$({self.pid()})" ] || {{ tail -c 600 {log} >&2; exit 1; }}; fi'
        )

    def stop(self) -> str:
        """SIGTERM, 30 s to end, then SIGKILL."""
        return (
            f'p="$({self.pid()})"; if [ -n "$p" ]; then kill -TERM "$p"; n=0; '
            f'while [ -n "$({self.pid()})" ] && [ "$n" -lt 300 ]; do n=$((n+1)); sleep 0.1; done; '
            f'[ -z "$({self.pid()})" ] || kill -KILL "$p"; fi'
        )

    def pid(self) -> str:
        """The process id in the pid file, where that process was started from here."""
        pid_file = quote(f"{self.agent.install_dir}/agent.pid")
        mark = quote(f"ASSAY_DEPLOY_DIR={self.agent.install_dir}")
        return (
            f"q=$(cat {pid_file} 2>/dev/null || true); "
            f'if [ -n "$q" ] && tr "\\0" "\\n" 2>/dev/null <"/proc/$q/environ" | grep -qxF {mark}; then echo "$q"; fi'
        )


def supervisor_of(agent: Agent) -> Supervisor:
    """The supervisor that the rollout file names."""
    return Systemd(agent) if agent.supervisor is SupervisorName.SYSTEMD else PlainProcess(agent)


def as_agent(agent: Agent, release: str, *arguments: str) -> str:
    """A command line that becomes ``assay-agent ARGUMENTS`` of a release, as the agent's user, in a clean environment.

    The environment comes from the release's ``agent.env``; nothing of the SSH connection is left in it.
    """
    user = quote(agent.user)
    inner = f'set -a; . {quote(release)}/agent.env; set +a; exec {quote(release)}/build/bin/assay-agent "$@"'
    return (
        f'setpriv --reuid={user} --regid="$(id -g {user})" --init-groups --no-new-privs '
        f"env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME={quote(agent.work_dir)} "
        f"sh -c {quote(inner)} assay-agent {' '.join(quote(word) for word in arguments)}"
    )


def udev_rules(agent: Agent) -> str:
    """The rules for the agent's group, which has the name of its user."""
    return (_DATA / "udev" / RULES).read_text(encoding="utf-8").replace("@GROUP@", agent.user)


UDEV_INSTALL = (
    "if [ -d /etc/udev/rules.d ] && ! cmp -s {rules} /etc/udev/rules.d/70-assay.rules; then "
    "install -m 0644 {rules} /etc/udev/rules.d/.70-assay.new && "
    "mv -f /etc/udev/rules.d/.70-assay.new /etc/udev/rules.d/70-assay.rules && "
    "if [ -S /run/udev/control ]; then udevadm control --reload && udevadm trigger "
    "--subsystem-match=sound --subsystem-match=hidraw --subsystem-match=usb --subsystem-match=tty; fi; fi"
)
"""Puts the rules in place where the machine has udev; where no udev runs, they wait for the next boot."""
