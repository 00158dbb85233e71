"""How a process gets into the lab's Ray cluster: the token, the TLS files, the labels; and what Ray's refusals mean.

Server, head and agents all start processes of Ray, which reads nothing but the environment: it is made here, once, so
that they agree. Pure but for the look at the files that :meth:`RayAccess.unusable` takes. Source: docs/decisions/0012.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import model_validator

from lab_inventory.noun import Noun

HOST_LABEL = "lab-host"
SCORING = "scoring"
"""The resource of a node that scores recordings: how many at once. For nodes at no bench."""
DOOR_LABEL = "lab-door."
DOOR_STANDS = "here"
HEALTH_CHECK = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""A head counts a node that is silent for about 9 s as lost; by Ray's defaults it takes more than a minute."""

NODE_PORTS = (
    "--node-manager-port=6380",
    "--object-manager-port=6381",
    "--runtime-env-agent-port=6382",
    "--dashboard-agent-grpc-port=6383",
    "--dashboard-agent-listen-port=6384",
    "--metrics-export-port=6385",
    "--min-worker-port=6400",
    "--max-worker-port=6499",
)
"""Where a node listens, so that a firewall can be told: Ray would take any. One node to a machine."""

_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_TLS = ("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
_VERSIONS = re.compile(
    r"Version mismatch: The cluster was started with:\s*Ray: (?P<ray>\S+)\s*Python: (?P<python>\S+)\s*"
    r"This process[^:]*was started with:\s*Ray: (?P<our_ray>\S+)\s*Python: (?P<our_python>\S+)"
)


class RayAccess(Noun):
    """The files of one machine: the token that the whole cluster shares, and its own certificate of the lab's CA.

    None of ``token_file``: authentication as the environment says, else off. TLS is on where its three files are given.
    """

    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        files = (self.tls_cert, self.tls_key, self.tls_ca)
        if any(files) and not all(files):
            raise ValueError("TLS for Ray needs three files: certificate, key and the CA's certificate")
        return self

    def environment(self, surrounding: Mapping[str, str]) -> dict[str, str]:
        """What a process of Ray is given: nothing of Assay's own secrets, and the authentication never left open.

        Unset, Ray turns it on at a head and off at a joining node, which then fails after 21 s.
        """
        kept = {name: value for name, value in surrounding.items() if not name.startswith("ASSAY_")}
        if self.token_file is not None:
            kept = {name: value for name, value in kept.items() if name not in _AUTH}
            kept |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file.absolute())}
        if self.tls_cert and self.tls_key and self.tls_ca:
            paths = (self.tls_cert.absolute(), self.tls_key.absolute(), self.tls_ca.absolute())
            kept |= dict(zip(_TLS, ("1", *map(str, paths)), strict=True))
        return {"RAY_AUTH_MODE": "disabled", **kept}

    def unusable(self) -> str:
        """What is wrong with the files, for people; empty where nothing is. Ray itself would say it late, or never."""
        for name, path in (("token", self.token_file), ("key", self.tls_key)):
            if path is None:
                continue
            if wrong := _unreadable(name, path):
                return wrong
            if path.stat().st_mode & 0o077:
                return f"others may read the {name} file of Ray {path}: chmod 600 it"
        if self.token_file is not None and not self.token_file.read_bytes().strip():
            return f"the token file of Ray {self.token_file} is empty"
        for name, path in (("certificate", self.tls_cert), ("CA certificate", self.tls_ca)):
            if path is not None and (wrong := _unreadable(name, path)):
                return wrong
        return ""


def door_label(host: str) -> str:
    """The label of the Ray nodes at which the door (the Ray worker) of a lab host may stand."""
    return DOOR_LABEL + host


def what_ray_means(text: str, *, address: str, access: RayAccess) -> str:
    """Ray's own words about why a process does not get into the cluster at ``address``, as an operator needs them.

    Empty where nothing in them is known.
    """
    if found := _VERSIONS.search(text):
        return (
            f"the Ray cluster at {address} has Ray {found['ray']} with Python {found['python']}, here are Ray "
            f"{found['our_ray']} with Python {found['our_python']}: they must be equal"
        )
    if "InvalidAuthToken" in text or "AuthenticationError" in text:
        if access.token_file is None:
            return f"the Ray cluster at {address} wants a token, and no token file is set here"
        return f"the Ray cluster at {address} does not take the token in {access.token_file}"
    if "handshake" in text.lower() or "SSL_ERROR" in text or "CERTIFICATE" in text:
        return f"the Ray cluster at {address} and this process do not agree on TLS: check certificate, key and CA"
    if "Timed out while waiting for GCS" in text or "Failed to get cluster ID" in text:
        tls = "with TLS here; is the head without?" if access.tls_cert else "without TLS here; is the head's on?"
        return f"the Ray cluster at {address} takes connections and does not answer, {tls}"
    return ""


def _unreadable(name: str, path: Path) -> str:
    if not path.is_file():
        return f"the {name} file of Ray {path} is not there"
    return "" if os.access(path, os.R_OK) else f"the {name} file of Ray {path} cannot be read"
