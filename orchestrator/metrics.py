"""What Prometheus reads: prefix ``assay_``, base units, labels from closed sets, every series there from the start.

Two kinds. What the lab has done is counted in the database and is the same at every server: of several, one takes the
maximum. What a process did is counted in that process, and one takes the sum (docs/decisions/0010).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from lab_inventory.clock import Clock
from lab_inventory.errors import Unavailable
from lab_inventory.programme import Programme
from orchestrator.lifecycle.certificate import CertificateState
from orchestrator.lifecycle.verdict import Verdict
from orchestrator.pipeline import tally
from orchestrator.pipeline.tally import BUCKETS_S, SUM, LabErrorClass, LateReport, Series, end_of
from orchestrator.store import listings, programme_views, tallies, views
from orchestrator.store.store import Store

PASS_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
QUARANTINE_KINDS = ("device", "bench")
LOOK_S, LOOK_S_MAX = 1.0, 10.0
"""How often units are looked at at most, and for how long at most what was seen is taken to have been so."""

LAB = "lab"
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A metric that is counted in the database. ``labels``: with the closed set of their values, ``lab`` aside."""

    name: str
    words: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gauge: bool = False

    def family(self, lab: str, of: Mapping[tuple[str, ...], Mapping[str, float]]) -> Family:
        """Every series of it, from ``of``: by label values, then by part."""
        names = (LAB, *self.labels)
        # What was counted before a label was added or taken away cannot be shown any more.
        counted = (labels for labels in of if len(labels) == len(self.labels))
        known = dict.fromkeys((*product(*self.labels.values()), *counted))
        if self.name in BUCKETS_S:
            histogram = HistogramMetricFamily(self.name, self.words, labels=names)
            for labels in known:
                parts = of.get(labels, {})
                histogram.add_metric(
                    (lab, *labels), buckets=list(_buckets(self.name, parts)), sum_value=parts.get(SUM, 0)
                )
            return histogram
        family = (GaugeMetricFamily if self.gauge else CounterMetricFamily)(self.name, self.words, labels=names)
        for labels in known:
            family.add_metric((lab, *labels), of.get(labels, {}).get("", 0))
        return family


