"""The score of the suite for USB headsets: the virtual headset's defects, and the requirement that finds each. Data.

A defect whose size shows in a measured quantity is run twice: at 0.8 times the size that reaches the limit, where the
headset must pass, and at 1.2 times the one that reaches it with the uncertainty on top, where it must fail.
"""

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.score.one_run import Asked
from agents.score.seeded import FAILS, PASSES, PROFILE, FoundBy, Subject
from agents.score.verdicts import requirements_in
from lab_inventory.errors import InvariantBroken
from lab_inventory.ics import AnswerKind, Answers
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Unit
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes

PROGRAMME = "skype-for-business.usb-headset"
CATEGORY = "usb-headset"
LACKS = frozenset({"connection.dongle"})
INSTRUMENT = Instrument(
    name="usb-host",
    kind="usb-audio-hid",
    calibration=Calibration(method="checks its analysis on known sounds before each run"),
    uncertainty={Unit.MILLISECOND: 10.0},
)

_FULL_SCALE, _TONE = 32_768.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sized:
    """The quantity that a size moves, and the size at which it has a value. ``u``: its expanded uncertainty."""

    quantity: str
    size_at: Callable[[float], float]
    u: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """The requirement that must find a defect. Without ``sized`` it is run in its ``usual`` size, or as it is."""

    requirement: str
    usual: float | None = None
    sized: Sized | None = None


def _treble_share(deviation_db: float) -> float:
    """The size (in %) at which the third octave around 16 kHz falls by so many dB."""
    turns = [2 * math.pi * hertz / 48_000 for hertz in range(14_200, 17_800, 100)]

    def falls_db(share: float) -> float:
        power = [abs(1 - share / 2 * (1 - cmath.exp(-1j * turn))) ** 2 for turn in turns]
        return -10 * math.log10(sum(power) / len(power))

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if falls_db(middle) < deviation_db else (low, middle)
    return 100 * low


def _cubic_share(distortion_db: float) -> float:
    """The size (in %) of a cubic term that distorts a sine at half of full scale by so much."""
    ratio = 10 ** (distortion_db / 20)
    return 100 * 4 * ratio / (_TONE**2 * (1 + 3 * ratio))


def _plainly(requirement: str, *defects: str) -> dict[str, Seed]:
    return {defect: Seed(requirement=requirement) for defect in defects}


def _sized(requirement: str, quantity: str, size_at: Callable[[float], float], u: float) -> Seed:
    return Seed(requirement=requirement, sized=Sized(quantity=quantity, size_at=size_at, u=u))


SEEDS: Mapping[str, Seed] = {
    "descriptor-total-length": Seed(requirement="UA-USB-01", usual=4),
    "descriptor-interface-count": Seed(requirement="UA-USB-01", usual=1),
    "descriptor-control-length": Seed(requirement="UA-USB-01", usual=2),
    "descriptor-hid-length": Seed(requirement="UA-USB-01", usual=3),
    "descriptor-rate-count": Seed(requirement="UA-USB-01", usual=1),
    **_plainly(
        "UA-USB-01", "descriptor-dangling-source", "descriptor-short-endpoint", "string-cut", "hid-collection-open"
    ),
    **_plainly("UA-USB-02", "terminal-type-generic"),
    **_plainly("UA-USB-06", "serial-missing", "release-missing"),
    **_plainly("UA-HID-01", "hid-hook-undeclared", "hid-mute-as-level", "hid-leds-undeclared"),
    **_plainly("UA-HID-02", "hook-stuck", "hook-as-press"),
    "hook-bounces": Seed(requirement="UA-HID-02", usual=2),
    "keys-late": _sized("UA-HID-02", "hook_ms", lambda ms: ms, 10.0),
    **_plainly("UA-HID-07", "mute-key-dead", "mute-key-twice"),
    **_plainly("UA-HID-06", "volume-keys-dead", "volume-keys-twice", "volume-keys-swapped"),
    "spurious-mute": Seed(requirement="UA-HID-05", usual=60),
    **_plainly("UA-HID-05", "hook-on-plug"),
    **_plainly("UA-HID-03", "led-mute-ignored", "led-off-hook-ignored", "led-ring-ignored", "led-hold-ignored"),
    "led-late": _sized("UA-HID-03", "light_ms", lambda ms: ms, 10.0),
    "mute-leaks": Seed(requirement="UA-MUT-01", usual=1),
    **_plainly("UA-MUT-01", "mute-ignored"),
    **_plainly("UA-MUT-02", "mute-lost-on-reopen", "state-lost-on-replug"),
    **_plainly("UA-VOL-01", "volume-ignored"),
    "volume-steps-wrong": _sized("UA-VOL-01", "volume_error_db", lambda db: 100 * db / 18, 0.1),
    **_plainly("UA-FMT-01", "rate-ignored", "ghost", "opening-refused"),
    "rate-drift": _sized("UA-FMT-01", "rate_error_percent", lambda percent: 1e4 * percent, 0.002),
    "samples-lost": Seed(requirement="UA-SND-01", usual=2),
    "samples-repeated": Seed(requirement="UA-SND-01", usual=2),
    "packets-lost": Seed(requirement="UA-SND-01", usual=2),
    "latency": _sized("UA-LAT-03", "loop_ms", lambda ms: ms - 10, 6.0),
    "latency-varies": _sized("UA-LAT-05", "loop_spread_ms", lambda ms: ms, 6.0),
    "echo": _sized("UA-SND-06", "echo_loss_db", lambda db: 100 * 10 ** (-db / 20), 0.5),
    "noise": _sized("UA-SND-05", "noise_dbfs", lambda db: math.sqrt(3) * _FULL_SCALE * 10 ** (db / 20), 0.1),
    "hum": _sized("UA-SND-05", "noise_dbfs", lambda db: math.sqrt(2) * _FULL_SCALE * 10 ** (db / 20), 0.1),
    "offset": _sized("UA-SND-05", "offset_dbfs", lambda db: _FULL_SCALE * 10 ** (db / 20), 0.1),
    "mic-quiet": _sized("UA-SND-02", "level_deviation_db", lambda db: db, 0.1),
    "ear-quiet": _sized("UA-SND-02", "level_deviation_db", lambda db: db, 0.1),
    "treble-lost": _sized("UA-SND-03", "response_deviation_db", _treble_share, 0.3),
    "distortion": _sized("UA-SND-04", "distortion_db", _cubic_share, 0.5),
    **_plainly("UA-SND-07", "right-ear-silent", "ears-swapped"),
    "plug-slow": _sized("UA-USB-03", "usable_after_s", lambda seconds: 1000 * (seconds - 0.8), 0.0),
    **_plainly("UA-USB-08", "plug-skipped"),
    "drops-off-bus": Seed(requirement="UA-USB-07", usual=30),
}
"""What the virtual headset does wrong."""

