"""``assay-deploy`` as a person meets it: its commands, and what it says where it cannot begin."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli import app
from lab_inventory.errors import BadInput, Unauthorised

LAB = Path(__file__).parents[2] / "deploy/demo/lab.yaml"


def test_the_commands_and_options_are_these_and_each_has_a_help_text() -> None:
    group = typer.main.get_command(app)
    found = {
        name: [parameter.name for parameter in command.params if parameter.name != "help"]
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    }
    assert found == {
        "build": ["source", "out", "constraints", "dependencies", "also", "output"],
        "plan": ["lab", "rollout", "build", "server", "ca", "output"],
        "apply": ["lab", "rollout", "build", "server", "ca", "output"],
    }
    for command in group.commands.values():  # type: ignore[attr-defined]
        assert command.help
        assert all(getattr(parameter, "help", "") for parameter in command.params if parameter.name != "help")


def refused(*arguments: str) -> Exception:
    ended = CliRunner().invoke(app, arguments)
    assert isinstance(ended.exception, Exception), ended.output
    return ended.exception


def written(folder: Path, *, known_hosts: str = "") -> str:
    text = "server: http://127.0.0.1:9\nbuild: b\nssh: {key_file: key, known_hosts: known_hosts}\n"
    (folder / "rollout.yaml").write_text(text + "hosts: [{name: demo-host, address: 127.0.0.1}]\n")
    (folder / "known_hosts").write_text(known_hosts)
    (folder / "key").touch(mode=0o600)
    return str(folder / "rollout.yaml")


def test_a_missing_rollout_file_is_named(tmp_path: Path) -> None:
    error = refused("plan", str(LAB), "--rollout", str(tmp_path / "rollout.yaml"))
    assert isinstance(error, BadInput)
    assert "rollout.yaml: cannot be read" in str(error)


@pytest.mark.parametrize("missing", ["key", "known_hosts"])
def test_without_a_key_or_without_pinned_hosts_nothing_is_begun(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path)
    (tmp_path / missing).unlink()
    assert f"{missing}: No such file" in str(refused("apply", str(LAB), "--rollout", path))


def test_a_form_that_there_is_not_is_refused() -> None:
    assert "-o yaml is no form; expected table or json" in str(refused("plan", str(LAB), "-o", "yaml"))


def test_without_a_token_it_says_where_one_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.orchestrator import operator_token  # noqa: PLC0415

    for name in ("ASSAY_TOKEN", "ASSAY_DATA"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unauthorised, match="set ASSAY_TOKEN, or ASSAY_DATA"):
        operator_token()


def test_a_build_needs_pinned_versions_and_a_source_of_assay(tmp_path: Path) -> None:
    assert "a build needs the file with the pinned versions" in str(refused("build", str(tmp_path)))
    wheel, constraints = tmp_path / "other-1.0-py3-none-any.whl", tmp_path / "constraints.txt"
    wheel.touch()
    constraints.touch()
    error = refused("build", str(wheel), "--constraints", str(constraints), "--out", str(tmp_path / "out"))
    assert "is no source tree or wheel of assay-lab" in str(error)
    assert list((tmp_path / "out").iterdir()) == []
