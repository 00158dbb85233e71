"""What the job came to, held against its golden profile, and shown as a table. Pure but for reading the profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from lab_inventory.noun import Label, Name, Noun
from lab_inventory.reading import read_yaml

WORDS_MAX = 260
LAB_AT_FAULT = ("error", "inconclusive", "not-run")


class ExpectedPhone(Noun):
    """What one submission is expected to come to."""

    title: Label
    earned: Name | None
    fails: tuple[Name, ...]


class Expected(Noun):
    """The golden profile."""

    phones: tuple[ExpectedPhone, ...]


def read_expected(path: Path) -> Expected:
    """Read a golden profile; raises BadInput."""
    return read_yaml(path, Expected)


@dataclass(frozen=True, kw_only=True)
class Phone:
    """What one submission came to: ``fails`` maps each requirement that is not passed to the reason in words.

    ``unmeasured`` are those among them for which the lab is at fault: the phone was not measured.
    """

    title: str
    device: str
    mode: str
    state: str
    earned: str | None
    fails: Mapping[str, str]
    certificate: str | None
    unmeasured: frozenset[str] = frozenset()


def phone_of(entry: Mapping[str, Any], submission: Mapping[str, Any]) -> Phone:
    """From the batch's entry and the submission as the API gives them."""
    fails: dict[str, str] = {}
    measured: set[str] = set()
    judgement = submission["judgement"] or {"levels": []}
    for level in judgement["levels"]:
        for requirement in level["requirements"]:
            passed = requirement["verdict"] in ("pass", "not-applicable") and not requirement["flags"]
            if not passed and requirement["requirement"] not in fails:
                words = f"{requirement['title']} ({level['title']}): {requirement['verdict']}: {requirement['words']}"
                words = words if len(words) <= WORDS_MAX else words[: WORDS_MAX - 1] + "…"
                fails[requirement["requirement"]] = words
            if not passed and requirement["verdict"] not in LAB_AT_FAULT:
                measured.add(requirement["requirement"])
    last = entry["runs"][-1]
    return Phone(
        title=entry["title"],
        device=f"{last['host']}/{last['slot']}" if last["host"] else "none",
        mode=entry["mode"],
        state=entry["state"],
        earned=entry["earned"],
        fails=fails,
        certificate=entry["certificate"],
        unmeasured=frozenset(fails) - measured,
    )


def differences(phones: list[Phone], expected: Expected) -> list[str]:
    """Where the job ended otherwise than its golden profile says."""
    found = {phone.title: phone for phone in phones}
    wrong: list[str] = []
    for wanted in expected.phones:
        phone = found.get(wanted.title)
        if phone is None:
            wrong.append(f"{wanted.title}: it was not there")
        elif phone.earned != wanted.earned or set(phone.fails) != set(wanted.fails):
            came = f"{phone.earned or 'no level'}, not passed: {', '.join(phone.fails) or 'none'}"
            asked = f"{wanted.earned or 'no level'}, not passed: {', '.join(wanted.fails) or 'none'}"
            wrong.append(f"{wanted.title}: came to {came}; expected was {asked}")
    return wrong


def not_measured(phones: list[Phone], expected: Expected) -> bool:
    """Whether nothing but the lab stands between the job and its golden profile: something could not be measured."""
    found = {phone.title: phone for phone in phones}
    return all(
        wanted.title in found
        and found[wanted.title].state == "judged"
        and set(found[wanted.title].fails) - found[wanted.title].unmeasured
        == set(wanted.fails) - found[wanted.title].unmeasured
        for wanted in expected.phones
    )


def table(phones: list[Phone], files: Mapping[str, Path]) -> Table:
    """Device, mode, level earned, failed requirements with value and limit, certificate file."""
    shown = Table(title="DEMONSTRATION, grants nothing", title_justify="left", header_style="bold", show_lines=True)
    for column in ("submission", "device", "mode", "level earned", "not passed, and why", "certificate"):
        shown.add_column(column, overflow="fold")
    for phone in phones:
        why = "\n".join(f"{requirement} {words}" for requirement, words in phone.fails.items())
        file = files.get(phone.certificate or "")
        shown.add_row(
            phone.title,
            phone.device,
            phone.mode,
            phone.earned or ("none" if phone.state == "judged" else phone.state),
            why or "–",
            str(file) if file else "–",
        )
    return shown
