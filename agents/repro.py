"""``assay-agent repro``: carry one failed case out again, alone, on the desk of who made the phone.

Takes a reproduction pack and where the phone is; gives what was measured beside what the lab measured, and a folder of
evidence. It runs the very code that measures in the lab, and grants nothing: no lease, no instrument that was
characterised, no verdict. Everything it writes for people begins with those words.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError

from agents.cases import carry_out_case, not_applicable, not_run
from agents.drivers import installed_drivers
from agents.evidence.comparison import Compared, Comparison, compare, in_words
from agents.measure import LabError, evidence_path
from agents.suites import Identified, OpenSuite, suite_for
from agents.version import VERSION
from lab_inventory.clock import Clock
from lab_inventory.device import Identity, IdentityKind, Registration
from lab_inventory.errors import BadInput, TooLarge
from lab_inventory.evidence.ladder import ladder
from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from lab_inventory.evidence.lines import RTP_PACKETS, SIP_MESSAGES, read_rtp, read_sip
from lab_inventory.evidence.pack import NOTICE, PACK_BYTES_MAX, Reproduction, read_pack
from lab_inventory.evidence.sound_pictures import pictures
from lab_inventory.evidence.wav import MEDIA_TYPE as WAV
from lab_inventory.lab import Account, Calibration, Instrument, Role, Slot, UnitLabel
from lab_inventory.messages import Assignment, CaseEnded, DeviceUnderTest
from lab_inventory.noun import Address, Name, Noun
from lab_inventory.reading import problems_of

DESK = "desk"
CHECKS_MAX = 5
PATIENCE_S = 60.0
_TTL_S = 3600.0
_ENDINGS = {"application/jsonl": "jsonl", "application/x-pcapng": "pcapng", WAV: "wav"}

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the phone is. ``registrar``: of this machine, where it registers; ``control``: what its driver reaches,
    with ``control_account`` where that asks for one.
    """

    registrar: str
    user: str
    password: SecretStr
    driver: str
    control: str
    control_account: Account | None = None


class _Checked(Noun):
    """The forms of what a desk is told."""

    registrar: Address
    user: Name
    driver: Name
    control: Address


def desk_of(
    *,
    registrar: str,
    user: str,
    password: str,
    driver: str,
    control: str,
    control_user: str | None = None,
    control_password: str = "",
) -> Desk:
    """Where the phone is, from what was typed; raises BadInput that says what is expected."""
    try:
        _Checked(registrar=registrar, user=user, driver=driver, control=control)
    except ValidationError as error:
        raise BadInput("the desk cannot be used", problems=problems_of(error.errors(include_url=False))) from error
    if not password:
        raise BadInput("there is no password; expected it in ASSAY_REPRO_PASSWORD or as a line on standard input")
    if control_user is not None and not control_password:
        raise BadInput("there is no password of the control; expected it in ASSAY_REPRO_CONTROL_PASSWORD")
    return Desk(
        registrar=registrar,
        user=user,
        password=SecretStr(password),
        driver=driver,
        control=control,
        control_account=Account(user=control_user, password=SecretStr(control_password)) if control_user else None,
    )


class Result(Noun):
    """What is written down of a reproduction."""

    notice: str
    run: str
    case: str
    repeat: int
    suite_version: str
    user_agent: str
    ended: CaseEnded
    limits: tuple[Compared, ...]


def main(path: Path, desk: Desk, folder: Path, clock: Clock, tell: Tell) -> int:
    """Carry out the case of a pack; the exit status: 0 every limit is met, 1 one is missed, 2 not all is known.

    Raises BadInput for a pack or a desk that cannot be used, LabError where it could not be measured, OSError.
    """
    wanted = _pack(path)
    return asyncio.run(_until_told(wanted, desk, folder, clock, tell))


