"""Samples: announced, received, handed on, linked, given back; and their chain of custody."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, Field

from lab_inventory.errors import NotFound
from lab_inventory.noun import Label, Name, Noun, Text
from orchestrator.api.parts import BatchesRead, BatchesSubmit, Parts, PartsOf, SamplesWrite
from orchestrator.lifecycle.sample import Origin, SampleState
from orchestrator.samples import Announcement, HandOver, Receipt
from orchestrator.store import sample_views

router = APIRouter(prefix="/v1", tags=["samples"])
Row = dict[str, Any]
Sample = Annotated[Name, Path(examples=["smp-1"])]
Limit = Annotated[int, Query(ge=1, le=sample_views.PAGE_MAX)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Words = Annotated[str, Query(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Announced(Noun):
    """The id under which a sample is expected."""

    sample: str


class Move(HandOver):
    """A hand-over inside the lab. ``to`` bench: ``place`` is its name in the lab file."""

    to: Annotated[str, Field(pattern="^(store|bench)$", examples=["store"])]


class End(Noun):
    """How a sample ended."""

    note: Text = Field(min_length=1, examples=["shredded by the recycler"])
    happened_at: AwareDatetime | None = None


class ForSubmission(Noun):
    """The submission that a sample is for."""

    submission: Name


class IsUnit(Noun):
    """The registered unit that a sample is."""

    device: Label


@router.post("/samples", status_code=201)
def announce_sample(told: Announcement, parts: PartsOf, asking: BatchesSubmit) -> Announced:
    """Expect a sample; a vendor announces only its own."""
    return Announced(sample=parts.samples.announce(told, asking.subject, asking.vendor))


@router.get("/samples")
def list_samples(
    parts: PartsOf,
    asking: BatchesRead,
    state: SampleState | None = None,
    origin: Origin | None = None,
    words: Words = "",
    submission: Words = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> list[Row]:
    """Samples, announced last first; a vendor sees only its own. ``words``: part of id, vendor, product or serial."""
    with parts.store.reading() as connection:
        found = sample_views.samples(
            connection,
            vendor=asking.vendor,
            state=state or "",
            origin=origin or "",
            words=words,
            submission=submission,
            limit=limit,
            offset=offset,
        )
    return [sample_views.shown(view) for view in found]


@router.get("/samples/{sample}")
def show_sample(sample: Sample, parts: PartsOf, asking: BatchesRead) -> Row:
    """One sample with its chain of custody and its submissions."""
    return sample_of(parts, sample, asking.vendor)


def sample_of(parts: Parts, sample: str, vendor: str | None) -> Row:
    """One sample with its custody; raises NotFound, also where it is another vendor's."""
    with parts.store.reading() as connection:
        view = sample_views.sample(connection, sample, vendor)
        if view is None:
            raise NotFound(f"there is no sample {sample[:80]}")
        return sample_views.shown(view) | {
            "submissions": sample_views.submissions_of(connection, sample),
            "custody": sample_views.custody(connection, sample),
        }


@router.post("/samples/{sample}/receive", status_code=204)
def receive_sample(sample: Sample, told: Receipt, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It arrived, or was found again."""
    parts.samples.receive(sample, told, asking.subject)
    return Response(status_code=204)


@router.post("/samples/{sample}/move", status_code=204)
def move_sample(sample: Sample, told: Move, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It went from one hand to another inside the lab."""
    over = HandOver.model_validate(told.model_dump(exclude={"to"}))
    move = parts.samples.store if told.to == "store" else parts.samples.bring_to_bench
    move(sample, over, asking.subject)
    return Response(status_code=204)


@router.post("/samples/{sample}/return", status_code=204)
def return_sample(sample: Sample, told: HandOver, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It went back to whom it came from."""
    parts.samples.give_back(sample, told, asking.subject)
    return Response(status_code=204)


@router.post("/samples/{sample}/dispose", status_code=204)
def dispose_sample(sample: Sample, told: End, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It was destroyed or recycled; ``note`` says how."""
    parts.samples.dispose(sample, told.note, asking.subject, told.happened_at)
    return Response(status_code=204)


@router.post("/samples/{sample}/lose", status_code=204)
def lose_sample(sample: Sample, told: End, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It never arrived or cannot be found; ``note`` says what is known."""
    parts.samples.lose(sample, told.note, asking.subject, told.happened_at)
    return Response(status_code=204)


@router.post("/samples/{sample}/submission", status_code=204)
def link_sample(sample: Sample, told: ForSubmission, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It is what a submission is about."""
    parts.samples.link(sample, told.submission, asking.subject)
    return Response(status_code=204)


@router.post("/samples/{sample}/unit", status_code=204)
def name_unit(sample: Sample, told: IsUnit, parts: PartsOf, asking: SamplesWrite) -> Response:
    """It is this registered unit."""
    parts.samples.name_unit(sample, told.device, asking.subject)
    return Response(status_code=204)
