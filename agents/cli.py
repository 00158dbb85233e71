"""The command ``assay-agent``. Status 0: done, or all is well; 1: something is broken; 2: it could not be done."""

import asyncio
import getpass
import json
import os
import platform
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agents.logs import JsonLog
from agents.settings import AgentSettings, read_settings
from lab_inventory.clock import SystemClock
from lab_inventory.errors import AssayError, BadInput

JOIN_TOKEN_LENGTH_MAX = 1000
PASSWORD_LENGTH_MAX = 1000

app = typer.Typer(
    help="Finds and drives the devices of one lab host. Settings: environment variables ASSAY_AGENT_….",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench_app = typer.Typer(help="What this host's own bench needs.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")


Ca = Annotated[Path | None, typer.Option(envvar="ASSAY_CA", help="Trust the CA in this file, not those of the system.")]


@app.command()
def serve(ca: Ca = None) -> None:
    """Serve this host: watch its slots, take assignments, deliver what is measured."""
    asyncio.run(_serve(read_settings(ca)))


async def _serve(settings: AgentSettings) -> None:
    from agents.drivers import installed_drivers, installed_hands  # noqa: PLC0415  (only this command needs them)
    from agents.probes.choice import Probes  # noqa: PLC0415
    from agents.serve import serve as serve_host  # noqa: PLC0415

    clock = SystemClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    drivers = {**installed_drivers(), **installed_hands()}
    await serve_host(settings, clock, JsonLog(clock), stop=stop, drivers=drivers, probe_for=Probes())


@app.command()
def join(ca: Ca = None) -> None:
    """Join with the token on standard input, where it stands in no argument or environment; makes the agent's key."""
    asyncio.run(_join(read_settings(ca), sys.stdin.read(JOIN_TOKEN_LENGTH_MAX).strip()))


async def _join(settings: AgentSettings, token: str) -> None:
    from agents.serve import join_once  # noqa: PLC0415

    if not token:
        raise BadInput("there is no join token on standard input; 'assay lab join HOST' makes one")
    key = await join_once(settings, token, SystemClock())
    typer.echo(f"joined as {key.agent}")


@app.command()
def run(directory: Annotated[Path, typer.Argument(help="A run directory, as an agent makes it.")]) -> None:
    """Carry out one run in this process; what an agent starts for each assignment."""
    from agents.run import main as carry_out  # noqa: PLC0415

    sys.exit(carry_out(directory))


@app.command()
def drivers(
    output: Annotated[str, typer.Option("-o", "--output", help="table or json", metavar="FORM")] = "table",
) -> None:
    """The installed drivers of phones, what each can do, and on what it was tried; status 1 where one is broken."""
    from agents.drivers.listing import Listed, listed  # noqa: PLC0415

    if output not in ("table", "json"):
        raise BadInput(f"-o {output} is no form; expected table or json")
    found, broken = listed()
    if output == "json":
        typer.echo(json.dumps({"drivers": [asdict(one) for one in found], "broken": broken}, indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table("driver", "version", "can also", "a press", "tried on")
        for one in found:
            table.add_row(*(Text(words) for words in Listed.in_words(one)))
        for name, why in broken.items():
            table.add_row(Text(name), "BROKEN", "", "", Text(why))
        Console().print(table)
    sys.exit(1 if broken else 0)


@app.command()
def usb(
    output: Annotated[str, typer.Option("-o", "--output", help="table or json", metavar="FORM")] = "table",
) -> None:
    """The USB devices with sound on this host: the port to name in the lab file, and whether each answers."""
    from agents.discover_usb.listing import listed_units  # noqa: PLC0415

    if output not in ("table", "json"):
        raise BadInput(f"-o {output} is no form; expected table or json")
    found = [asdict(one) for one in listed_units()]
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("port", "unit", "serial number", "sound", "HID", "state")
    for one in found:
        table.add_row(*(Text(words) for words in one.values()))
    Console().print(table)


@app.command()
def press(
    verb: Annotated[str, typer.Argument(help="As dial, answer, hang_up, hold, press_keys, reset, firmware.")],
    argument: Annotated[str | None, typer.Argument(help="A SIP URI or digits, where the verb takes them.")] = None,
    *,
    lab: Annotated[Path, typer.Option(help="The lab file.")] = Path("lab.yaml"),
    slot: Annotated[str, typer.Option(help="The slot with the phone.")],
    host: Annotated[str | None, typer.Option(help="Its host, where several have such a slot.")] = None,
    driver: Annotated[str | None, typer.Option(help="The driver, where the lab file does not name it.")] = None,
) -> None:
    """Press one key of a phone, to try a driver on a device; not while a run has the slot."""
    from agents.press import press as press_key  # noqa: PLC0415
    from agents.press import slot_of  # noqa: PLC0415

    typer.echo(asyncio.run(press_key(slot_of(lab, slot, host), driver, verb, argument)))


@app.command()
def operator(
    control: Annotated[str, typer.Argument(help="HOST:PORT, the control address of a slot with driver operator.")],
) -> None:
    """Press the keys of a phone by hand: shows what a run asks for, takes Enter for done."""
    from threading import Event  # noqa: PLC0415

    from agents.operator_terminal import ask_at_terminal  # noqa: PLC0415

    with suppress(KeyboardInterrupt):
        ask_at_terminal(control, sys.stdin, typer.echo, Event().wait)


@app.command()
def doctor(
    ca: Ca = None,
    output: Annotated[str, typer.Option("-o", "--output", help="table or json", metavar="FORM")] = "table",
) -> None:
    """Look at everything an agent needs; status 1 where something is broken."""
    from agents.doctor import all_well, examine_now  # noqa: PLC0415

    if output not in ("table", "json"):
        raise BadInput(f"-o {output} is no form; expected table or json")
    findings = examine_now(read_settings(ca), SystemClock())
    if output == "json":
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table("check", "is", "detail")
        for finding in findings:
            table.add_row(finding.check, "well" if finding.ok else "BROKEN", Text(finding.detail))
        Console().print(table)
    sys.exit(0 if all_well(findings) else 1)


def _add_suites() -> None:
    """The commands of suites, which load much: only where they are asked for."""
    from agents.score.command import suite  # noqa: PLC0415

    app.add_typer(suite, name="suite")


@bench_app.command("ca")
def bench_ca(
    out: Annotated[
        Path | None,
        typer.Option(envvar="ASSAY_AGENT_BENCH_CA", help="Keep it here, not in the agent's work directory."),
    ] = None,
) -> None:
    """Make the CA of this bench's own SIP servers, once; phones are told to trust the file that is printed."""
    from agents.bench_ca import WORK_VARIABLE, ca_folder, make_ca  # noqa: PLC0415

    folder = out or ca_folder(os.environ)
    if folder is None:
        raise BadInput(f"nothing says where to keep it; expected --out DIR, or {WORK_VARIABLE} in the environment")
    typer.echo(make_ca(folder.absolute(), platform.node(), SystemClock().now()))


@bench_app.command("characterise")
def bench_characterise(
    bench: Annotated[str | None, typer.Argument(help="The bench, where this host has several.")] = None,
    *,
    runs: Annotated[int, typer.Option(help="How often; at least 30.")] = 30,
    lab: Annotated[
        Path | None, typer.Option(help="The lab file; else the bench is known as the orchestrator told it last.")
    ] = None,
) -> None:
    """Let a bench measure itself without a device, and keep a dated record of its uncertainty: about 0.5 s a run."""
    from agents.bench_record import keep_record  # noqa: PLC0415  (only this command needs instruments)
    from agents.characterise import bench_to_characterise, characterise, in_words  # noqa: PLC0415

    settings, clock = read_settings(), SystemClock()
    found = bench_to_characterise(settings.work_dir, settings.host, lab, bench)
    record = asyncio.run(characterise(found, settings.host, runs, clock, typer.echo))
    path = keep_record(settings.work_dir, record, clock)
    typer.echo("\n".join([*in_words(record), f"kept as {path}"]))


@bench_app.command("sound")
def bench_sound(
    listen: Annotated[str, typer.Argument(help="HOST:PORT, as the slot's audio is in the lab file.")],
    *,
    playback: Annotated[str, typer.Option(help="ALSA name of what the microphone wires are at, as plughw:1,0.")],
    capture: Annotated[str, typer.Option(help="ALSA name of what the earpiece wires are at.")],
    out_db: Annotated[float, typer.Option(min=-60, max=60, help="Gain in dB into the microphone wires.")] = 0.0,
    in_db: Annotated[float, typer.Option(min=-60, max=60, help="Gain in dB from the earpiece wires.")] = 0.0,
    own_delay_ms: Annotated[float, typer.Option(help="Of the card, as 'bench sound-delay' found it; taken off.")] = 0.0,
) -> None:
    """Serve the sound card that is wired to a phone's handset socket, until stopped."""
    from agents.sound_interface.bridge import Card  # noqa: PLC0415  (only this command needs a sound card)
    from agents.sound_interface.serving import serve_card  # noqa: PLC0415

    card = Card(playback=playback, capture=capture, out_db=out_db, in_db=in_db, own_delay_ms=own_delay_ms)
    serve_card(listen, card, JsonLog(SystemClock()))


@bench_app.command("sound-delay")
def bench_sound_delay(
    address: Annotated[str, typer.Argument(help="HOST:PORT at which a sound interface serves, its wires joined.")],
) -> None:
    """Measure delay and gain of a sound interface whose microphone and earpiece wires are joined: about 4 s."""
    from agents.sound_interface.joined import measured  # noqa: PLC0415

    found = asyncio.run(measured(address, SystemClock()))
    typer.echo(f"own delay {found.delay_ms:.2f} ms, gain {found.gain_db:+.2f} dB")


@app.command()
def repro(
    pack: Annotated[Path, typer.Argument(help="A reproduction pack, as 'assay evidence pack' writes it.")],
    registrar: Annotated[str, typer.Option(help="HOST:PORT of this machine at which the phone registers.")],
    user: Annotated[str, typer.Option(help="The user name with which the phone registers.")],
    driver: Annotated[str, typer.Option(help="What presses the phone's keys.")],
    control: Annotated[str, typer.Option(help="HOST:PORT of the phone's control.")],
    control_user: Annotated[
        str | None, typer.Option(help="The control's user, with its password in ASSAY_REPRO_CONTROL_PASSWORD.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A new folder for the evidence; else one named after the case.")
    ] = None,
) -> None:
    """Carry one case out again, alone. The phone's password comes from ASSAY_REPRO_PASSWORD or standard input.

    Status 0: every limit is met here; 1: one is missed; 2: not all could be measured. It grants nothing.
    """
    from lab_inventory.evidence.pack import NOTICE  # noqa: PLC0415  (only this command needs suites)

    typer.echo(NOTICE)
    try:
        from agents.repro import desk_of  # noqa: PLC0415
        from agents.repro import main as carry_out  # noqa: PLC0415

        clock = SystemClock()
        desk = desk_of(
            registrar=registrar,
            user=user,
            password=os.environ.get("ASSAY_REPRO_PASSWORD") or _password_from_input(),
            driver=driver,
            control=control,
            control_user=control_user,
            control_password=os.environ.get("ASSAY_REPRO_CONTROL_PASSWORD", ""),
        )
        status = carry_out(pack, desk, out or Path(f"reproduction-{clock.now():%Y%m%d-%H%M%S}"), clock, typer.echo)
    except (AssayError, OSError) as error:
        typer.echo(f"{NOTICE}: {error}", err=True)
        status = 2
    sys.exit(status)


def _password_from_input() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("the phone's SIP password: ")
    return sys.stdin.readline(PASSWORD_LENGTH_MAX).rstrip("\r\n")


def main() -> None:
    """Run the command; errors are told in words."""
    try:
        if len(sys.argv) < 2 or sys.argv[1] in ("suite", "--help"):
            _add_suites()
        app()
    except (AssayError, OSError) as error:
        print(f"assay-agent: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