async def _until_told(wanted: Reproduction, desk: Desk, folder: Path, clock: Clock, tell: Tell) -> int:
    """End early, with the phone left idle, where the process is told to."""
    task = asyncio.ensure_future(reproduce(wanted, desk, folder, clock, tell))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return (await task).status
    except asyncio.CancelledError as error:
        raise LabError("it was told to stop before the case had ended") from error


async def reproduce(wanted: Reproduction, desk: Desk, folder: Path, clock: Clock, tell: Tell) -> Comparison:
    """Carry out the case; ``tell`` is given what people are to read meanwhile. Raises as :func:`main`."""
    open_suite = suite_for(wanted.category)
    if open_suite is None:
        raise BadInput(f"this agent has no suite for devices of category {wanted.category}")
    if desk.driver not in installed_drivers():
        known = ", ".join(sorted(installed_drivers()))
        raise BadInput(f"there is no driver {desk.driver[:80]}; expected one of {known}")
    if set(wanted.case.roles) - {Role.DUT}:
        roles = ", ".join(sorted(wanted.case.roles))
        raise BadInput(f"{wanted.case.id} needs devices in the roles {roles}; a desk has the one phone")
    assignment = assignment_of(wanted, desk, clock)
    kept = _empty_folder(folder)
    _introduce(wanted, tell)
    suite = await open_suite(assignment, clock)
    try:
        tell(f"listening at {desk.registrar}: let the phone register there as {desk.user}")
        if wanted.case.procedure not in suite.procedures:
            raise BadInput(f"this agent's suite has no procedure {wanted.case.procedure}")
        await _require_fit(suite, tell)
        device = await _identified(suite, clock, tell)
        tell(f"registered: {device.user_agent!r} (in the lab it was {wanted.user_agent!r})")
        why_not = not_applicable(wanted.case, assignment)
        if why_not is not None:
            ended = not_run(wanted.case, wanted.repeat, why_not)
        else:
            tell(f"carrying out {wanted.case.id}, about {wanted.case.duration_s:g} s")
            ended = await carry_out_case(
                suite, wanted.case, wanted.repeat, assignment=assignment, folder=kept, clock=clock
            )
    finally:
        await suite.close()
    compared = compare(wanted, ended)
    _write(folder, kept, wanted, device.user_agent, compared)
    tell("")
    tell(in_words(compared))
    tell(f"evidence: {folder}")
    return compared


async def _require_fit(suite: OpenSuite, tell: Tell) -> None:
    """Measure nothing until the machine passes its own check: a busy desk may be fit a moment later.

    Raises LabError where it never does.
    """
    for left in reversed(range(CHECKS_MAX)):
        bench = await suite.check_bench()
        if bench.passed:
            return
        if not left:
            raise LabError(f"this machine cannot measure now, its own check failed: {bench.reason}")
        tell(f"this machine is too busy to measure, looking again: {bench.reason}")


async def _identified(suite: OpenSuite, clock: Clock, tell: Tell) -> Identified:
    """Wait for the phone with more patience than a lab has: somebody may still have to set it up."""
    until_s = clock.boottime_s() + PATIENCE_S
    while True:
        try:
            return await suite.identify_device()
        except LabError as error:
            if clock.boottime_s() > until_s:
                raise
            tell(f"not yet: {error}")
            await asyncio.sleep(1.0)


