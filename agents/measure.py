"""The recorder: what a procedure may measure is declared beside it, and everything measured goes through here.

Takes values and evidence from a procedure; gives the measurements of one case. It knows no limit and never says
pass or fail. A declared quantity that was never set is missing in what comes out, and what is missing never passes.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_inventory.canonical import sha256
from lab_inventory.errors import AssayError, InvariantBroken
from lab_inventory.lab import Instrument
from lab_inventory.measurement import Evidence, Measurement, Unit, Value
from lab_inventory.messages import EVIDENCE_BYTES_MAX, SoundToScore

RUN_EVIDENCE_BYTES_MAX = 2_000_000_000


class LabError(AssayError):
    """The lab, not the device, kept this from being measured"""

    slug = "lab-error"


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """How a test case is carried out, and the quantities it sets, each with its unit.

    ``carry_out(bench, recorder)`` measures and returns nothing; it raises :class:`LabError` where the lab is at fault.
    """

    id: str
    measures: Mapping[str, Unit]
    carry_out: Callable[[Any, "Recorder"], Awaitable[None]]


def procedure(
    procedure_id: str, *, measures: Mapping[str, Unit]
) -> Callable[[Callable[[Any, "Recorder"], Awaitable[None]]], Procedure]:
    """Declare a procedure beside its code; gives a :class:`Procedure` and registers nothing by itself."""

    def declare(carry_out: Callable[[Any, "Recorder"], Awaitable[None]]) -> Procedure:
        return Procedure(id=procedure_id, measures=dict(measures), carry_out=carry_out)

    return declare


@dataclass(frozen=True, kw_only=True)
class ToScore:
    """A sound whose score gives quantities: ``into`` has the place of each in the score, as ``heard.noise_dbov``.

    ``evidence``: the files that a measurement of it names. ``note``: what is said before what the score says itself.
    ``uncertainty``: of every quantity of it that is no bool, in place of the instrument's.
    """

    sound: SoundToScore
    into: Mapping[str, str]
    note: str = ""
    uncertainty: float | None = None
    evidence: tuple[str, ...] = ()


class Recorder:
    """Collects the measurements and the evidence of one repeat of one case.

    ``folder`` is where evidence is kept under its content address; ``instrument`` is what measures, and lends its
    characterised uncertainty to every measurement that brings none of its own.
    """

    def __init__(self, *, declared: Mapping[str, Unit], instrument: Instrument, folder: Path) -> None:
        self._declared = declared
        self._instrument = instrument
        self._folder = folder
        self._measured: dict[str, Measurement] = {}
        self._unmeasured: dict[str, str] = {}
        self._evidence: dict[str, Evidence] = {}
        self._to_score: list[ToScore] = []

    def measure(
        self,
        quantity: str,
        value: Value | None,
        *,
        uncertainty: float | None = None,
        added_uncertainty: float = 0.0,
        bench_stall: float | None = None,
        note: str = "",
        evidence: Sequence[str] = (),
    ) -> None:
        """Set one declared quantity, once, in its declared unit.

        ``value`` None says that the instrument looked and saw none; ``note`` then says what was looked for.
        ``added_uncertainty`` comes on top of the instrument's, or of ``uncertainty``, in the same unit.
        Raises InvariantBroken for a quantity that is not declared or already set.
        """
        unit = self._declared.get(quantity)
        if unit is None:
            raise InvariantBroken(f"quantity {quantity} is not declared by its procedure")
        if quantity in self._measured:
            raise InvariantBroken(f"quantity {quantity} was measured already")
        if uncertainty is None and unit is not Unit.BOOL:
            uncertainty = self._characterised(unit)
        if added_uncertainty and uncertainty is not None:
            uncertainty += added_uncertainty
        self._measured[quantity] = Measurement(
            quantity=quantity,
            unit=unit,
            value=value,
            uncertainty=uncertainty,
            bench_stall=bench_stall,
            instrument=self._instrument.name,
            note=note[:2000],
            evidence=tuple(evidence),
        )

    def _characterised(self, unit: Unit) -> float | None:
        """The instrument's own uncertainty in a unit; what is known of its milliseconds holds for its seconds too."""
        known = self._instrument.uncertainty
        if unit is Unit.SECOND and unit not in known and Unit.MILLISECOND in known:
            return known[Unit.MILLISECOND] / 1000
        return known.get(unit)

    def leave_unmeasured(self, quantity: str, why: str) -> None:
        """Say why this lab cannot measure a declared quantity now: it stays unset, and what is unset never passes and
        never fails. Raises InvariantBroken for a quantity that is not declared or already set.
        """
        if quantity not in self._declared or quantity in self._measured:
            raise InvariantBroken(f"quantity {quantity} is not declared by its procedure, or was measured already")
        self._unmeasured[quantity] = why

    def score_later(self, wanted: ToScore) -> None:
        """Have recordings scored once the run does not send any more; their quantities are measured then.

        Raises InvariantBroken for a quantity that is not declared, already set, or already waits for a score.
        """
        waiting = {quantity for one in self._to_score for quantity in one.into}
        for quantity in wanted.into:
            if quantity not in self._declared or quantity in self._measured or quantity in waiting:
                raise InvariantBroken(f"quantity {quantity} is not declared by its procedure, or has a value already")
        self._to_score.append(wanted)

    def to_score(self) -> tuple[ToScore, ...]:
        """What waits for a score."""
        return tuple(self._to_score)

    def unmeasured(self) -> str:
        """Which quantities were left unmeasured and why, in words; empty where none was."""
        return "; ".join(f"{quantity} was not measured: {why}" for quantity, why in self._unmeasured.items())

    def attach(self, name: str, media_type: str, data: bytes) -> str:
        """Keep a file as evidence; gives its content address. Raises LabError where it is too large or not kept."""
        if len(data) > EVIDENCE_BYTES_MAX:
            raise LabError(f"evidence {name} has {len(data)} bytes; at most {EVIDENCE_BYTES_MAX} are kept")
        if kept_bytes(self._folder) + len(data) > RUN_EVIDENCE_BYTES_MAX:
            raise LabError(f"evidence {name} is not kept: a run keeps at most {RUN_EVIDENCE_BYTES_MAX // 10**6} MB")
        address = sha256(data)
        try:
            keep(self._folder, address, data)
        except OSError as error:
            raise LabError(f"evidence {name} cannot be kept: {error.strerror}") from error
        self._evidence[address] = Evidence(digest=address, name=name, media_type=media_type, size_bytes=len(data))
        return address

    def measurements(self) -> tuple[Measurement, ...]:
        """What was measured, in the declared order. A declared quantity that was never set is left out."""
        return tuple(self._measured[quantity] for quantity in self._declared if quantity in self._measured)

    def evidence(self) -> tuple[Evidence, ...]:
        """Every file that was attached."""
        return tuple(self._evidence.values())


def kept_bytes(folder: Path) -> int:
    """How much evidence a folder holds."""
    return sum(entry.stat().st_size for entry in os.scandir(folder)) if folder.is_dir() else 0


def keep(folder: Path, address: str, data: bytes) -> None:
    """Write ``data`` under its content address so that it is there whole or not at all."""
    path = evidence_path(folder, address)
    if path.exists():
        return
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def evidence_path(folder: Path, address: str) -> Path:
    """Where the evidence of that address lies in ``folder``."""
    return folder / address.removeprefix("sha256:")
