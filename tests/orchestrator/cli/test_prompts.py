"""Prompts as people type them: ``assay prompts``."""

import json
from pathlib import Path

from lab_server import LabServer
from prompt_world import PICTURE, only_prompt, submit, throughout
from review_world import let_in, token_of

from orchestrator.lifecycle.rights import Role
from tests.orchestrator.cli.conftest import Ended, run_assay

RINGER = """
measured:
  - quantity: ringer
    unit: dB(A)
    value: 71.5
    uncertainty: 1.0
    instrument: meter-1
    calibration: {method: certificate 17, due_on: 2999-01-31}
"""


async def test_one_answers_with_a_file_and_an_observation_and_another_confirms(
    server: LabServer, tmp_path: Path
) -> None:
    tokens = let_in(server) | {"otto": token_of(server, "otto", Role.OPERATOR)}
    await submit(server, throughout(second_person=True, picture=PICTURE))
    prompt = await only_prompt(server)
    (tmp_path / "ringer.yaml").write_text(RINGER)
    (tmp_path / "photo.png").write_bytes(b"a photo")

    async def assay(who: str, *words: str) -> Ended:
        return await run_assay("prompts", *words, ASSAY_TOKEN=tokens[who], ASSAY_SERVER=server.address)

    assert [row["prompt"] for row in json.loads((await assay("opal", "list", "-o", "json")).out)] == [prompt]
    shown = (await assay("opal", "show", prompt)).out
    assert "stand one metre away" in shown
    assert f"/prompts/{prompt}/picture" in shown
    assert "asks for ringer in dB(A)" in shown
    assert "instructions" not in json.loads((await assay("acme", "show", prompt, "-o", "json")).out)

    nothing = await assay("opal", "answer", prompt, "--serial", "SN 12")
    assert (nothing.status, "expected --value QUANTITY=VALUE or --file FILE" in nothing.err) == (2, True)
    half = await assay("opal", "answer", prompt, "--serial", "SN 12", "--value", "lamp_blinks=yes")
    assert "ringer is missing" in half.err
    maybe = await assay("opal", "answer", prompt, "--serial", "SN 12", "--value", "lamp_blinks=maybe")
    assert "expected yes or no" in maybe.err
    files = ("--file", str(tmp_path / "ringer.yaml"), "--evidence", str(tmp_path / "photo.png"))
    done = await assay("opal", "answer", prompt, "--serial", "SN 12", "--value", "lamp_blinks=yes", *files)
    assert (done.status, done.out.endswith(f"{prompt} is unconfirmed\n")) == (0, True), done.err

    own = await assay("opal", "confirm", prompt)
    assert "second-person: opal answered it; expected somebody else" in own.err
    differed = await assay("otto", "differ", prompt, "--words", "I read 55.")
    assert differed.out == f"{prompt} is open again\n"
    assert (
        await assay("otto", "answer", prompt, "--serial", "SN 12", "--value", "lamp_blinks=yes", *files)
    ).status == 0
    assert (await assay("opal", "confirm", prompt)).out == f"{prompt} is confirmed\n"
    shown = (await assay("otto", "show", prompt)).out
    assert "differed by otto" in shown
    assert "ringer: 71.5 dB(A) ± 1.0 with meter-1" in shown
    assert "file photo.png sha256:" in shown


async def test_one_or_all_are_aborted(server: LabServer) -> None:
    env = {"ASSAY_SERVER": server.address, "ASSAY_TOKEN": let_in(server)["opal"]}
    await submit(server, throughout())
    prompt = await only_prompt(server)
    unclear = await run_assay("prompts", "abort", "--reason", "no", **env)
    assert "give either PROMPT or --submission" in unclear.err
    assert (await run_assay("prompts", "abort", prompt, "--reason", "no", **env)).out == f"{prompt} is aborted\n"
    second = await submit(server, throughout(), "key-2")
    done = await run_assay("prompts", "abort", "--submission", second, "--reason", "no", **env)
    assert done.out.startswith("1 aborted: prm-")
    assert (await run_assay("prompts", "abort", "--submission", second, "--reason", "no", **env)).out == "0 aborted\n"
