"""Starts phone programs as the devices of a lab file's slots, and stops them all.

It also ends, and stops them, when its parent ends. In the phones' directory, the first subdirectory (by name) stands in
the first slot, and so on. Its file ``defects`` names what is wrong with its phone: a baresip is put behind a proxy with
these. Where a file ``kind`` says ``reference`` it is the reference phone, which has them itself, and trusts the CAs in
``ca.pem`` where that is there. One JSON line is printed for each phone that is up.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

from agents.simulated.baresip_phone import BaresipPhone
from agents.simulated.defect_proxy import DefectProxy
from agents.simulated.parent import die_with_parent
from agents.simulated.reference_program import ReferenceProgram
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError, BadInput, Unavailable
from lab_inventory.lab import Slot, read_lab
from lab_inventory.noun import host_and_port

RTP_PORTS = 40
KINDS = ("baresip", "reference")
STARTS = 3
TAKEN = "Address already in use"


class BenchPhone:
    """A phone in a slot, with the proxy before it where it has one."""

    def __init__(self, slot: Slot, configuration: Path, work: Path) -> None:
        if slot.control is None:
            raise BadInput(f"slot {slot.name} has no control port: a phone program needs one")
        self.slot = slot
        self.slugs = _lines(configuration / "defects")
        self.kind = "".join(_lines(configuration / "kind")) or KINDS[0]
        if self.kind not in KINDS:
            raise BadInput(f"{configuration / 'kind'}: {self.kind} is no kind of phone: {' or '.join(KINDS)}")
        self._proxy: DefectProxy | None = None
        self._configuration = configuration
        self._work = work
        self.phone: BaresipPhone | ReferenceProgram | None = None

    async def start(self) -> None:
        """Start the proxy, then the phone behind it."""
        registrar, account = self.slot.sip
        outbound = registrar
        if self.slugs and self.kind == "baresip":
            self._proxy = DefectProxy(("127.0.0.1", 0), host_and_port(registrar), self.slugs, SystemClock())
            self._proxy.start()
            outbound = f"{self._proxy.listen[0]}:{self._proxy.listen[1]}"
        values = {
            "registrar": registrar,
            "outbound": outbound,
            "control": self.slot.control or "",
            "user": account.user,
            "password": account.password.get_secret_value(),
        }
        if self.slot.audio is not None and self.kind != "reference":
            raise BadInput(f"slot {self.slot.name} has an audio port, and a {self.kind} has no socket for it")
        if self.kind == "reference":
            values |= {"audio": self.slot.audio or ""}
            ca = self._configuration / "ca.pem"
            self.phone = ReferenceProgram(
                self.slot.name,
                self._work,
                values,
                self.slugs,
                SystemClock(),
                ca_file=ca if ca.exists() else None,
            )
            await self.phone.start()
        else:
            await self._start_baresip(values)

    async def _start_baresip(self, values: dict[str, str]) -> None:
        """With ports that were free a moment ago; where another program took them since then, with others."""
        for left in reversed(range(STARTS)):
            first = _free_ports()
            values |= {"sip_port": str(first), "rtp_first": str(first + 2), "rtp_last": str(first + RTP_PORTS)}
            self.phone = BaresipPhone(self.slot.name, self._configuration, self._work, values)
            try:
                await self.phone.start()
            except Unavailable as error:
                if not left or TAKEN not in error.detail:
                    raise
            else:
                return

    async def stop(self) -> None:
        """Stop the phone, then its proxy."""
        if self.phone:
            await self.phone.stop()
        if self._proxy:
            self._proxy.close()


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _free_ports() -> int:
    """An even port below the kernel's own range whose next ones are free as well, as far as can be seen."""
    for first in range(20000, 32000, RTP_PORTS * 2):
        sockets = []
        try:
            for port in range(first, first + RTP_PORTS + 1, 2):
                sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sockets[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for taken in sockets:
                taken.close()
        return first
    raise BadInput("no free ports are left for a phone")


def places(lab: Path, phones: Path) -> list[tuple[Slot, Path]]:
    """Which phone directory stands in which slot."""
    slots = [slot for host in read_lab(lab).hosts for _, slot in host.slots() if slot.registrar]
    directories = sorted(path for path in phones.iterdir() if path.is_dir()) if phones.is_dir() else []
    if not directories:
        raise BadInput(f"{phones}: there are no phone directories")
    return list(zip(slots, directories, strict=False))


async def _serve(phones: list[tuple[Slot, Path]], work: Path) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    started: list[BenchPhone] = []
    try:
        for slot, directory in phones:
            phone = BenchPhone(slot, directory, work / directory.name)
            started.append(phone)
            await phone.start()
            program = phone.phone
            line = {
                "slot": slot.name,
                "phone": directory.name,
                "pid": program.pid if program else None,
                "schedule": program.schedule if program else None,
                "defects": phone.slugs,
            }
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        await ended.wait()
    finally:
        await asyncio.gather(*(phone.stop() for phone in started))


def main() -> None:
    """Run until told to end. Status 2: a phone could not be started."""
    parser = argparse.ArgumentParser(description="Phone programs as the devices of a lab.")
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--phones", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    die_with_parent()
    try:
        asyncio.run(_serve(places(options.lab, options.phones), options.work.absolute()))
    except AssayError as error:
        sys.stderr.write(f"bench_phones: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