NOT_SCORED: Mapping[str, str] = {
    "serial-shared": "shows only with two units, and a scoring has one",
    "hangs": "a unit that answers nothing is a ghost to its agent, which lets no run have it",
}
"""Defects that no measured requirement can find, and why."""


def programme() -> Programme:
    """The programme that the suite is scored by."""
    return next(one for one in shipped_programmes() if one.id == PROGRAMME)


def asked(of: Programme) -> dict[str, Asked]:
    """Every case that a requirement of profile digital with a procedure asks for."""
    wanted = {requirement.case for requirement in requirements_in(of, PROFILE)}
    (suite,) = [suite for suite in of.suites if any(case.id in wanted for case in suite.cases)]
    cases = tuple(case for case in suite.cases if case.id in wanted)
    return {PROFILE: Asked(programme=of, profile=PROFILE, cases=cases, suite=suite.id, instrument=INSTRUMENT)}


def ics(of: Programme) -> Answers:
    """The answers of a headset with a cable that has everything else."""
    return {
        feature.id: feature.id not in LACKS if feature.kind is AnswerKind.YES_NO else feature.choices[0]
        for feature in of.proforma.features
    }


def found_by() -> dict[str, FoundBy]:
    """As a row of the score takes it."""
    return {defect: FoundBy(requirement=seed.requirement) for defect, seed in SEEDS.items()}


def subjects(tier: str, of: Programme, *, healthy: int) -> tuple[Subject, ...]:
    """One headset with every defect, at both sizes where one is measured; and so many healthy ones."""
    made = [Subject(phone=tier)] * healthy
    for defect, seed in sorted(SEEDS.items()):
        if seed.sized is None:
            made.append(Subject(phone=tier, defect=defect, size=seed.usual))
            continue
        for share, size in sizes_of(seed, of):
            made.append(Subject(phone=tier, defect=defect, size=size, share=share))
    return tuple(made)


def sizes_of(seed: Seed, of: Programme) -> tuple[tuple[float, float], ...]:
    """Shares of the limit with the sizes for them; the limit is that of the most stringent level that has one."""
    sized = seed.sized
    if sized is None:
        raise InvariantBroken(f"a defect of {seed.requirement} has no quantity that measures its size")
    requirement = next(one for one in of.requirements if one.id == seed.requirement)
    check = next(one for one in requirement.checks if one.quantity == sized.quantity)
    limit = next(check.limits[level.id] for level in reversed(of.levels) if level.id in check.limits)
    end, worse = (limit.max, sized.u) if limit.max is not None else (limit.min, -sized.u)
    if end is None:
        raise InvariantBroken(f"{seed.requirement} has no limit for {sized.quantity}; a size is measured by one")
    return (PASSES, PASSES * sized.size_at(end)), (FAILS, FAILS * sized.size_at(end + worse))
