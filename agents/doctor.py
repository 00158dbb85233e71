"""``assay-agent doctor``: looks at everything an agent needs and says what is wrong. Changes nothing."""

import asyncio
import os
import platform
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import metadata
from pathlib import Path

from agents import libopus
from agents.bench_file import kept_bench
from agents.discover_usb.listing import now_plugged_in, silence_of
from agents.drivers import find_drivers
from agents.key import FILE, kept_key, old_credential
from agents.proof import Proof
from agents.ray_node import why_not_joined
from agents.serve import sole_agent, wire_of
from agents.settings import AgentSettings
from agents.version import VERSION
from agents.wire import Wire, WireTrouble
from agents.words import describe
from lab_inventory.clock import Clock
from lab_inventory.errors import AssayError, Conflict
from lab_inventory.lab import Slot
from lab_inventory.messages import RenewRequest
from lab_inventory.noun import host_and_port

CLOCK_OFFSET_MAX_S = 30.0
CHECK_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look found."""

    check: str
    ok: bool
    detail: str


async def examine(settings: AgentSettings, clock: Clock) -> tuple[Finding, ...]:
    """Every finding; none raises."""
    findings = [_versions(), _guarded("work directory", lambda: _work_directory(settings))]
    findings += await _orchestrator(settings, clock)
    findings.append(await _ray(settings))
    findings.append(_guarded("drivers", _drivers))
    findings.append(_guarded("opus", _opus))
    findings.append(_guarded("power program", lambda: _power_program(settings)))
    findings.append(_guarded("light program", lambda: _light_program(settings)))
    findings += _slots(settings)
    return tuple(findings)


def all_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(finding.ok for finding in findings)


def _guarded(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:
        return Finding(check=check, ok=False, detail=describe(error))


def _versions() -> Finding:
    """Ray's nodes must have the very same Ray, and the same Python down to the patch level."""
    try:
        ray = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return Finding(check="versions", ok=False, detail="ray is not installed: install assay-lab[agent]")
    return Finding(check="versions", ok=True, detail=f"assay {VERSION}, python {platform.python_version()}, ray {ray}")


def _work_directory(settings: AgentSettings) -> Finding:
    work = settings.work_dir
    place = work if work.exists() else work.absolute().parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(check="work directory", ok=False, detail=f"{place} cannot be written to")
    free = shutil.disk_usage(place).free
    enough = free >= settings.free_bytes_min
    detail = f"{work}: {free // 1_000_000} MB free, {settings.free_bytes_min // 1_000_000} MB needed"
    return Finding(check="work directory", ok=enough, detail=detail)


def _power_program(settings: AgentSettings) -> Finding:
    return _program("power", settings.power_program, [slot.power for slot in _given_slots(settings)])


def _light_program(settings: AgentSettings) -> Finding:
    return _program("light", settings.light_program, [slot.light for slot in _given_slots(settings)])


def _given_slots(settings: AgentSettings) -> list[Slot]:
    bench = kept_bench(settings.work_dir)
    return [slot for _, slot in bench.slots()] if bench else []


def _program(kind: str, program: Path | None, given: Sequence[str | None]) -> Finding:
    """Whether the program is there that the ports of a kind in the lab file need."""
    ports = [port for port in given if port]
    check = f"{kind} program"
    if program is None:
        detail = f"none is set; the lab file gives {kind} ports to {len(ports)} slot(s)" if ports else "none is needed"
        return Finding(check=check, ok=not ports, detail=detail)
    usable = program.is_absolute() and program.is_file() and os.access(program, os.X_OK)
    detail = str(program) if usable else f"{program} is no absolute path of a program that may be executed"
    return Finding(check=check, ok=usable, detail=detail)


async def _orchestrator(settings: AgentSettings, clock: Clock) -> list[Finding]:
    try:
        wire = wire_of(settings, CHECK_TIMEOUT_S)
    except AssayError as error:
        return [Finding(check="orchestrator", ok=False, detail=str(error))]
    try:
        date = await wire.reach()
    except WireTrouble as error:
        return [Finding(check="orchestrator", ok=False, detail=error.detail)]
    else:
        reached = Finding(check="orchestrator", ok=True, detail=f"{settings.server_url} answers")
        return [reached, await _key(settings, wire, clock), _guarded("clock", lambda: _clock(date, clock.now()))]
    finally:
        await wire.close()


async def _ray(settings: AgentSettings) -> Finding:
    address = settings.ray_address
    if address is None:
        far = settings.inbox_listen
        detail = f"no Ray node here: the door of a stronger host reaches {far}" if far else "embedded in the server"
        return Finding(check="ray cluster", ok=True, detail=detail)
    try:
        why = await why_not_joined(settings, address)
    except OSError as error:
        why = describe(error)
    detail = why or f"{address} lets this host join" + ("" if settings.ray_token_file else ", and everybody: no token")
    return Finding(check="ray cluster", ok=not why, detail=detail)


