"""Whatever can come of measuring the small programme, as strategies; well more often than not."""

import small_programme as small
from hypothesis import assume
from hypothesis import strategies as st

from lab_inventory.measurement import Measurement, Unit
from lab_inventory.messages import CaseEnded, CaseStatus

RATES = st.floats(-10, 2000, allow_nan=False)
VALUES = {
    "ringing_ms": RATES,
    "answered": st.booleans(),
    "gain_db": st.floats(-5, 5, allow_nan=False),
    "lost": st.integers(0, 3),
    "digits": st.booleans(),
}
STALLS = st.one_of(st.none(), st.floats(0, 600))


@st.composite
def case_ended(draw: st.DrawFn, case: str, repeat: int) -> CaseEnded:
    """Any way in which a repeat of a case can end; well more often than not."""
    status = draw(st.sampled_from([CaseStatus.MEASURED] * 6 + [CaseStatus.ERROR, CaseStatus.NOT_RUN]))
    if status is not CaseStatus.MEASURED:
        return small.not_measured(case, repeat, status)
    measurements: dict[str, Measurement] = {}
    for quantity in small.QUANTITIES[case]:
        value = draw(st.one_of(st.just(small.GOOD[quantity]), st.none(), VALUES[quantity]))
        uncertainty = draw(st.sampled_from([None, 0.1, 0.5, 30.0]))
        stall = draw(st.one_of(st.none(), STALLS))
        measurements[quantity] = small.measured(quantity, value, uncertainty=uncertainty, bench_stall=stall)
    left_out = draw(st.sampled_from([(), (), (), small.QUANTITIES[case][:1]]))
    whole = small.ended(case, repeat, **measurements)
    return whole.model_copy(update={"measurements": tuple(m for m in whole.measurements if m.quantity not in left_out)})


@st.composite
def attempts(draw: st.DrawFn, number: int) -> small.Attempt:
    bodies = [
        draw(case_ended(case, repeat)) for case, repeats in small.REPEATS.items() for repeat in range(1, repeats + 1)
    ]
    kept = [body for body in bodies if draw(st.integers(0, 9)) > 0]
    return small.attempt(number, *kept, preamble=draw(st.integers(0, 9)) > 0)


@st.composite
def submissions(draw: st.DrawFn) -> tuple[small.Attempt, ...]:
    return tuple(draw(attempts(number)) for number in range(1, 1 + draw(st.integers(0, 3))))


@st.composite
def spoilt_values(draw: st.DrawFn) -> tuple[tuple[small.Attempt, ...], tuple[small.Attempt, ...]]:
    """A submission, and the same with one measured value drawn further out of what is asked."""
    before = draw(submissions())
    measured = [place for place in places(before) if measurement_at(before, place).value is not None]
    assume(measured)
    place = draw(st.sampled_from(measured))
    spoilt = _worse(measurement_at(before, place), draw(st.one_of(st.none(), st.floats(0, 3000))))
    return before, with_measurement(before, place, spoilt)


def _worse(measurement: Measurement, by: float | None) -> Measurement:
    """Further from what every level asks. ``by`` None: no value at all."""
    value = measurement.value
    assert value is not None
    if by is None:
        worse: float | bool | None = None
    elif measurement.unit is Unit.BOOL:
        worse = False
    elif measurement.quantity == "gain_db" and value < 0:
        worse = value - by
    else:
        worse = value + int(by) if isinstance(value, int) else value + by
    return measurement.model_copy(update={"value": worse})


Place = tuple[int, int, int]
"""An attempt, a report of it and a measurement in that, each by its number."""


def places(of: tuple[small.Attempt, ...]) -> list[Place]:
    """Where measurements stand."""
    return [
        (a, r, m)
        for a, (_, reports) in enumerate(of)
        for r, report in enumerate(reports)
        if isinstance(report.report.body, CaseEnded)
        for m in range(len(report.report.body.measurements))
    ]


def measurement_at(of: tuple[small.Attempt, ...], place: Place) -> Measurement:
    """The measurement that stands there."""
    a, r, m = place
    body = of[a][1][r].report.body
    assert isinstance(body, CaseEnded)
    return body.measurements[m]


def with_measurement(
    of: tuple[small.Attempt, ...], place: Place, instead: Measurement | None
) -> tuple[small.Attempt, ...]:
    """The same with another measurement in that place, or none."""
    a, r, m = place
    run, reports = of[a]
    bodies = [report.report.body for report in reports]
    body = bodies[r]
    assert isinstance(body, CaseEnded)
    put = () if instead is None else (instead,)
    measurements = (*body.measurements[:m], *put, *body.measurements[m + 1 :])
    bodies[r] = body.model_copy(update={"measurements": measurements})
    return (*of[:a], small.attempt_of(run.attempt, *bodies, cases=run.cases), *of[a + 1 :])
