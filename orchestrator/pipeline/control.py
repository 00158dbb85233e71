"""Control devices: when one is to be measured, the charts of what was, and which point is a drift. Pure.

A control run is the least of all: it begins only where nothing else wants its unit or its bench, and is cancelled as
soon as something does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

from lab_inventory.lab import Bench
from lab_inventory.measurement import Unit
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.outcome import EXACT, value_in_words
from lab_inventory.programme import Programme, Purpose
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.control import DriftFound, DriftState
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.snapshot import DeviceView, QueuedRun
from orchestrator.pipeline.control_chart import Baseline, Signal, baseline, signals
from orchestrator.pipeline.submit import BatchRequest, take

CONTROL_PRIORITY = 0
CONTROL_EVERY = timedelta(hours=6)
"""Each point is a chance of a false alarm: with five charts this is about one in a week."""
POINTS_MAX = 500
"""Control runs of a bench that are looked at, the newest."""


@dataclass(frozen=True, kw_only=True)
class ControlRun:
    """A control run that completed, with what its cases measured."""

    run: str
    at: datetime
    ended: tuple[CaseEnded, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run's value of a quantity: the mean over its repeats."""

    run: str
    at: datetime
    value: float


@dataclass(frozen=True, kw_only=True)
class DriftView:
    """A finding, and what was said of it. ``explained_at`` None: nothing yet."""

    drift: str
    bench: str
    chart: str
    run: str
    words: str
    state: DriftState
    found_at: datetime
    explanation: str = ""
    explained_by: str = ""
    explained_at: datetime | None = None
    anew: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The chart of one quantity of one case on a bench, since it last began anew. ``known`` None: too few points yet.

    ``found``: what is out of control, and was not there when somebody last explained a drift of this chart.
    """

    name: str
    unit: Unit
    points: tuple[Point, ...]
    known: Baseline | None
    found: tuple[Signal, ...]


def charts(runs: Sequence[ControlRun], drifts: Iterable[DriftView]) -> tuple[Chart, ...]:
    """The charts of a bench by name, from its control runs, earliest first, and its drifts."""
    drifts = tuple(drifts)
    return tuple(
        _chart(name, unit, points, [one for one in drifts if one.chart == name])
        for (name, unit), points in sorted(_series(runs).items())
    )


def _series(runs: Sequence[ControlRun]) -> Mapping[tuple[str, Unit], list[Point]]:
    """The points of each quantity that has an uncertainty: what is seen or counted has no chart."""
    series: dict[tuple[str, Unit], list[Point]] = {}
    for run in runs:
        values: dict[tuple[str, Unit], list[float]] = {}
        for case in run.ended:
            for measured in case.measurements if case.status is CaseStatus.MEASURED else ():
                if measured.value is not None and measured.unit not in EXACT:
                    name = f"{case.case} {measured.quantity}"
                    values.setdefault((name, measured.unit), []).append(float(measured.value))
        for key, of_run in values.items():
            series.setdefault(key, []).append(Point(run=run.run, at=run.at, value=fmean(of_run)))
    return series


def _chart(name: str, unit: Unit, points: Sequence[Point], drifts: Sequence[DriftView]) -> Chart:
    explained = [(one.explained_at, one.anew) for one in drifts if one.explained_at is not None]
    anew_at = max((at for at, anew in explained if anew), default=None)
    since_at = max((at for at, _ in explained), default=None)
    shown = tuple(point for point in points if anew_at is None or point.at > anew_at)
    known = baseline([point.value for point in shown])
    first = next((n for n, point in enumerate(shown) if since_at is None or point.at > since_at), len(shown))
    looked_at = [point.value for point in shown[first:]]
    found = signals(looked_at, known) if known else ()
    moved = tuple(Signal(at=one.at + first, rule=one.rule) for one in found)
    return Chart(name=name, unit=unit, points=shown, known=known, found=moved)


def drifts_found(
    bench: str, of_bench: Iterable[Chart], drifts: Iterable[DriftView], now: datetime, new_id: Callable[[str], str]
) -> tuple[DriftFound, ...]:
    """A finding for the first point of each chart that is out of control and stands in none yet; one at a time."""
    open_charts = {one.chart for one in drifts if one.state is DriftState.OPEN}
    return tuple(
        DriftFound(
            drift=new_id("dft"),
            bench=bench,
            chart=chart.name,
            run=chart.points[chart.found[0].at].run,
            words=_words(bench, chart, chart.found[0]),
            at=now,
        )
        for chart in of_bench
        if chart.found and chart.name not in open_charts
    )


def _words(bench: str, chart: Chart, signal: Signal) -> str:
    point, known = chart.points[signal.at], chart.known
    between = " to ".join(f"{limit:.6g}" for limit in known.limits) if known else "–"
    was = value_in_words(point.value, chart.unit)
    return f"{chart.name} on {bench} was {was} in {point.run}: {signal.rule} ({between}, {point.at:%Y-%m-%d %H:%M} UTC)"


def control_programme(category: str, programmes: Iterable[Programme]) -> Programme | None:
    """The programme with which a control device of this category is measured, or None."""
    return next((one for one in programmes if one.purpose is Purpose.CONTROL and one.category == category), None)


def competes(run: QueuedRun, device: DeviceView, bench: Bench) -> bool:
    """Whether a waiting run could want this unit, or what its bench has for one run at a time."""
    own = run.key == device.key and run.unit in (None, device.device)
    return own or bool(run.needs) or any(instrument.exclusive for instrument in bench.instruments)


def begin(
    device: DeviceView, bench: str, programme: Programme, now: datetime, new_id: Callable[[str], str]
) -> tuple[Fact, ...]:
    """A batch of one submission, bound to the control device, that nothing waits for."""
    registration = device.registration
    content = Submission(
        title=f"control of bench {bench}"[:120],
        vendor=registration.product.maker,
        product=registration.product,
        hardware_revision=registration.hardware_revision,
        mode=registration.mode,
        profile=programme.profiles[0].id,
        ics={},
        unit=device.device,
    )
    request = BatchRequest(
        title=content.title,
        programme=programme.id,
        programme_version=programme.version,
        priority=CONTROL_PRIORITY,
        submissions=(content,),
    )
    batch, *runs = take(request, programme, "assay", now, new_id)
    return batch, *runs