async def _key(settings: AgentSettings, wire: Wire, clock: Clock) -> Finding:
    """An empty renewal asks for nothing, and is answered to a valid credential only."""
    try:
        kept = kept_key(settings.work_dir, settings.host)
        if kept is None:
            if old_credential(settings.work_dir, settings.host) is not None:
                return Finding(check="key", ok=True, detail="none yet: the agent makes it when it starts")
            joins = settings.join_token is not None
            detail = "none yet" + (", a join token is set" if joins else " and no ASSAY_AGENT_JOIN_TOKEN is set")
            return Finding(check="key", ok=joins, detail=detail)
        readable = (settings.work_dir / FILE).stat().st_mode & 0o077
        wire.use_credentials(Proof(kept, clock))
        await wire.send(RenewRequest(renewals=()))
    except (OSError, AssayError) as error:
        return Finding(check="key", ok=False, detail=str(error))
    if readable:
        return Finding(check="key", ok=False, detail=f"others can read {FILE}; chmod 600 it, or join again")
    return Finding(check="key", ok=True, detail=f"accepted as {kept.agent} of host {kept.host}")


def _clock(date: str, now: datetime) -> Finding:
    """Leases do not depend on it, but evidence carries this machine's times."""
    if not date:
        return Finding(check="clock", ok=True, detail="the orchestrator does not tell its time")
    offset_s = (now - parsedate_to_datetime(date)).total_seconds()
    detail = f"{offset_s:+.0f} s from the orchestrator's, at most {CLOCK_OFFSET_MAX_S:g} s"
    return Finding(check="clock", ok=abs(offset_s) <= CLOCK_OFFSET_MAX_S, detail=detail)


def _drivers() -> Finding:
    found, broken = find_drivers()
    words = [", ".join(sorted(found)) or "none is installed"]
    words += [f"{name} cannot be used: {why}" for name, why in sorted(broken.items())]
    return Finding(check="drivers", ok=bool(found) and not broken, detail="; ".join(words))


def _opus() -> Finding:
    """Needed for phones that declare Opus only, so that without it nothing is broken."""
    try:
        return Finding(check="opus", ok=True, detail=libopus.version())
    except libopus.OpusMissing as error:
        return Finding(check="opus", ok=True, detail=f"phones with Opus cannot be measured: {error.detail}")


def _slots(settings: AgentSettings) -> list[Finding]:
    try:
        bench = kept_bench(settings.work_dir)
    except (OSError, AssayError) as error:
        return [Finding(check="bench", ok=False, detail=describe(error))]
    if bench is None:
        return [Finding(check="bench", ok=True, detail="not told yet: an agent gets it with its first heartbeat")]
    serving = _an_agent_serves(settings.work_dir)
    return [_guarded(f"slot {slot.name}", partial(_slot, slot, serving)) for _, slot in bench.slots()]


def _slot(slot: Slot, serving: bool) -> Finding:
    """Where an agent serves, it or one of its runs has the address; else nobody may."""
    if slot.usb is not None:
        return _usb_slot(slot.name, slot.usb)
    registrar, _ = slot.sip
    host, port = host_and_port(registrar)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                check=f"slot {slot.name}",
                ok=serving,
                detail=f"{registrar} is held by the serving agent" if serving else f"{registrar}: {error}",
            )
    detail = f"{registrar} is free" + (", though an agent serves" if serving else "")
    return Finding(check=f"slot {slot.name}", ok=True, detail=detail)


def _usb_slot(name: str, port: str) -> Finding:
    """What is plugged in there, and whether it answers; an empty port is well."""
    found = now_plugged_in().at(port)
    if not found:
        return Finding(check=f"slot {name}", ok=True, detail=f"nothing with sound is plugged in at {port}")
    silent = [words for unit in found if (words := silence_of(unit))]
    named = ", ".join(f"{unit.maker} {unit.model} {unit.release}" for unit in found)
    return Finding(
        check=f"slot {name}", ok=len(found) == 1 and not silent, detail="; ".join((f"{port}: {named}", *silent))
    )


def _an_agent_serves(work: Path) -> bool:
    try:
        with sole_agent(work):
            return False
    except Conflict:
        return True


def examine_now(settings: AgentSettings, clock: Clock) -> tuple[Finding, ...]:
    """:func:`examine` from code that has no event loop."""
    return asyncio.run(examine(settings, clock))
