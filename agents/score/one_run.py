"""One run of the suite on one phone, as an agent would start it: a phone program in a slot, a run's process, its spool.

The run is told nothing of the defect: it has the slot's address, the account and the driver, as with any phone, in a
process and a directory of its own. What is wrong with the phone is known only here.
"""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from agents.bench_ca import CA_FILE, FOLDER_VARIABLE
from agents.discover import registration_of
from agents.drivers import installed_drivers
from agents.launch import RUN_COMMAND, clean_environment
from agents.lease_guard import HeldLease
from agents.measure import LabError
from agents.probes.sip import SipProbe
from agents.run_directory import RunDirectory, create_run_directory
from agents.simulated.program import stop_process
from agents.spool import REPORTS_MAX, Spool
from lab_inventory.clock import Clock
from lab_inventory.device import Registration
from lab_inventory.ics import Answers
from lab_inventory.lab import Account, Instrument, Slot, UnitLabel
from lab_inventory.messages import Assignment, CaseEnded, DeviceUnderTest, Ended, RunOutcome
from lab_inventory.outcome import stall_budget
from lab_inventory.programme import Programme, TestCase

HOST = "score-host"
BENCH_CA = "bench-ca"
"""Where in the work directory of a scoring the CA of its bench lies."""
REGISTERS_WITHIN_S = 30.0
STOP_S = 10.0
PHONE_LOG = "phone.log"
WORDS_MAX = 400
FIRST_PORT = 12000
PORTS_TRIED = 8
SPOOL_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be run: a number that tells nothing, the phone's directory, and its lines of defects."""

    number: int
    phone: Path
    kind: str
    defects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every run of a scoring has in common."""

    programme: Programme
    profile: str
    cases: tuple[TestCase, ...]
    suite: str
    instrument: Instrument


async def run_once(wanted: Wanted, asked: Asked, ics: Answers, work: Path, clock: Clock) -> tuple[CaseEnded, ...]:
    """Start the phone, run the suite on it, stop the phone; gives the end of each case.

    Raises LabError where the phone does not come up or the run does not end as it should.
    """
    folder = work / f"{wanted.number:03d}"
    folder.mkdir(mode=0o700, parents=True)
    slot = _slot(wanted.number, has_socket=wanted.kind == "reference")
    async with _phone(wanted, slot, folder) as phone:
        registration = await _registered(slot, phone, folder, clock)
        assignment = _assignment(wanted, asked, ics, slot, registration)
        deadline_s = 3 * asked_s(asked) + 300
        now_s = clock.boottime_s()
        lease = HeldLease(renewed_at_s=now_s, ttl_s=2 * deadline_s, deadline_at_s=now_s + deadline_s)
        directory = create_run_directory(folder, assignment, lease, clock)
        await _carry_out(directory)
    return _ended(directory)


def asked_s(asked: Asked) -> float:
    """How long the cases are expected to take."""
    return sum(case.duration_s * case.repeats for case in asked.cases)


def _slot(number: int, *, has_socket: bool) -> Slot:
    """``has_socket``: the phone has a handset socket, and a sound interface is wired to it."""
    registrar, control, audio = _free_ports(FIRST_PORT + PORTS_TRIED * number)
    return Slot(
        name=f"slot-{number}",
        category="ip-phone",
        registrar=f"127.0.0.1:{registrar}",
        account=Account(user=f"1{number:03d}", password=f"bench-{number}"),
        control=f"127.0.0.1:{control}",
        audio=f"127.0.0.1:{audio}" if has_socket else None,
        unit=UnitLabel(hardware_revision="A", mode="wideband"),
    )


@asynccontextmanager
async def _phone(wanted: Wanted, slot: Slot, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The phone program in its slot, a process of its own, while this is open; what it says is in PHONE_LOG."""
    phones = folder / "phones" / "phone"
    phones.mkdir(parents=True)
    for source in wanted.phone.iterdir() if wanted.kind != "reference" else ():
        if source.is_file() and source.name != "defects":
            (phones / source.name).write_bytes(source.read_bytes())
    if wanted.kind == "reference":
        (phones / "kind").write_text("reference\n", encoding="utf-8")
    _trust(phones, folder.parent / BENCH_CA / CA_FILE)
    (phones / "defects").write_text("\n".join(wanted.defects), encoding="utf-8")
    lab = folder / "lab.yaml"
    lab.write_text(yaml.safe_dump(_lab(slot)), encoding="utf-8")
    with (folder / PHONE_LOG).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "agents.simulated.bench_phones",
            "--lab", str(lab), "--phones", str(phones.parent), "--work", str(folder / "phone-work"),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        await stop_process(process, within_s=STOP_S)


