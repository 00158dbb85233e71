"""``assay doctor``: looks at everything the server needs and says what is wrong. Changes nothing.

What does not exist yet, because no server has run here, is well: the first ``assay serve`` makes it.
"""

import errno
import os
import platform
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from lab_inventory.clock import Clock, SystemClock
from lab_inventory.errors import AssayError, Unavailable
from lab_inventory.noun import Noun, host_and_port
from lab_inventory.ray_access import what_ray_means
from lab_inventory.shipped import shipped_programmes
from lab_inventory.trust import connection_trouble, trust
from orchestrator.settings import Settings
from orchestrator.signing import Signer
from orchestrator.store.inspection import Inspection, inspect_file, inspect_server
from orchestrator.tls import EXPIRY_WARNED, pair_of, require_safe_to_listen

ASK_TIMEOUT_S = 10.0
RAY_TIMEOUT_S = 60.0
REACH_TIMEOUT_S = 5.0
CLOCK_BACK_MAX = timedelta(seconds=5)
PYTHON_MIN = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look found."""

    check: str
    ok: bool
    detail: str


class _Part(Noun):
    part: str
    state: str
    reason: str = ""


def examine(settings: Settings, clock: Clock, server: str | None = None, ca: Path | None = None) -> tuple[Finding, ...]:
    """Every finding; none raises. ``server``: whose readiness to ask, by default the one at the settings' address.
    ``ca``: the CA that the one at ``server`` is believed by.
    """
    database: list[Inspection] = []
    looks: Sequence[tuple[str, Callable[[], Finding]]] = (
        ("python", python_version),
        ("ray", ray_version),
        ("ray cluster", lambda: ray_cluster(settings)),
        ("programmes", _programmes),
        ("data directory", lambda: _data_directory(settings)),
        ("database", lambda: _database(settings, database)),
        ("signing key", lambda: _signing_key(settings, used=bool(database))),
        ("tls", lambda: _tls(settings, clock.now())),
        ("clock", lambda: _clock(clock.now(), database[0].last_at if database else None)),
    )
    findings = [_guarded(check, look) for check, look in looks]
    url = server or f"{settings.scheme}://{_host_in_url(settings.host)}:{settings.port}"
    parts, answered = ask(url, None if server else settings, ca)
    findings.append(_guarded("port", lambda: _port(settings, answered and server is None)))
    if answered or server is not None:
        findings.append(answered or Finding(check="server", ok=False, detail=f"no server of Assay answers at {url}"))
    return (*findings, *parts)


def all_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.ok for finding in findings)


def _guarded(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except AssayError as error:
        return Finding(check=check, ok=False, detail=error.detail)
    except Exception as error:
        return Finding(check=check, ok=False, detail=f"{type(error).__name__}: {error}"[:300])


def python_version(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Ray's nodes must have the same Python down to the patch level: so all of it is told."""
    ok = version >= PYTHON_MIN
    needed = "" if ok else f"; at least {'.'.join(map(str, PYTHON_MIN))} is needed"
    return Finding(
        check="python", ok=ok, detail=f"{platform.python_implementation()} {'.'.join(map(str, version))}{needed}"
    )


