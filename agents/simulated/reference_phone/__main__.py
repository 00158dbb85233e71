"""Runs one reference phone until SIGTERM or the end of its parent; one JSON line is printed when it has registered."""

import argparse
import asyncio
import json
import os
import selectors
import signal
import sys
from pathlib import Path

from agents.simulated.parent import die_with_parent
from agents.simulated.reference_phone.accounts import Accounts
from agents.simulated.reference_phone.control import Control
from agents.simulated.reference_phone.defects import DEFECTS, behaviour_with, parse_defect
from agents.simulated.reference_phone.equipment import Settings
from agents.simulated.reference_phone.jack import Jack
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError
from lab_inventory.noun import host_and_port


class _ListDefects(argparse.Action):
    """Prints what can be wrong, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        for defect in DEFECTS.values():
            line = {"defect": defect.slug, "wrong": defect.wrong, "size_unit": defect.size_unit}
            sys.stdout.write(json.dumps(line) + "\n")
        parser.exit()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The reference phone.")
    parser.add_argument("--list-defects", action=_ListDefects, nargs=0, help="a line of JSON for each defect, and end")
    parser.add_argument("--registrar", required=True, help="HOST:PORT")
    parser.add_argument("--control", required=True, help="HOST:PORT to listen on for keys")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--outbound", help="HOST:PORT that all requests outside of calls are sent to")
    parser.add_argument("--listen", help="HOST:PORT of its own for SIP; else a free port")
    parser.add_argument("--instance", default=Settings.instance, help="the URN in +sip.instance")
    parser.add_argument("--subscribe-messages", action="store_true", help="SUBSCRIBE to message-summary")
    parser.add_argument("--transport", choices=("UDP", "TCP", "TLS"), default="UDP")
    parser.add_argument("--ca", help="the file with the CAs that it trusts for TLS; else the system's")
    parser.add_argument("--srtp", action="store_true", help="offer and take secured audio only")
    parser.add_argument(
        "--dtls", action="store_true", help="with --srtp: offer it with DTLS, not with the key in the SDP"
    )
    parser.add_argument("--tone", type=int, default=1000, help="the tone at its microphone, in hertz")
    parser.add_argument("--lamps", type=Path, help="the file in which it is written down when a lamp changes")
    parser.add_argument("--audio-port", help="HOST:PORT of its handset socket: L16 at 16 kHz over RTP, both ways")
    parser.add_argument("--defect", action="append", default=[], help="SLUG, or SLUG=SIZE; may be given again")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    clock = SystemClock()
    jack = None
    if options.audio_port:
        jack = Jack(host_and_port(options.audio_port), source=int(clock.uniform(1, 0xFFFF_FFFE)))
    settings = Settings(
        jack=jack,
        registrar=host_and_port(options.registrar),
        user=options.user,
        password=options.password,
        outbound=host_and_port(options.outbound) if options.outbound else None,
        listen=host_and_port(options.listen) if options.listen else None,
        instance=options.instance,
        tone_hz=options.tone,
        transport=options.transport,
        ca_file=options.ca,
        secures_audio=options.srtp,
        secures_by_dtls=options.dtls,
        subscribes_to_messages=options.subscribe_messages,
        lamps_file=options.lamps,
    )
    behaviour = behaviour_with(dict(map(parse_defect, options.defect)))
    accounts = Accounts(settings, clock, behaviour)
    control = Control(accounts)
    await control.open(*host_and_port(options.control))
    try:
        await accounts.start()
        registered = asyncio.create_task(accounts.own.registered())
        asked_to_end = asyncio.create_task(ended.wait())
        await asyncio.wait({registered, asked_to_end}, return_when=asyncio.FIRST_COMPLETED)
        if registered.done():
            sys.stdout.write(json.dumps({"registered": True, "pid": os.getpid(), "defects": options.defect}) + "\n")
            sys.stdout.flush()
        await asked_to_end
        registered.cancel()
    finally:
        control.close()
        await accounts.stop()
        if jack is not None:
            jack.close()


def _even_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are not rounded up to whole milliseconds, as over epoll they are.

    With them the audio would beat with whatever comes in between: it is late by what is left of the millisecond since.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> None:
    """Run until told to end. Status 2: it could not be started."""
    options = _options()
    die_with_parent()
    try:
        with asyncio.Runner(loop_factory=_even_loop) as runner:
            runner.run(_run(options))
    except (AssayError, OSError, ValueError) as error:
        sys.stderr.write(f"reference phone: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
