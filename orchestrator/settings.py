"""The server's settings: options, environment (``ASSAY_…``), defaults for one machine."""

import ipaddress
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lab_inventory.errors import BadInput, Problem
from lab_inventory.noun import Name
from lab_inventory.ray_access import RayAccess

_SQLITE = "sqlite:///"
Network = IPv4Network | IPv6Network


class SmtpSecurity(StrEnum):
    """How the mail server is spoken to; ``none`` only on this machine."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Settings(BaseSettings):
    """What an operator may set. ``ray_address`` None: a Ray of its own on this machine, for the one host
    ``ray_local_host`` (by default the first host of the lab file), where the doors of the hosts ``ray_doors_of``
    without a Ray node stand too; with one, ``ray_token_file`` and the three files of ``ray_tls_…`` are how this
    machine gets into that cluster. ``free_bytes_min``: with less free space under
    ``data`` no evidence is taken. ``database_url``: where the tables are, by default in a SQLite file under ``data``;
    it may hold a password, so it is never shown. ``lease_ttl_s``: a run stops by itself after two thirds of it without
    a server; by default after 13 minutes, so that ten minutes of outage, with a start after it, end no run.
    ``requests_per_s``: of one person, ten times as many at once. ``open_submissions_per_vendor``: a vendor who has so
    many that are not judged yet submits no more. ``public_url``: what links in notices begin with, by default where the
    server listens. ``webhook_networks``: networks, separated by commas, that webhooks may reach beside the internet.
    ``tls_certificate`` and ``tls_key``: PEM files, to speak TLS. ``tls_proxies``: addresses or networks, with commas,
    of proxies that end TLS in front: forwarded headers are believed from them alone. ``trusted_network``: plain http
    between machines is allowed, because every machine of their network is trusted; for the server and the commands.
    """

    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore")

    data: Path = Path("var/lab")
    database_url: str = Field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = Field(default=8470, ge=0, le=65535)
    issuer: str = "Assay demonstration lab"
    ray_address: str | None = None
    ray_local_host: str | None = None
    ray_doors_of: tuple[Name, ...] = ()
    ray_token_file: Path | None = None
    ray_tls_cert: Path | None = None
    ray_tls_key: Path | None = None
    ray_tls_ca: Path | None = None
    lease_ttl_s: float = Field(default=1200.0, gt=0)
    host_silent_s: float = Field(default=30.0, gt=0)
    body_bytes_max: int = Field(default=4_000_000, gt=0)
    free_bytes_min: int = Field(default=500_000_000, ge=0)
    public_url: str = ""
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: SmtpSecurity = SmtpSecurity.STARTTLS
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    requests_per_s: float = Field(default=100.0, gt=0)
    open_submissions_per_vendor: int = Field(default=200, gt=0)

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _networks(cls, given: object) -> object:
        return tuple(part.strip() for part in given.split(",") if part.strip()) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _mail_without_tls_stays_here(self) -> Self:
        if self.smtp_security is SmtpSecurity.NONE and self.smtp_host not in ("", "localhost", "127.0.0.1", "::1"):
            raise ValueError("ASSAY_SMTP_SECURITY=none is for a mail server on this machine; use starttls or tls")
        return self

    @property
    def address(self) -> str:
        """What links to this server begin with."""
        return self.public_url.rstrip("/") or f"{self.scheme}://{self.host}:{self.port}"

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_proxies: str = ""
    trusted_network: bool = False

    @field_validator("tls_proxies")
    @classmethod
    def _are_networks(cls, given: str) -> str:
        for word in given.replace(",", " ").split():
            ipaddress.ip_network(word)
        return given

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise ValueError("ASSAY_TLS_CERTIFICATE and ASSAY_TLS_KEY, both or neither")
        return self

    @property
    def proxies(self) -> tuple[str, ...]:
        """The proxies that end TLS in front of this server."""
        return tuple(self.tls_proxies.replace(",", " ").split())

    @property
    def scheme(self) -> str:
        """How the server itself is spoken with."""
        return "http" if self.tls_certificate is None else "https"

    @model_validator(mode="after")
    def _default_database(self) -> Self:
        if not self.database_url:
            self.database_url = f"{_SQLITE}{self.data / 'assay.sqlite'}"
        return self

    @model_validator(mode="after")
    def _ray_access_is_whole(self) -> Self:
        # Raises what is wrong with the files that are named together.
        _ = self.ray_access
        return self

    @property
    def ray_access(self) -> RayAccess:
        """How this machine gets into the Ray cluster."""
        return RayAccess(
            token_file=self.ray_token_file,
            tls_cert=self.ray_tls_cert,
            tls_key=self.ray_tls_key,
            tls_ca=self.ray_tls_ca,
        )

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the SQLite database, None where the database is a server's."""
        _, sqlite, path = self.database_url.partition(_SQLITE)
        return Path(path) if sqlite else None


def read_settings(**given: Any) -> Settings:
    """The settings from options that were given (None: not given) and the environment.

    Raises BadInput that names every one that is wrong.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = tuple(
            Problem(
                path="ASSAY_" + "_".join(str(part) for part in entry["loc"]).upper(),
                wrong=f"is {str(entry['input'])[:80]!r}",
                expected=entry["msg"].removeprefix("Input should be "),
            )
            for entry in error.errors(include_url=False)
        )
        raise BadInput("the server's settings cannot be used", problems=problems) from error