def ray_version() -> Finding:
    """Imported in a process of its own: nothing here may have Ray in it, and a broken one may take a process down."""
    try:
        installed = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return Finding(check="ray", ok=False, detail="is not installed: install assay-lab[server]")
    command = [sys.executable, "-c", "import ray"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RAY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Finding(check="ray", ok=False, detail=f"{installed} took more than {RAY_TIMEOUT_S:g} s to be imported")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return Finding(check="ray", ok=False, detail=f"{installed} cannot be imported: {said[:200]}")
    return Finding(check="ray", ok=True, detail=installed)


def ray_cluster(settings: Settings) -> Finding:
    """Ask the cluster that the settings name, as the server's driver would; by another program: no Ray is in here."""
    address = settings.ray_address
    if address is None:
        return Finding(check="ray cluster", ok=True, detail="none is set: the server has a Ray of its own")
    access = settings.ray_access
    if wrong := access.unusable():
        return Finding(check="ray cluster", ok=False, detail=wrong)
    try:
        socket.create_connection(host_and_port(address), timeout=REACH_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return Finding(check="ray cluster", ok=False, detail=f"no Ray cluster answers at {address}: {error}")
    command = [str(Path(sys.executable).with_name("ray")), "health-check", f"--address={address}"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=RAY_TIMEOUT_S,
            check=False,
            env=access.environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        return Finding(check="ray cluster", ok=False, detail=f"{address} does not answer within {RAY_TIMEOUT_S:g} s")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["without a word"])[-1][:200]
        meaning = what_ray_means(done.stderr, address=address, access=access)
        return Finding(check="ray cluster", ok=False, detail=meaning or f"the cluster at {address} is not well: {said}")
    secured = [name for name, on in (("token", access.token_file), ("TLS", access.tls_cert)) if on]
    detail = f"{address} answers, with {' and '.join(secured) or 'no token'}"
    return Finding(check="ray cluster", ok=True, detail=detail)


def _programmes() -> Finding:
    found = shipped_programmes()
    names = ", ".join(f"{programme.id} {programme.version}" for programme in found)
    return Finding(check="programmes", ok=bool(found), detail=names or "none is shipped with this installation")


def _data_directory(settings: Settings) -> Finding:
    data = settings.data.absolute()
    place = next(path for path in (data, *data.parents) if path.exists())
    if not place.is_dir():
        return Finding(check="data directory", ok=False, detail=f"{place} is no directory")
    if not os.access(place, os.W_OK | os.X_OK) or os.statvfs(place).f_flag & os.ST_RDONLY:
        return Finding(check="data directory", ok=False, detail=f"{place} cannot be written to")
    free = shutil.disk_usage(place).free
    floor = settings.free_bytes_min
    detail = f"{data}: {free // 1_000_000} MB free, {floor // 1_000_000} MB needed"
    if place != data:
        detail += "; it is made by the first 'assay serve'"
    return Finding(check="data directory", ok=free >= floor, detail=detail)


def _database(settings: Settings, found: list[Inspection]) -> Finding:
    inspection = _inspected(settings)
    if inspection is None:
        return Finding(check="database", ok=True, detail="none yet: the first 'assay serve' makes it")
    found.append(inspection)
    if inspection.wrong:
        return Finding(check="database", ok=False, detail="; ".join(inspection.wrong)[:500])
    detail = f"schema {inspection.schema}, {inspection.rows} journal rows, head {inspection.head}"
    return Finding(check="database", ok=True, detail=detail)


def _inspected(settings: Settings) -> Inspection | None:
    path = settings.sqlite_path
    if path is None:
        return inspect_server(settings.database_url)
    if not path.exists():
        return None
    try:
        return inspect_file(path)
    except sqlite3.Error as error:
        raise Unavailable(f"{path}: {error}") from error


def _signing_key(settings: Settings, *, used: bool) -> Finding:
    path = settings.data / "signing-key.json"
    if not path.exists():
        # A database without its key would be given a new one, which nobody trusts yet.
        detail = f"{path} is missing beside its database" if used else "none yet: the first 'assay serve' makes it"
        return Finding(check="signing key", ok=not used, detail=detail)
    if not os.access(path, os.R_OK):
        return Finding(check="signing key", ok=False, detail=f"{path} cannot be read")
    signer = Signer.at(path, name=settings.issuer)
    mode = stat.S_IMODE(path.stat().st_mode)
    return Finding(check="signing key", ok=True, detail=f"{signer.issuer.thumbprint}, mode {mode:04o}")


def _tls(settings: Settings, now: datetime) -> Finding:
    require_safe_to_listen(settings)
    pair = pair_of(settings, now)
    if pair is None:
        why = "a proxy ends TLS" if settings.proxies else "plain http"
        return Finding(check="tls", ok=True, detail=f"{why} at {settings.host}")
    left = pair.expires_at - now
    detail = f"{pair.certificate} for {', '.join(pair.names)}: good until {pair.expires_at:%Y-%m-%d}"
    if left < EXPIRY_WARNED:
        return Finding(check="tls", ok=False, detail=f"{detail}, {left.days} days: renew it ('assay tls renew')")
    return Finding(check="tls", ok=True, detail=detail)


def _clock(now: datetime, last_at: datetime | None) -> Finding:
    """Certificates carry this clock's dates; it must not stand before what was already recorded."""
    ok = now.year >= 2025 and (last_at is None or now >= last_at - CLOCK_BACK_MAX)
    after = "" if ok or last_at is None else f", before the journal's last row of {last_at:%Y-%m-%d %H:%M:%S} UTC"
    return Finding(check="clock", ok=ok, detail=f"{now:%Y-%m-%d %H:%M:%S} UTC{after}")


def _port(settings: Settings, held_by_ours: Any) -> Finding:
    where = f"{settings.host}:{settings.port}"
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and held_by_ours:
                return Finding(check="port", ok=True, detail=f"{where} is held by the server that answers")
            if error.errno == errno.EADDRINUSE:
                return Finding(
                    check="port", ok=False, detail=f"{where} is held by a program that is no server of Assay"
                )
            return Finding(check="port", ok=False, detail=f"{where}: {error.strerror}")
    return Finding(check="port", ok=True, detail=f"{where} is free")


def ask(url: str, own: Settings | None = None, ca: Path | None = None) -> tuple[list[Finding], Finding | None]:
    """The parts of the server at ``url`` as it tells them, and that it answers; None where none does.

    ``own``: the settings of the server that is asked, whose certificate itself is then the one that is believed.
    """
    try:
        believed, name = _own_certificate(own) if own and own.tls_certificate else (trust(ca), None)
        with httpx.Client(timeout=ASK_TIMEOUT_S, trust_env=False, verify=believed) as client:
            extensions = {"sni_hostname": name} if name else {}
            answer = client.get(f"{url.rstrip('/')}/readyz", extensions=extensions)
        told = answer.json()
        ready = bool(told["ready"])
        parts = [_Part.model_validate(part) for part in told["parts"]]
    except AssayError as error:
        return [], Finding(check="server", ok=False, detail=error.detail)
    except httpx.HTTPError as error:
        # Believed by nobody is not the same as nobody there.
        said = connection_trouble(error, url)
        return [], Finding(check="server", ok=False, detail=said) if "is not believed" in said else None
    except (httpx.InvalidURL, ValueError, KeyError, TypeError, ValidationError):
        return [], None
    found = [
        Finding(check=f"server: {part.part}", ok=part.state == "ok", detail=part.reason or part.state) for part in parts
    ]
    detail = f"{url} takes work" if ready else f"{url} takes no work"
    return found, Finding(check="server", ok=ready, detail=detail)


def _own_certificate(own: Settings) -> tuple[ssl.SSLContext, str]:
    """Believes the server's very certificate, and a name in it to ask by: no name of it may lead to this machine."""
    pair = pair_of(own, SystemClock().now())
    if pair is None:
        raise Unavailable("the server has no certificate")
    believed = trust(pair.certificate)
    believed.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return believed, pair.names[0].replace("*", "any")


def _host_in_url(host: str) -> str:
    """Where a server that listens on ``host`` is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host
