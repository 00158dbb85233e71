"""Samples: announced, received, handed on, linked with submissions and units, given back. Reads, decides, commits."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from pydantic import AwareDatetime, Field

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, NotFound, Problem
from lab_inventory.noun import Label, Noun, Text
from orchestrator.lifecycle.sample import (
    Origin,
    SampleAnnounced,
    SampleBroughtToBench,
    SampleDisposed,
    SampleLinked,
    SampleLost,
    SampleReceived,
    SampleReturned,
    SampleStored,
    SampleUnitNamed,
    SampleView,
)
from orchestrator.pipeline.sampling import against_serial, against_submission, against_time, against_unit
from orchestrator.store import sample_views, views
from orchestrator.store.store import Reading, Store

ANNOUNCED_PER_VENDOR_MAX = 200


class Announcement(Noun):
    """What a sample is going to be one of."""

    vendor: Label
    maker: Label
    model: Label
    hardware_revision: Label
    serial: Label | None = None
    note: Text = ""


class Receipt(Noun):
    """What arrived. ``handed_by``: who brought it; ``handed_to``: who took it; ``happened_at`` None: now."""

    serial: Label
    origin: Origin
    condition: Text = Field(min_length=1)
    seal: Label
    handed_by: Label
    handed_to: Label
    place: Label
    happened_at: AwareDatetime | None = None
    note: Text = ""


class HandOver(Noun):
    """Who gave it to whom, and where it is then."""

    handed_by: Label
    handed_to: Label
    place: Label
    happened_at: AwareDatetime | None = None
    note: Text = ""


class Samples:
    """The samples of the lab. Everything here is a fact in the journal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def announce(self, told: Announcement, by: str, vendor: str | None = None) -> str:
        """Expect a sample; gives its id. ``vendor``: who alone may be meant, None: anybody.

        Raises BadInput for another vendor's, Conflict for a serial that is another sample's, or too many announced.
        """
        if vendor is not None and told.vendor != vendor:
            raise _refused([Problem(path="vendor", wrong=f"is {told.vendor!r}", expected=repr(vendor))])
        with self._store.deciding() as connection:
            waiting = sample_views.samples(
                connection, vendor=told.vendor, state="announced", limit=ANNOUNCED_PER_VENDOR_MAX
            )
            if len(waiting) >= ANNOUNCED_PER_VENDOR_MAX:
                raise Conflict(f"{len(waiting)} samples of {told.vendor} are announced already and did not arrive yet")
            fact = SampleAnnounced(sample=self._clock.new_id("smp"), by=by, at=self._clock.now(), **dict(told))
            if told.serial is not None:
                others = sample_views.of_serial(connection, told.maker, told.model, told.serial)
                self._require(against_serial(fact.sample, None, told.serial, others))
            self._store.commit([fact])
        return fact.sample

    def receive(self, sample: str, told: Receipt, by: str) -> None:
        """It arrived, or was found again; raises BadInput with every reason why this cannot be that sample."""
        with self._store.deciding() as connection:
            view = self._known(connection, sample)
            at = self._happened(told.happened_at)
            others = sample_views.of_serial(connection, view.maker, view.model, told.serial)
            self._require(
                [
                    *against_time(view, at, self._clock.now()),
                    *against_serial(sample, view.serial, told.serial, others),
                ]
            )
            fields = dict(told) | {"happened_at": at}
            self._store.commit([SampleReceived(sample=sample, by=by, at=self._clock.now(), **fields)])

    def store(self, sample: str, told: HandOver, by: str) -> None:
        """It goes into store."""
        self._hand(SampleStored, sample, told, by)

    def bring_to_bench(self, sample: str, told: HandOver, by: str) -> None:
        """It goes to a bench; raises BadInput where the lab file has no bench of that name."""
        with self._store.reading() as connection:
            lab = views.lab(connection)
        benches = sorted({bench.name for host in lab.hosts for bench in host.benches}) if lab else []
        if told.place not in benches:
            expected = f"a bench of the lab file: {', '.join(benches) or 'there is none'}"
            raise _refused([Problem(path="place", wrong=f"is {told.place!r}", expected=expected)])
        self._hand(SampleBroughtToBench, sample, told, by)

    def give_back(self, sample: str, told: HandOver, by: str) -> None:
        """It goes back to whom it came from."""
        self._hand(SampleReturned, sample, told, by)

    def dispose(self, sample: str, how: str, by: str, happened_at: datetime | None = None) -> None:
        """It is destroyed or recycled."""
        self._end(SampleDisposed, sample, how, by, happened_at)

    def lose(self, sample: str, what_is_known: str, by: str, happened_at: datetime | None = None) -> None:
        """Nobody knows where it is."""
        self._end(SampleLost, sample, what_is_known, by, happened_at)

    def link(self, sample: str, submission: str, by: str) -> None:
        """It is what a submission is about; raises BadInput where that is of another product."""
        with self._store.deciding() as connection:
            view = self._known(connection, sample)
            found = views.content(connection, submission)
            if found is None:
                raise NotFound(f"there is no submission {submission[:80]}")
            if submission in sample_views.submissions_of(connection, sample):
                raise Conflict(f"{sample} is linked with {submission} already")
            self._require(against_submission(view, found[0]))
            self._store.commit([SampleLinked(sample=sample, submission=submission, by=by, at=self._clock.now())])

    def name_unit(self, sample: str, unit: str, by: str) -> None:
        """It is a unit that an agent registered; raises BadInput where that is another product, or a sample already."""
        with self._store.deciding() as connection:
            view = self._known(connection, sample)
            device = views.device(connection, unit)
            if device is None:
                raise NotFound(f"there is no device {unit[:80]}")
            self._require(against_unit(view, device, sample_views.of_unit(connection, unit)))
            self._store.commit([SampleUnitNamed(sample=sample, unit=unit, by=by, at=self._clock.now())])

    def _hand(
        self,
        of: Callable[..., SampleStored | SampleBroughtToBench | SampleReturned],
        sample: str,
        told: HandOver,
        by: str,
    ) -> None:
        with self._store.deciding() as connection:
            view = self._known(connection, sample)
            at = self._happened(told.happened_at)
            self._require(against_time(view, at, self._clock.now()))
            fields = dict(told) | {"happened_at": at}
            self._store.commit([of(sample=sample, by=by, at=self._clock.now(), **fields)])

    def _end(
        self,
        of: Callable[..., SampleDisposed | SampleLost],
        sample: str,
        note: str,
        by: str,
        happened_at: datetime | None,
    ) -> None:
        with self._store.deciding() as connection:
            view = self._known(connection, sample)
            at = self._happened(happened_at)
            self._require(against_time(view, at, self._clock.now()))
            self._store.commit([of(sample=sample, note=note, by=by, at=self._clock.now(), happened_at=at)])

    def _happened(self, given: datetime | None) -> datetime:
        """In UTC; raises BadInput for a time that there is not in UTC, as in the year 1 east of Greenwich."""
        try:
            return self._clock.now() if given is None else given.astimezone(UTC)
        except OverflowError as error:
            wrong = Problem(path="happened_at", wrong=f"is {given}", expected="a time of this lab")
            raise _refused([wrong]) from error

    @staticmethod
    def _known(connection: Reading, sample: str) -> SampleView:
        found = sample_views.sample(connection, sample)
        if found is None:
            raise NotFound(f"there is no sample {sample[:80]}")
        return found

    @staticmethod
    def _require(problems: Iterable[Problem]) -> None:
        found = tuple(problems)
        if found:
            raise _refused(found)


def _refused(problems: Iterable[Problem]) -> BadInput:
    return BadInput("the sample cannot be as it is told", problems=tuple(problems))
