"""Programmes: which can be submitted to, what one asks, and a lab's own ones offered and withdrawn."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from lab_inventory.errors import NotFound
from lab_inventory.noun import Name, Noun, Text
from lab_inventory.programme import Programme, Version
from orchestrator.api.parts import BatchesRead, PartsOf, ProgrammesWrite
from orchestrator.lifecycle.offering import named
from orchestrator.pipeline.submit import programme_named
from orchestrator.store import programme_views, views

router = APIRouter(prefix="/v1/programmes", tags=["programmes"])
Row = dict[str, Any]
ProgrammeId = Annotated[Name, Path(examples=["ip-phone-basic"])]


class Withdrawal(Noun):
    """Which version is closed to new submissions, and why."""

    version: Version = Field(examples=["1.0"])
    reason: Text = Field(examples=["Version 1.1 takes its place."])


class Offer(Noun):
    """What was opened; ``new``: whether it was not open before."""

    programme: str
    digest: str
    new: bool


@router.get("")
def list_programmes(parts: PartsOf, asking: BatchesRead) -> list[Row]:
    """The programmes that can be submitted to."""
    with parts.store.reading() as connection:
        found = views.programmes(connection)
        own = {kept.digest for kept in programme_views.versions(connection) if kept.own}
    return [
        {
            "id": programme.id,
            "version": programme.version,
            "title": programme.title,
            "category": programme.category,
            "demonstration": programme.demonstration,
            "levels": [level.id for level in programme.levels],
            "profiles": [profile.id for profile in programme.profiles],
            "requirements": len(programme.requirements),
            "digest": programme.digest,
            "own": programme.digest in own,
        }
        for programme in found
    ]


@router.get("/{programme}")
def show_programme(
    programme: ProgrammeId,
    parts: PartsOf,
    asking: BatchesRead,
    version: Annotated[Version | None, Query(description="The newest that is offered where it is left out.")] = None,
) -> Response:
    """The whole programme, also a version that is withdrawn but kept."""
    with parts.store.reading() as connection:
        offered = [one for one in views.programmes(connection) if one.id == programme]
        found = programme_named(programme, version, offered)
        if found is None and version is not None:
            kept = [one for one in programme_views.versions(connection, programme) if one.version == version]
            found = views.programme(connection, kept[-1].digest) if kept else None
    if found is None:
        raise NotFound(f"there is no programme {named(programme, version or '')[:80].rstrip('@')}")
    return Response(found.model_dump_json(indent=2), media_type="application/json")


@router.post("", status_code=201)
def offer(programme: Annotated[Programme, Body()], parts: PartsOf, asking: ProgrammesWrite) -> Offer:
    """Open a version of a programme to submissions; the same again changes nothing."""
    new = parts.offering.offer(programme, asking.subject)
    return Offer(programme=named(programme.id, programme.version), digest=programme.digest, new=new)


@router.post("/{programme}/withdraw", status_code=204)
def withdraw(
    programme: ProgrammeId, withdrawal: Annotated[Withdrawal, Body()], parts: PartsOf, asking: ProgrammesWrite
) -> Response:
    """Close a version to new submissions; those that are in are measured, judged and decided."""
    parts.offering.withdraw(programme, withdrawal.version, withdrawal.reason, asking.subject)
    return Response(status_code=204)