def assignment_of(wanted: Reproduction, desk: Desk, clock: Clock) -> Assignment:
    """What a suite takes, of this desk: no lease stands behind it, and the instrument's uncertainty is not known."""
    cases = wanted.opened_with if wanted.case in wanted.opened_with else (wanted.case,)
    unit = Registration(
        identity=Identity(kind=IdentityKind.SIP_INSTANCE, value="not-known"),
        product=wanted.product,
        category=wanted.category,
        hardware_revision=wanted.hardware_revision,
        mode=wanted.mode,
        slot=DESK,
        driver=desk.driver,
        user_agent=wanted.user_agent,
        seen_at=clock.now(),
    )
    return Assignment(
        run=wanted.run,
        attempt=wanted.attempt,
        submission=wanted.submission,
        host=DESK,
        bench=DESK,
        slot=Slot(
            name=DESK,
            category=wanted.category,
            registrar=desk.registrar,
            account=Account(user=desk.user, password=desk.password),
            control=desk.control,
            control_account=desk.control_account,
            unit=UnitLabel(hardware_revision=wanted.hardware_revision, mode=wanted.mode),
        ),
        instruments=(Instrument(name=DESK, kind="sip-rtp", calibration=Calibration(method="none: a desk, no bench")),),
        dut=DeviceUnderTest(device=DESK, registration=unit),
        programme=f"{wanted.programme} {wanted.programme_version}",
        programme_digest=wanted.programme_digest,
        suite=wanted.suite,
        cases=cases,
        ics=wanted.ics,
        ixit=wanted.ixit,
        epochs={},
        ttl_s=_TTL_S,
        deadline_s=_TTL_S,
        stall_budget={wanted.case.id: wanted.stall_budget},
    )


def _pack(path: Path) -> Reproduction:
    size = path.stat().st_size
    if size > PACK_BYTES_MAX:
        raise TooLarge(f"{path}: {size} bytes; at most {PACK_BYTES_MAX} are read")
    return read_pack(path.read_bytes()).reproduction


def _empty_folder(folder: Path) -> Path:
    """Make the folder, which must not hold anything: what was seen another day stays as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty; expected a new folder for the evidence")
    kept = folder / "evidence"
    kept.mkdir()
    return kept


def _introduce(wanted: Reproduction, tell: Tell) -> None:
    tell(f"{wanted.case.id} ({wanted.case.title}), repeat {wanted.repeat} of {wanted.run}")
    tell(f"programme {wanted.programme} {wanted.programme_version}, {wanted.programme_digest}")
    if wanted.suite_version != VERSION:
        tell(f"the lab measured with suite version {wanted.suite_version}, this is {VERSION}: they may differ")


def _write(folder: Path, kept: Path, wanted: Reproduction, user_agent: str, compared: Comparison) -> None:
    """The result for programs and for people, the ladder, and the kept files under names that say what they are."""
    ended = compared.ended
    result = Result(
        notice=NOTICE,
        run=wanted.run,
        case=wanted.case.id,
        repeat=wanted.repeat,
        suite_version=VERSION,
        user_agent=user_agent,
        ended=ended,
        limits=compared.limits,
    )
    (folder / "result.json").write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "result.txt").write_text(f"{NOTICE}\n{in_words(compared)}\n", encoding="utf-8")
    contents = {one.name: evidence_path(kept, one.digest).read_bytes() for one in ended.evidence}
    sip = next((data for name, data in contents.items() if name.endswith(SIP_MESSAGES)), b"")
    rtp = next((data for name, data in contents.items() if name.endswith(RTP_PACKETS)), b"")
    if sip:
        messages, streams = read_sip(sip), read_rtp(rtp)
        drawn = ladder(f"{NOTICE}: {wanted.case.id}", messages.lines, streams.lines, messages.unreadable)
        (folder / "ladder.txt").write_text(ladder_text(drawn), encoding="utf-8")
        (folder / "ladder.svg").write_text(ladder_svg(drawn, alone=True), encoding="utf-8")
    recorded = {one.name: contents[one.name] for one in ended.evidence if one.media_type == WAV}
    for name, data in pictures(recorded, rtp).items():
        (folder / name).write_bytes(data)
    for one in ended.evidence:
        words = f"REPRODUCTION-grants-nothing {one.name}".replace(" ", "-").replace("/", "-").replace(",", "")
        evidence_path(kept, one.digest).rename(folder / f"{words}.{_ENDINGS.get(one.media_type, 'bin')}")
    if not any(kept.iterdir()):
        kept.rmdir()
