"""The golden list of commands with their arguments and options: a change here is a change for every script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from orchestrator.cli import app

GOLDEN = Path(__file__).parents[2] / "golden" / "assay-commands.txt"


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word in sorted(inner or ()):
        yield from commands(inner[word], f"{name} {word}")


def line(name: str, command: Any) -> str:
    words = [name]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words.append((parameter.name or "").upper())
        elif parameter.name != "help":
            words.append("/".join(parameter.opts))
    return " ".join(words)


def all_commands() -> list[tuple[str, Any]]:
    return list(commands(typer.main.get_command(app), "assay"))


def test_commands_and_options_are_the_golden_ones() -> None:
    assert [line(name, command) for name, command in all_commands()] == GOLDEN.read_text().splitlines()


def test_every_command_and_option_has_a_help_text() -> None:
    for name, command in all_commands():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", "") or parameter.name == "help", f"{name} {parameter.name}"
