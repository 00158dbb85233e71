"""Why a sample cannot be received, moved or linked as somebody says it was: reasons, and no decision. Pure."""

from collections.abc import Iterator
from datetime import datetime

from lab_inventory.errors import Problem
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.sample import SampleState, SampleView
from orchestrator.lifecycle.snapshot import DeviceView


def against_time(sample: SampleView, happened_at: datetime, now: datetime) -> Iterator[Problem]:
    """Custody is a chain: what happens to a sample comes after what happened before, and not in the future.

    What was announced may have arrived before that was written down.
    """
    last = sample.changed_at
    if happened_at > now:
        wrong = f"is {happened_at.isoformat()}"
        yield Problem(path="happened_at", wrong=wrong, expected=f"at the latest now, {now.isoformat()}")
    elif sample.state is not SampleState.ANNOUNCED and happened_at < last:
        wrong = f"is {happened_at.isoformat()}"
        expected = f"not before what is known last of this sample happened, {last.isoformat()}"
        yield Problem(path="happened_at", wrong=wrong, expected=expected)


def against_serial(sample: str, known: str | None, serial: str, others: tuple[SampleView, ...]) -> Iterator[Problem]:
    """Another sample than the one that is ``known`` by its serial, or one that is told of under another name.

    ``others``: the samples of its maker and model under ``serial``.
    """
    if known is not None and known != serial:
        wrong, expected = f"is {serial!r}", f"{known!r}, as told before; announce this one as a sample of its own"
        yield Problem(path="serial", wrong=wrong, expected=expected)
    for other in others:
        if other.sample != sample:
            wrong = f"{other.maker} {other.model} with serial {serial!r} is sample {other.sample} ({other.state})"
            yield Problem(path="serial", wrong=wrong, expected="a serial of which there is no other sample")


def against_submission(sample: SampleView, content: Submission) -> Iterator[Problem]:
    """A submission of something else than this is a sample of."""
    asked = {
        "vendor": (sample.vendor, content.vendor),
        "maker": (sample.maker, content.product.maker),
        "model": (sample.model, content.product.model),
        "hardware revision": (sample.hardware_revision, content.hardware_revision),
    }
    for name, (of_sample, of_submission) in asked.items():
        if of_sample != of_submission:
            wrong = f"the submission's {name} is {of_submission!r}"
            yield Problem(path="submission", wrong=wrong, expected=f"{of_sample!r}, as this is a sample of")


def against_unit(sample: SampleView, unit: DeviceView, others: tuple[SampleView, ...]) -> Iterator[Problem]:
    """A unit that is another product than the sample, or that is a sample already."""
    of = unit.registration
    asked = {
        "maker": (sample.maker, of.product.maker),
        "model": (sample.model, of.product.model),
        "hardware revision": (sample.hardware_revision, of.hardware_revision),
    }
    for name, (of_sample, of_unit) in asked.items():
        if of_sample != of_unit:
            wrong = f"the unit's {name} is {of_unit!r}"
            yield Problem(path="unit", wrong=wrong, expected=f"{of_sample!r}, as this is a sample of")
    for other in others:
        if other.sample != sample.sample:
            wrong = f"{unit.device} is sample {other.sample} ({other.state})"
            yield Problem(path="unit", wrong=wrong, expected="a unit that is no other sample")
