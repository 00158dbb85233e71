"""What an operator sets for an agent: environment variables ``ASSAY_AGENT_…``. Reads nothing else."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lab_inventory.errors import BadInput, Problem
from lab_inventory.noun import Address, Name
from lab_inventory.ray_access import RayAccess

# sockaddr_un holds 108 bytes with its closing zero; some platforms hold fewer.
SOCKET_PATH_BYTES_MAX = 99


class AgentSettings(BaseSettings):
    """The settings of one agent; all durations are in seconds of its own clock."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_AGENT_", frozen=True, extra="forbid")

    server_url: str = Field(pattern=r"^https?://[^\s/]+/?$", description="where the orchestrator answers")
    host: Name = Field(description="the name of this host in the lab file")
    work_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        description="where runs, spools and the agent's key are kept"
    )
    join_token: SecretStr | None = Field(default=None, description="single-use token, needed once to join")
    ca_file: Path | None = Field(default=None, description="trust these certificates for https, not the system's")
    trusted_network: bool = Field(default=False, description="allow plain http to a server on another machine")

    heartbeat_s: float = Field(default=2.0, gt=0, le=60, description="until the orchestrator says how often")
    renewal_s: float = Field(default=2.0, ge=0.2, le=20, description="how often leases are renewed")
    request_timeout_s: float = Field(default=10.0, gt=0, le=60)
    spool_look_s: float = Field(default=0.25, ge=0.2, le=5, description="how often spools of living runs are read")
    absent_after_s: float = Field(default=75.0, gt=0, description="how long after a run its device may stay unseen")
    stop_grace_s: float = Field(default=45.0, gt=0, description="a run told to stop is killed after this long")

    keep_delivered_runs: int = Field(default=50, ge=0, le=10_000, description="delivered run directories kept")
    free_bytes_min: int = Field(default=500_000_000, ge=0, description="with less free space no run is taken")

    power_program: Path | None = Field(
        default=None, description="switches the power of slots: called as PROGRAM off|on PORT"
    )
    light_program: Path | None = Field(
        default=None, description="sees the lamps of slots: called as PROGRAM watch PORT ring|message"
    )

    bench_ca: Path | None = Field(
        default=None,
        description="where 'assay-agent bench ca' keeps the CA that phones trust; none: in the work directory",
    )

    ray_address: Address | None = Field(
        default=None, description="join this Ray cluster; none: embedded, nothing to do"
    )
    ray_node_ip: str | None = Field(default=None, pattern=r"^[0-9A-Fa-f.:]+$", description="this host's address in it")
    ray_token_file: Path | None = Field(default=None, description="the cluster's token, readable by this user only")
    ray_tls_cert: Path | None = Field(default=None, description="with key and CA: TLS between this node and the others")
    ray_tls_key: Path | None = None
    ray_tls_ca: Path | None = None
    ray_doors_of: tuple[Name, ...] = Field(
        default=(), max_length=64, description="weaker hosts without a Ray node, whose doors may stand at this one's"
    )

    ray_scoring: int = Field(
        default=0, ge=0, le=64, description="how many recordings this host scores at once; for a host without a bench"
    )

    inbox_listen: Address | None = Field(
        default=None,
        description="where the door at a stronger host reaches this inbox, by TLS; none: it is local",
    )
    inbox_address: Address | None = Field(
        default=None, description="what the door is told to connect to, where a port is forwarded to inbox_listen"
    )
    inbox_cert: Path | None = Field(default=None, description="the certificate shown there; any will do, it is pinned")
    inbox_key: Path | None = None

    @model_validator(mode="after")
    def _what_belongs_together_is_whole(self) -> Self:
        _ = self.ray_access
        if self.inbox_listen is not None and not (self.inbox_cert and self.inbox_key):
            raise ValueError("an inbox that listens needs ASSAY_AGENT_INBOX_CERT and ASSAY_AGENT_INBOX_KEY")
        if self.ray_scoring and self.ray_address is None:
            raise ValueError("a host that scores recordings (ray_scoring) is a node of a cluster (ray_address)")
        if self.inbox_listen is not None and self.ray_address is not None:
            raise ValueError("a host has a Ray node (ray_address) or an inbox that listens (inbox_listen), not both")
        return self

    @property
    def ray_access(self) -> RayAccess:
        """How this host gets into the Ray cluster."""
        return RayAccess(
            token_file=self.ray_token_file,
            tls_cert=self.ray_tls_cert,
            tls_key=self.ray_tls_key,
            tls_ca=self.ray_tls_ca,
        )

    @property
    def runs_dir(self) -> Path:
        """Where the run directories are."""
        return self.work_dir / "runs"

    @property
    def inbox_path(self) -> Path:
        """The inbox's socket: in the work directory, or in a short private one where that path is too long."""
        path = self.work_dir / "inbox.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
            return path
        return self._short_private_dir / "inbox.sock"

    @property
    def ray_temp_dir(self) -> Path:
        """Where a Ray node of this host keeps its sockets and logs: Ray's paths leave no room for a long one."""
        return self._short_private_dir / "ray"

    @property
    def _short_private_dir(self) -> Path:
        mark = hashlib.sha256(os.fsencode(self.work_dir)).hexdigest()[:8]
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        return base / f"assay-{os.getuid()}-{mark}"


def read_settings(ca: Path | None = None) -> AgentSettings:
    """The settings from the environment; raises BadInput that names every variable that is missing or wrong.

    ``ca``: a CA file that goes before the one of the environment.
    """
    try:
        settings = AgentSettings()
    except ValidationError as error:
        problems = tuple(
            Problem(
                path="ASSAY_AGENT_" + "_".join(str(part) for part in entry["loc"]).upper(),
                wrong="is not set" if entry["type"] == "missing" else "has a value that does not fit",
                expected=entry["msg"] if entry["type"] != "missing" else "a value",
            )
            for entry in error.errors(include_url=False, include_input=False)
        )
        raise BadInput("the agent's settings are not complete", problems=problems) from error
    return settings.model_copy(update={"ca_file": ca.absolute()}) if ca is not None else settings