def _buckets(name: str, parts: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """The cumulated buckets: what was counted under an end that is no more goes to the next higher one."""
    ends = BUCKETS_S[name]
    counted = sorted((float(end), number) for end, number in parts.items() if end != SUM)
    for at in range(len(ends) + 1):
        end = end_of(ends, at)
        yield end, sum(number for upper, number in counted if upper <= float(end))


def counted_metrics(programmes: Iterable[Programme]) -> tuple[Counted, ...]:
    """The metrics that are counted in the database, with the categories and levels of the loaded programmes.

    Those of a programme that is manual throughout are there once something was counted: few are ever submitted to.
    """
    loaded = tuple(programme for programme in programmes if programme.suites)
    categories = tuple(dict.fromkeys(programme.category for programme in loaded))
    levels = tuple(dict.fromkeys(level.id for programme in loaded for level in programme.levels))
    category = {"category": categories}
    return (
        Counted(
            name=tally.RUNS_COMPLETED, words="Runs completed with a verdict: the lab's throughput.", labels=category
        ),
        Counted(
            name=tally.LAB_ERRORS,
            words="Runs that ended by the lab's fault, by where it failed.",
            labels=category | {"class": tuple(LabErrorClass)},
        ),
        Counted(
            name=tally.LEVEL_VERDICTS,
            words="Judged submissions by level and its verdict.",
            labels=category | {"level": levels, "verdict": tuple(Verdict)},
        ),
        Counted(
            name=tally.LEVELS_MET,
            words="Judged submissions that met a level: every requirement, none unstable.",
            labels=category | {"level": levels},
        ),
        Counted(name=tally.UNSTABLE, words="Requirements that passed only after a fail.", labels=category),
        Counted(
            name=tally.CERTIFICATES_NOW,
            words="Certificates by state.",
            labels={"state": tuple(CertificateState)},
            gauge=True,
        ),
        Counted(name=tally.LEASES_LAPSED, words="Leases that ran out without a renewal."),
        Counted(
            name=tally.LATE_REPORTS,
            words="Reports that came when their lease was no longer live, by what came of them.",
            labels={"outcome": tuple(LateReport)},
        ),
        Counted(name=tally.REPORTS_QUARANTINED, words="Reports that came and do not count."),
        Counted(
            name=tally.QUARANTINES,
            words="Units and benches that the lab took out by itself.",
            labels={"kind": QUARANTINE_KINDS},
        ),
        Counted(name=tally.QUEUE_WAIT, words="From queued to placed.", labels=category),
        Counted(
            name=tally.DISPATCH_LATENCY,
            words="From the decision to the answer of the agent that its process was started.",
        ),
        Counted(name=tally.RUN_DURATION, words="From the start of a run to its end.", labels=category),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one scrape reads, as one committed state."""

    lab: str
    programmes: tuple[Programme, ...]
    counted: Mapping[Series, float]
    devices: Mapping[str, int]
    quarantined: Mapping[str, int]
    waiting: int
    active: int
    prompts: int
    oldest: datetime | None


def read_figures(store: Store) -> Figures:
    """Read them; what it costs depends on units, runs that wait and live leases, not on what the lab has done."""
    with store.reading() as connection:
        now = listings.counts(connection)
        lab = views.lab(connection)
        return Figures(
            lab=lab.lab if lab else "",
            programmes=programme_views.counted(connection),
            counted=tallies.read(connection),
            oldest=listings.oldest_waiting_since(connection),
            **now,
        )


class _Lab(Collector):
    """The families of one scrape; without the lab's own where the database does not answer."""

    def __init__(self, read: Callable[[], Figures], clock: Clock) -> None:
        self._read = read
        self._clock = clock

    def collect(self) -> Iterator[Family]:
        """Read once, give everything."""
        readable = GaugeMetricFamily("assay_database_readable", "1 where the database answered this scrape, else 0.")
        try:
            figures = self._read()
        except Unavailable:
            readable.add_metric((), 0)
            yield readable
            return
        readable.add_metric((), 1)
        yield readable
        yield from self._gauges(figures)
        by_metric: dict[str, dict[tuple[str, ...], dict[str, float]]] = {}
        for series, value in figures.counted.items():
            by_metric.setdefault(series.metric, {}).setdefault(series.labels, {})[series.part] = value
        for metric in counted_metrics(figures.programmes):
            yield metric.family(figures.lab, by_metric.get(metric.name, {}))

    def _gauges(self, now: Figures) -> Iterator[GaugeMetricFamily]:
        waited_s = max(0.0, (self._clock.now() - now.oldest).total_seconds()) if now.oldest else 0.0
        for name, words, label, values in (
            ("assay_devices", "Registered units by state.", "state", now.devices),
            ("assay_quarantined", "Units and benches that are out now.", "kind", now.quarantined),
            ("assay_queue_depth", "Runs that wait for a bench.", "", {"": now.waiting}),
            ("assay_runs_active", "Runs that hold a lease.", "", {"": now.active}),
            ("assay_prompts_open", "Prompts that wait for somebody to measure or confirm.", "", {"": now.prompts}),
            (
                "assay_queue_oldest_seconds",
                "How long the run has waited that waits longest, those of held batches aside; 0 where none waits.",
                "",
                {"": waited_s},
            ),
        ):
            family = GaugeMetricFamily(name, words, labels=(LAB, label) if label else (LAB,))
            for value, number in values.items():
                family.add_metric((now.lab, value) if label else (now.lab,), number)
            yield family


class Metrics:
    """One registry of its own, so that tests and servers do not share counters."""

    def __init__(self, store: Store, clock: Clock, leads: Callable[[], bool] = lambda: True) -> None:
        # When a series began is of no use here, and would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = r = CollectorRegistry()
        self._store = store
        self._clock = clock
        self._looked_at_s: float | None = None
        self._seen: Mapping[str, int] = {}
        r.register(_Lab(lambda: read_figures(store), clock))
        self._pass = Histogram("assay_loop_pass_seconds", "One pass of the loop.", buckets=PASS_BUCKETS_S, registry=r)
        self._failed = Counter("assay_loop_passes_failed", "Passes of the loop that broke off.", registry=r)
        self._device_seconds = Counter(
            "assay_device_seconds", "Time of units in each state, while this server led.", ["state"], registry=r
        )
        leading = Gauge("assay_leading", "1 where this server leads, else 0.", registry=r)
        leading.set_function(lambda: float(leads()))
        for state in listings.DEVICE_STATES:
            self._device_seconds.labels(state)

    def pass_ended(self, took_s: float, *, failed: bool) -> None:
        """A pass of the loop took so long."""
        self._pass.observe(took_s)
        if failed:
            self._failed.inc()

    def begin(self) -> None:
        """This server leads from now on: what was before is not its time."""
        self._looked_at_s, self._seen = None, {}

    def look(self) -> None:
        """Count the time since the last look in the states that were seen then, and see; at most once a second.

        What nobody looked at for long is not counted as having stayed as it was. Raises Unavailable.
        """
        now_s = self._clock.boottime_s()
        since_s = now_s - self._looked_at_s if self._looked_at_s is not None else LOOK_S
        if since_s < LOOK_S:
            return
        with self._store.reading() as connection:
            states = listings.device_states(connection)
        for state, number in self._seen.items():
            self._device_seconds.labels(state).inc(number * min(since_s, LOOK_S_MAX))
        self._looked_at_s, self._seen = now_s, states

    def text(self) -> bytes:
        """The exposition, with the lab's figures as the database has them now."""
        return generate_latest(self.registry)
