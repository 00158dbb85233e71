"""A bench's record of what it does to known truths: the uncertainty of its own measuring, found by measuring. Pure.

Takes the errors of repeated runs of the bench's own loop; gives a record, and says why one does not hold.

How the expanded uncertainty of a quantity comes out of n errors e_1 ... e_n (measured minus truth):

    U = |mean| + 2 s sqrt(1 + 1/n)

s is their standard deviation (n - 1). A single later measurement has the spread s, the mean is known to s / sqrt(n),
and both together are expanded by k = 2 (GUM, JCGM 100:2008, 4.2 and 6.2; about 95 % for n of at least 30). The mean is
not taken off what is measured, so that it counts as a whole (GUM, F.2.4.5).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean, stdev
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from lab_inventory.errors import BadInput
from lab_inventory.lab import VALID_DAYS_MAX, Instrument
from lab_inventory.measurement import Unit
from lab_inventory.noun import Label, Name, Noun, Text

RUNS_MIN = 30
RUNS_MAX = 1000
COVERAGE = 2.0
QUANTITIES_MAX = 64


class CharacterisedQuantity(Noun):
    """One quantity: ``n`` errors against ``truth``, their mean and standard deviation, and the expanded uncertainty
    (k = 2), all in ``unit``.
    """

    quantity: Name
    unit: Unit
    truth: Text
    n: int = Field(ge=RUNS_MIN, le=RUNS_MAX)
    mean_error: float
    sd: float = Field(ge=0)
    uncertainty: float = Field(ge=0)

    @model_validator(mode="after")
    def _is_computed(self) -> Self:
        due = expanded(self.mean_error, self.sd, self.n)
        if not math.isclose(self.uncertainty, due, rel_tol=1e-6, abs_tol=1e-9):
            raise ValueError(f"{self.quantity} states U = {self.uncertainty:g}; expected {due:g} from its mean and sd")
        return self


class Load(Noun):
    """What else the host did meanwhile: its load average over a minute before and after, and how late the event loop of
    the bench was, as a median and at worst.
    """

    before: float = Field(ge=0)
    after: float = Field(ge=0)
    lateness_ms_median: float = Field(ge=0)
    lateness_ms_max: float = Field(ge=0)


class Characterisation(Noun):
    """One dated record. ``node``: the machine's own name; ``software``: of the instruments, as ``agents.version`` says;
    ``instruments``: those whose measuring it is about.
    """

    version: Literal[1] = 1
    record: Name
    at: AwareDatetime
    bench: Name
    host: Name
    node: Label
    kernel: Label
    machine: Label
    processors: int = Field(ge=1)
    software: Label
    instruments: tuple[Name, ...] = Field(min_length=1, max_length=16)
    runs: int = Field(ge=RUNS_MIN, le=RUNS_MAX)
    took_s: float = Field(gt=0)
    load: Load
    method: Text
    quantities: tuple[CharacterisedQuantity, ...] = Field(min_length=1, max_length=QUANTITIES_MAX)

    def by_unit(self) -> dict[Unit, float]:
        """The largest uncertainty in each unit: what holds for any quantity in it."""
        largest: dict[Unit, float] = {}
        for one in self.quantities:
            largest[one.unit] = max(one.uncertainty, largest.get(one.unit, 0.0))
        return largest


class CharacterisedBench(Noun):
    """The record that a bench has, beside what the bench is now: its host, the machine's name, the software of its
    instruments, and for how many days the lab file lets a record hold.
    """

    bench: Name
    host: Name
    node: Label
    software: Label
    valid_days: int = Field(ge=1, le=VALID_DAYS_MAX)
    record: Characterisation

    @property
    def valid_until(self) -> datetime:
        """Until when its age lets the record hold."""
        return self.record.at + timedelta(days=self.valid_days)

    def why_invalid(self, at: datetime, bench: str = "", host: str = "") -> str:
        """Why the record does not hold for what the bench measures at that time; empty where it does.

        ``bench`` and ``host``: where that is known, those on which something was measured.
        """
        record = self.record
        for what, of_record, now in (
            ("bench", record.bench, bench or self.bench),
            ("host", record.host, host or self.host),
            ("machine", record.node, self.node),
        ):
            if of_record != now:
                return f"the record {record.record} of its characterisation is of {what} {of_record}, this is {now}"
        if record.software != self.software:
            return (
                f"the record {record.record} of its characterisation was made with the instruments of version "
                f"{record.software}, these are of {self.software}"
            )
        if at > self.valid_until:
            return (
                f"the record {record.record} of its characterisation, of {record.at:%Y-%m-%d}, was valid for "
                f"{self.valid_days} days, until {self.valid_until:%Y-%m-%d}"
            )
        if at < record.at:
            made = f"on {record.at:%Y-%m-%d}"
            return f"the record {record.record} of its characterisation was made after it measured, {made}"
        return ""


NO_RECORD = "the bench has no record of its characterisation; 'assay-agent bench characterise' makes one"


def expanded(mean_error: float, sd: float, n: int) -> float:
    """The expanded uncertainty (k = 2) from n errors, in their unit."""
    return abs(mean_error) + COVERAGE * sd * math.sqrt(1 + 1 / n)


def characterised(quantity: str, unit: Unit, truth: str, errors: Sequence[float]) -> CharacterisedQuantity:
    """A quantity from its errors. Raises BadInput for fewer than 30."""
    require_enough(len(errors), f"{quantity}: ")
    mean_error, sd = fmean(errors), stdev(errors)
    return CharacterisedQuantity(
        quantity=quantity,
        unit=unit,
        truth=truth,
        n=len(errors),
        mean_error=mean_error,
        sd=sd,
        uncertainty=expanded(mean_error, sd, len(errors)),
    )


def require_enough(runs: int, of: str = "") -> None:
    """Raises BadInput where so many runs say too little, or would take for ever."""
    if runs < RUNS_MIN:
        why = "fewer say too little of how the errors are spread"
        raise BadInput(f"{of}{runs} runs are not enough; expected at least {RUNS_MIN}, because {why}")
    if runs > RUNS_MAX:
        raise BadInput(f"{of}{runs} runs are too many; expected at most {RUNS_MAX}")


def widened(instrument: Instrument, record: Characterisation) -> Instrument:
    """An instrument with the larger uncertainty of both in each unit: of the lab file, and of the record about it."""
    if instrument.name not in record.instruments:
        return instrument
    told = instrument.uncertainty
    larger = {unit: max(known, told.get(unit, 0.0)) for unit, known in record.by_unit().items()}
    return instrument.model_copy(update={"uncertainty": {**told, **larger}})
