"""What a test report takes from the register of samples, and what a sheet cannot say against it."""

from dataclasses import replace
from datetime import UTC, date, datetime

from on_record import SHEET, composed, recorded

from orchestrator.lifecycle.sample import Origin, SampleState, SampleView
from orchestrator.reports.content import Recorded, against
from orchestrator.reports.rendering import html, pdf

RECEIVED = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
SAMPLE = SampleView(
    sample="smp-1",
    state=SampleState.AT_BENCH,
    vendor="Acme",
    maker="Acme",
    model="One",
    hardware_revision="A",
    serial="S-1",
    origin=Origin.RETAIL,
    condition="Unopened.",
    seal="none",
    place="bench 1",
    holder="anna",
    unit=None,
    announced_at=RECEIVED,
    received_at=RECEIVED,
    changed_at=RECEIVED,
)


def on_register(*samples: SampleView) -> Recorded:
    return replace(recorded(), samples=samples)


def test_samples_of_the_submission_stand_in_the_report_with_serial_origin_and_condition() -> None:
    report = composed(on_register(SAMPLE, replace(SAMPLE, sample="smp-2", serial=None, origin=None, received_at=None)))
    (sample,) = report.samples
    assert (sample.serial, sample.origin, sample.received_on) == ("S-1", "retail", date(2026, 11, 2))
    assert "Unopened." in html(report)
    assert pdf(report).startswith(b"%PDF")


def test_a_day_of_receipt_that_the_register_does_not_know_stands_against_a_report() -> None:
    other = SHEET.model_copy(update={"item": SHEET.item.model_copy(update={"received_on": date(2026, 11, 3)})})
    (problem,) = against(on_register(SAMPLE), other)
    assert problem.path == "item.received_on"
    assert problem.wrong == "says 2026-11-03, and the register has no sample of this submission that was received then"
    assert problem.expected == "2026-11-02"
    assert against(on_register(SAMPLE), SHEET) == ()


def test_without_a_sample_on_the_register_the_sheet_alone_says_when_it_was_received() -> None:
    assert against(on_register(), SHEET) == ()
    assert not composed(on_register()).samples
