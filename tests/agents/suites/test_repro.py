"""A failure that the lab saw is seen again on a desk, from its pack alone; and without the defect it is not."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from agent_nouns import INSTRUMENT

from agents.cases import carry_out_case
from agents.evidence.comparison import Comparison
from agents.measure import evidence_path
from agents.repro import Desk, desk_of, reproduce
from agents.simulated.bench_phones import BenchPhone
from agents.version import VERSION
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.evidence.pack import NOTICE, read_pack
from lab_inventory.messages import Assignment, CaseEnded, CaseStatus
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.recorded_case import CaseView
from orchestrator.reports.case import pack
from tests.agents.suites.test_ip_phone import CASES, INSTANCE, PHONES, an_assignment, phone_on_bench

CASE = CASES["TC-SIP-01"]
PASSWORD = "quiet-secret"


def programme() -> Programme:
    return next(one for one in shipped_programmes() if one.id == "ip-phone-basic")


def exported(assigned: Assignment, ended: CaseEnded, evidence: Path) -> bytes:
    """The pack as the server exports it of what a run recorded."""
    unit = assigned.dut.registration
    content = Submission(
        title="one", vendor="Acme", product=unit.product, hardware_revision="A", mode="wideband", profile="digital",
        ics=assigned.ics,
    )  # fmt: skip
    view = CaseView(
        run=assigned.run, attempt=1, submission="sub-1", suite=assigned.suite, cases=tuple(CASES), content=content,
        programme=programme(), registration=unit, suite_version=VERSION, user_agent=unit.user_agent, ended=ended,
        repeats=(1,),
    )  # fmt: skip
    return pack(view, {one.digest: evidence_path(evidence, one.digest).read_bytes() for one in ended.evidence})


async def packed_by_the_lab(folder: Path, defects: Sequence[str]) -> bytes:
    """A case is measured as in a run, and exported."""
    assigned, evidence = an_assignment(), folder / "kept"
    evidence.mkdir(parents=True)
    async with phone_on_bench(folder, assigned, defects=defects) as suite:
        ended = await carry_out_case(suite, CASE, 1, assignment=assigned, folder=evidence, clock=SystemClock())
    assert ended.status is CaseStatus.MEASURED, ended.reason
    return exported(assigned, ended, evidence)


def a_phone(folder: Path, at: Assignment, defects: Sequence[str]) -> BenchPhone:
    configuration, work = folder / "configuration", folder / "phone"
    shutil.copytree(PHONES / "phone-1", configuration)
    (configuration / "defects").write_text("\n".join(defects))
    work.mkdir()
    (work / "uuid").write_text(INSTANCE)
    return BenchPhone(at.slot, configuration, work)


async def seen_on_the_desk(made: bytes, folder: Path, defects: Sequence[str]) -> tuple[Comparison, list[str]]:
    """What comes of a pack on a desk whose phone is switched on once the desk listens."""
    folder.mkdir()
    slot = an_assignment().slot
    desk = Desk(
        registrar=slot.registrar,
        user=slot.account.user,
        password=slot.account.password,
        driver="baresip",
        control=slot.control or "",
    )
    listening, said = asyncio.Event(), []

    def tell(line: str) -> None:
        said.append(line)
        if line.startswith("listening"):
            listening.set()

    wanted = read_pack(made).reproduction
    phone = a_phone(folder, an_assignment().model_copy(update={"slot": slot}), defects)
    again = asyncio.create_task(reproduce(wanted, desk, folder / "out", SystemClock(), tell))
    try:
        async with asyncio.timeout(90):
            await listening.wait()
            await phone.start()
            return await again, said
    finally:
        again.cancel()
        await phone.stop()


async def test_the_same_failure_is_seen_again_and_without_the_defect_it_is_not(tmp_path: Path) -> None:
    made = await packed_by_the_lab(tmp_path / "lab", ["ringing-late"])

    with_it, said = await seen_on_the_desk(made, tmp_path / "with", ["ringing-late"])
    without, _ = await seen_on_the_desk(made, tmp_path / "without", [])

    assert (with_it.status, without.status) == (1, 0)
    assert {one.limit.quantity for one in with_it.seen_again} == {"ringing_ms"}
    assert {one.limit.verdict for one in without.limits if one.limit.quantity == "ringing_ms"} == {"fail"}
    assert any("missed here too: ringing_ms" in line for line in said)
    out = tmp_path / "with" / "out"
    assert {path.name for path in out.iterdir()} == {
        "REPRODUCTION-grants-nothing-TC-SIP-01-RTP-packets.jsonl",
        "REPRODUCTION-grants-nothing-TC-SIP-01-SIP-messages.jsonl",
        "REPRODUCTION-grants-nothing-TC-SIP-01-audio-received-call-1-PCMU.wav",
        "REPRODUCTION-grants-nothing-TC-SIP-01-audio-sent-call-1-PCMU.wav",
        "REPRODUCTION-grants-nothing-TC-SIP-01-capture.pcapng",
        "ladder.svg",
        "ladder.txt",
        "result.json",
        "result.txt",
        "rtp-1.svg",
        "sound-1.svg",
        "sound-2.svg",
    }
    for name in ("ladder.txt", "result.txt"):
        assert (out / name).read_text().startswith(NOTICE)
    everything = made + b"".join(read_pack(made).files.values())
    everything += b"".join(path.read_bytes() for path in out.iterdir())
    assert PASSWORD.encode() not in everything


async def repro(path: Path, options: dict[str, str]) -> asyncio.subprocess.Process:
    """The command in a process of its own."""
    words = [word for pair in options.items() for word in pair]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "agents.cli", "repro", str(path), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")},
    )  # fmt: skip


async def test_the_command_ends_when_it_is_told_to_and_says_so(tmp_path: Path) -> None:
    path, slot = tmp_path / "pack.zip", an_assignment().slot
    path.write_bytes(a_pack_without_evidence())
    options = {"--registrar": slot.registrar, "--user": "1001", "--driver": "baresip", "--control": slot.control or ""}
    process = await repro(path, options | {"--out": str(tmp_path / "out")})
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"secret\n")
    async with asyncio.timeout(60):
        while not (await process.stdout.readline()).startswith(b"listening"):
            pass
        process.terminate()
        _, err = await process.communicate()

    assert process.returncode == 2
    assert err.decode() == f"{NOTICE}: it was told to stop before the case had ended\n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--driver", "nonsense"), "there is no driver nonsense; expected one of"),
        (("--registrar", "nowhere"), "registrar: "),
        (("PACK", "/dev/null"), "no readable zip file"),
    ],
)
async def test_the_command_refuses_in_words_after_saying_that_it_grants_nothing(
    tmp_path: Path, changed: tuple[str, str], said: str
) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(a_pack_without_evidence())
    options = {"--registrar": "127.0.0.1:5060", "--user": "1001", "--driver": "baresip", "--control": "127.0.0.1:4444"}
    options["--out"] = str(tmp_path / "out")
    if changed[0] == "PACK":
        path = Path(changed[1])
    else:
        options[changed[0]] = changed[1]
    process = await repro(path, options)

    out, err = await asyncio.wait_for(process.communicate(b"secret\n"), 60)

    assert process.returncode == 2
    assert out.decode().startswith(NOTICE)
    assert err.decode().startswith(f"{NOTICE}: ")
    assert said in err.decode()
    assert not (tmp_path / "out").exists()


def a_pack_without_evidence() -> bytes:
    ended = CaseEnded(case=CASE.id, repeat=1, status=CaseStatus.MEASURED, duration_s=1.0)
    return exported(an_assignment(), ended, Path())


def test_a_control_that_asks_for_an_account_gets_it_and_never_without_its_password() -> None:
    at = {"registrar": "127.0.0.1:1", "user": "1001", "password": "p", "driver": "yealink", "control": "127.0.0.1:2"}

    desk = desk_of(**at, control_user="admin", control_password="secret")

    assert desk.control_account is not None
    assert desk.control_account.password.get_secret_value() == "secret"
    assert desk_of(**at).control_account is None
    with pytest.raises(BadInput, match="ASSAY_REPRO_CONTROL_PASSWORD"):
        desk_of(**at, control_user="admin")


def test_the_instrument_of_a_desk_claims_no_uncertainty() -> None:
    from agents.repro import DESK, assignment_of  # noqa: PLC0415

    slot = an_assignment().slot
    desk = Desk(
        registrar=slot.registrar, user="1001", password=slot.account.password, driver="baresip", control="127.0.0.1:1"
    )
    made = assignment_of(read_pack(a_pack_without_evidence()).reproduction, desk, SystemClock())

    assert INSTRUMENT.uncertainty
    assert (made.instruments[0].name, made.instruments[0].uncertainty, made.epochs) == (DESK, {}, {})
