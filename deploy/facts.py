"""What is true on a host now: one script that looks and changes nothing, and what it said as plain data.

Everything is read off the host each time; nothing is remembered between two commands. So an apply that was cut goes on
from wherever it was cut.
"""

import re
from dataclasses import dataclass
from shlex import quote

from deploy.rollout_file import Agent
from deploy.supervisors import supervisor_of

TOOLS = ("awk", "cmp", "df", "env", "flock", "grep", "id", "install", "setpriv", "setsid", "sha256sum", "tr", "useradd")
_VALUE_MAX = 400
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was put down before a release was begun: the agent's boot, None where there was no agent, and its units."""

    release: str
    boot: str | None
    units: frozenset[str]

    def line(self) -> str:
        """As it stands in the file."""
        return " ".join([self.release, self.boot or "-", *sorted(self.units)])

    @classmethod
    def of(cls, line: str) -> "Before | None":
        """From the file; None where that is not whole."""
        words = line.split()
        if len(words) < 2:
            return None
        boot = None if words[1] == "-" else words[1]
        return cls(release=words[0], boot=boot, units=frozenset(words[2:]))


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """One host. ``python``: its version, or the error in its own words. ``clock_s``: seconds since the epoch, in whole.

    ``running``: the release that the agent's process was started from; None where none runs. ``before``: the boot and
    the units that were put down when it was taken out of service; None where it is not.
    """

    uid: str
    machine: str
    python: str
    clock_s: int
    free_bytes: int
    missing: tuple[str, ...]
    systemd: bool
    user: bool
    directories: bool
    builds: frozenset[str]
    releases: frozenset[str]
    current: str | None
    proven: str | None
    credential: bool
    running: str | None
    before: Before | None


def look(agent: Agent) -> str:
    """The script. It prints lines of a name, a tab and a value."""
    install, work, python = quote(agent.install_dir), quote(agent.work_dir), quote(agent.python)
    version = 'import sys, ensurepip, venv; print("%d.%d.%d" % sys.version_info[:3])'
    return f"""
say() {{ printf '%s\\t%s\\n' "$1" "$2"; }}
say uid "$(id -u)"
say machine "$(uname -m)"
say clock "$(date +%s)"
place={install}; while [ ! -e "$place" ]; do place=$(dirname "$place"); done
say free "$(df -Pk "$place" | awk 'NR==2 {{print $4}}')"
say python "$({python} -c {quote(version)} 2>&1 | tail -n 1)"
for tool in {" ".join(TOOLS)}; do command -v "$tool" >/dev/null 2>&1 || say missing "$tool"; done
[ ! -d /run/systemd/system ] || say systemd yes
! id -u {quote(agent.user)} >/dev/null 2>&1 || say user yes
there() {{ for one; do [ -d "$one" ] || return 1; done; }}
if there {install}/builds {install}/releases {install}/incoming {work}; then say directories yes; fi
for kind in build release; do for whole in {install}/${{kind}}s/*/.complete; do
    [ ! -e "$whole" ] || say $kind "$(basename "$(dirname "$whole")")"
done; done
for link in current proven; do [ ! -L {install}/$link ] || say $link "$(basename "$(readlink {install}/$link)")"; done
[ ! -s {work}/agent-key.json ] && [ ! -s {work}/credential.json ] || say credential yes
[ ! -e {install}/before ] || say before "$(cat {install}/before)"
pid="$({supervisor_of(agent).pid()})"
environ() {{ tr '\\0' '\\n' 2>/dev/null <"/proc/$pid/environ"; }}
[ -z "$pid" ] || say running "$(environ | sed -n 's/^ASSAY_DEPLOY_RELEASE=//p')"
say end yes
"""


def facts_of(said: str) -> HostFacts | None:
    """What the script said; None where it did not come to its end. What a host says of itself is cut and cleaned."""
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        name, _, value = line.partition("\t")
        found.setdefault(name, []).append(_UNPRINTABLE.sub("?", value)[: _VALUE_MAX if name != "before" else 20_000])
    if "end" not in found:
        return None

    def one(name: str) -> str | None:
        return found[name][-1] if name in found else None

    def number(name: str) -> int:
        text = one(name) or ""
        return int(text) if text.isascii() and text.isdigit() else 0

    before = one("before")
    return HostFacts(
        uid=one("uid") or "",
        machine=one("machine") or "",
        python=one("python") or "",
        clock_s=number("clock"),
        free_bytes=number("free") * 1024,
        missing=tuple(found.get("missing", ())),
        systemd="systemd" in found,
        user="user" in found,
        directories="directories" in found,
        builds=frozenset(found.get("build", ())),
        releases=frozenset(found.get("release", ())),
        current=one("current"),
        proven=one("proven"),
        credential="credential" in found,
        # A process of an older kind, or one that just becomes the agent, runs but is of no release that we know.
        running=(one("running") or "unknown") if "running" in found else None,
        before=Before.of(before) if before is not None else None,
    )
