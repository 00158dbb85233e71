"""The rollout file: how the hosts of a lab file are reached over SSH, and what is to be on them. Strict; no defaults
that would trust a host. Paths in it are relative to it.

It stands beside the lab file as ``rollout.yaml``: the lab file is what the orchestrator knows of a lab, this is what
only whoever brings agents to it needs.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lab_inventory.errors import BadInput, Problem
from lab_inventory.lab import Lab
from lab_inventory.noun import Address, Name, Noun
from lab_inventory.reading import read_yaml
from lab_inventory.trust import require_safe, trust

FILE = "rollout.yaml"


def _no_way_up(path: str) -> str:
    if ".." in path.split("/") or "//" in path or path.endswith("/"):
        raise ValueError("has '..', '//' or a '/' at its end; expected a plain absolute path")
    return path


HostAddress = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:]{2,45})$")]
"""A host name, an IPv4 or an IPv6 address; nothing that a shell or a URL would read as anything else."""

HostPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{1,150}$"), AfterValidator(_no_way_up)]
"""An absolute path on a lab host, of letters, digits and ``. _ -``."""

HostUser = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
"""A user name as useradd takes it."""

ServerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}/?$")]
"""Where the orchestrator answers: scheme, host and port."""


class SupervisorName(StrEnum):
    """What keeps the agent running on a host."""

    SYSTEMD = "systemd"
    PROCESS = "process"


class RunsGoingOn(StrEnum):
    """What becomes of runs when the agent of their host is switched."""

    WAIT = "wait"
    KEEP = "keep"


class Ssh(Noun):
    """How hosts are reached. ``known_hosts`` pins their keys: a host that is not in it is not spoken with."""

    user: HostUser = "root"
    port: int = Field(default=22, ge=1, le=65535)
    key_file: Path
    known_hosts: Path
    connect_timeout_s: float = Field(default=10.0, gt=0, le=120)


class Agent(Noun):
    """What is put on a host. Paths are the host's own; ``user`` is made where it is missing. ``trusted_network``: the
    agents may speak plain http with the server, because every machine of their network is trusted.
    """

    install_dir: HostPath = "/opt/assay-agent"
    work_dir: HostPath = "/var/lib/assay-agent"
    user: HostUser = "assay"
    python: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/][A-Za-z0-9._/-]{0,149}$")] = "python3"
    supervisor: SupervisorName = SupervisorName.SYSTEMD
    ray_address: Address | None = None
    ray_token_file: HostPath | None = None
    ray_tls_cert: HostPath | None = None
    ray_tls_key: HostPath | None = None
    ray_tls_ca: HostPath | None = None
    ca_file: HostPath | None = None
    trusted_network: bool = False

    @model_validator(mode="after")
    def _directories_are_apart(self) -> Self:
        install, work = self.install_dir + "/", self.work_dir + "/"
        if install.startswith(work) or work.startswith(install):
            raise ValueError(
                f"install_dir {self.install_dir} and work_dir {self.work_dir} lie in each other; "
                "expected two directories apart"
            )
        return self


class Limits(Noun):
    """How fast, and what is enough. ``out_of_service``: hosts that are drained at the same time. ``failures``: after so
    many failed hosts no further one is begun. ``verify_s``: how long a new agent may take to be heard with its units.
    """

    parallel: int = Field(default=4, ge=1, le=64)
    out_of_service: int = Field(default=1, ge=1, le=64)
    failures: int = Field(default=1, ge=1, le=10_000)
    runs: RunsGoingOn = RunsGoingOn.WAIT
    drain_wait_s: float = Field(default=3600.0, gt=0)
    verify_s: float = Field(default=180.0, gt=0)
    command_s: float = Field(default=900.0, gt=0)
    free_bytes_min: int = Field(default=2_000_000_000, ge=0)
    clock_offset_s: float = Field(default=30.0, gt=0)


class Target(Noun):
    """One host of the lab file, and what is its own of SSH."""

    name: Name
    address: HostAddress
    port: int | None = Field(default=None, ge=1, le=65535)
    user: HostUser | None = None
    ray_node_ip: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f.:]+$")] | None = None


class Rollout(Noun):
    """A rollout file. ``server``: the orchestrator as hosts reach it. ``build``: a directory of assay-deploy build.
    ``ca``: a file here with the CA by which the server is believed, brought to every host. ``ca_certificates`` is what
    stands in it, once the file is read.
    """

    server: ServerUrl
    ca: Path | None = None
    ca_certificates: str = Field(default="", max_length=100_000)
    build: Path
    ssh: Ssh
    agent: Agent = Agent()
    limits: Limits = Limits()
    hosts: tuple[Target, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_secret_in_the_clear(self) -> Self:
        if self.ca is not None and self.agent.ca_file is not None:
            raise ValueError(
                "ca and agent.ca_file both stand there; expected ca (brought there), or ca_file (is there)"
            )
        if self.ca is not None and not self.server.startswith("https:"):
            raise ValueError(f"server {self.server} is not https, so ca says nothing; expected https://…, or no ca")
        try:
            require_safe(self.server, trusted_network=self.agent.trusted_network, setting="agent.trusted_network: true")
        except BadInput as error:
            raise ValueError(error.detail) from error
        return self

    @model_validator(mode="after")
    def _hosts_are_single(self) -> Self:
        for what, found in (
            ("host", [host.name for host in self.hosts]),
            ("address", [f"{host.address} port {host.port or self.ssh.port}" for host in self.hosts]),
        ):
            repeated = sorted({one for one in found if found.count(one) > 1})
            if repeated:
                raise ValueError(f"{what} {', '.join(repeated)} stands more than once; expected each {what} once")
        return self


def read_rollout(path: Path, lab: Lab) -> Rollout:
    """Read a rollout file for ``lab``; raises BadInput with every mistake and its place."""
    rollout = read_yaml(path, Rollout)
    strangers = tuple(
        Problem(
            path=f"hosts[{place}].name",
            wrong=f"is {target.name!r}",
            expected=f"a host of lab {lab.lab}: {', '.join(host.name for host in lab.hosts)}",
        )
        for place, target in enumerate(rollout.hosts)
        if lab.host(target.name) is None
    )
    if strangers:
        raise BadInput(f"{path}: has hosts that the lab file does not have", problems=strangers)
    return _placed(rollout, path.absolute().parent)


def _placed(rollout: Rollout, beside: Path) -> Rollout:
    """The same with its local paths made absolute and its CA read. Raises BadInput where that is no CA."""
    ssh = rollout.ssh.model_copy(
        update={name: beside / getattr(rollout.ssh, name).expanduser() for name in ("key_file", "known_hosts")}
    )
    placed = rollout.model_copy(update={"ssh": ssh, "build": beside / rollout.build.expanduser()})
    if rollout.ca is None:
        return placed
    ca = beside / rollout.ca.expanduser()
    trust(ca)
    return placed.model_copy(update={"ca": ca, "ca_certificates": ca.read_text(encoding="utf-8")})