def _trust(phone: Path, ca: Path) -> None:
    """Install the bench's CA on the phone, as whoever sets a bench up does once (docs/how-to/phone-tls.md)."""
    if (phone / "kind").exists():
        shutil.copyfile(ca, phone / "ca.pem")
        return
    with (phone / "config").open("a", encoding="utf-8") as config:
        config.write(f"\nsip_cafile {ca}\nmodule srtp.so\nmodule dtls_srtp.so\n")


def _lab(slot: Slot) -> dict[str, object]:
    of_slot = slot.model_dump(mode="json", exclude_none=True)
    _, account = slot.sip
    of_slot["account"] = {"user": account.user, "password": account.password.get_secret_value()}
    instrument = {"name": "sip-endpoint", "kind": "sip-rtp", "calibration": {"method": "checks itself"}}
    bench = {"name": "score-bench", "instruments": [instrument], "slots": [of_slot]}
    return {"lab": "score", "site": "this machine", "hosts": [{"name": HOST, "benches": [bench]}]}


async def _registered(slot: Slot, phone: asyncio.subprocess.Process, folder: Path, clock: Clock) -> Registration:
    """The phone as an agent's probe sees it. Raises LabError where it ends or does not register."""
    probe = SipProbe(slot, clock)
    probe.bind()
    try:
        until_s = clock.boottime_s() + REGISTERS_WITHIN_S
        while (sighting := probe.sighting()) is None:
            if phone.returncode is not None:
                said = (folder / PHONE_LOG).read_text(encoding="utf-8", errors="replace").strip()
                raise LabError(f"the phone program ended before it registered: {said[-WORDS_MAX:]}")
            if clock.boottime_s() > until_s:
                raise LabError(f"the phone did not register within {REGISTERS_WITHIN_S:g} s; {probe.trouble() or ''}")
            await asyncio.sleep(0.1)
    finally:
        probe.release()
    return registration_of(sighting, slot, HOST, installed_drivers())


def _assignment(wanted: Wanted, asked: Asked, ics: Answers, slot: Slot, registration: Registration) -> Assignment:
    device = f"device-{wanted.number}"
    budget = stall_budget(asked.programme)
    return Assignment(
        run=f"run-{wanted.number}",
        attempt=1,
        submission=f"submission-{wanted.number}",
        host=HOST,
        bench="score-bench",
        slot=slot,
        instruments=(asked.instrument,),
        dut=DeviceUnderTest(device=device, registration=registration),
        programme=asked.programme.id,
        programme_digest=asked.programme.digest,
        suite=asked.suite,
        cases=asked.cases,
        ics=ics,
        ixit={},
        epochs={f"device:{device}": 1, f"slot:{HOST}/{slot.name}": 1},
        ttl_s=3600.0,
        deadline_s=3600.0,
        stall_budget={case: sizes for case, sizes in budget.items() if case in {one.id for one in asked.cases}},
    )


async def _carry_out(directory: RunDirectory) -> None:
    """The run's process, from its start to its end."""
    trust = {FOLDER_VARIABLE: str(directory.path.parent.parent / BENCH_CA)}
    with directory.log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *RUN_COMMAND, str(directory.path),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            env=clean_environment(os.environ) | trust, cwd=directory.path,
        )  # fmt: skip
    try:
        await process.wait()
    finally:
        await stop_process(process, within_s=STOP_S)


def _ended(directory: RunDirectory) -> tuple[CaseEnded, ...]:
    spool = Spool(directory.spool_path, directory.clock)
    try:
        bodies = [report.body for report in spool.unacknowledged(REPORTS_MAX, bytes_max=SPOOL_BYTES)]
    finally:
        spool.close()
    last = next((body for body in bodies if isinstance(body, Ended)), None)
    if last is None or last.outcome is not RunOutcome.COMPLETED:
        raise LabError(f"the run did not complete: {last.reason if last else 'it has no end'}")
    return tuple(body for body in bodies if isinstance(body, CaseEnded))


def _free_ports(first: int) -> tuple[int, int, int]:
    """Three free ports from ``first`` on (UDP, TCP), below the kernel's own range: nothing takes them by chance."""
    found = [port for port in range(first, first + PORTS_TRIED) if _is_free(port)][:3]
    if len(found) < 3:
        raise LabError(f"no three ports of 127.0.0.1 are free from {first} on")
    return found[0], found[1], found[2]


def _is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
