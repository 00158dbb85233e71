"""Who is told of which events, where."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field

from lab_inventory.errors import Forbidden
from lab_inventory.noun import Name, Noun
from orchestrator.api.parts import LabRead, LabWrite, PartsOf
from orchestrator.lifecycle.rights import Scope
from orchestrator.lifecycle.subscription import Way
from orchestrator.pipeline.notify import EVENTS, OF_PEOPLE
from orchestrator.store import subscription_views

router = APIRouter(prefix="/v1", tags=["subscriptions"])
Row = dict[str, Any]
Subscription = Annotated[Name, Path(examples=["chat"])]


class NewSubscription(Noun):
    """Whom to tell of what."""

    subscription: Name = Field(examples=["chat"])
    way: Way = Field(examples=["webhook"])
    target: str = Field(min_length=1, max_length=500, examples=["https://chat.example/hooks/lab"])
    events: tuple[str, ...] = Field(min_length=1, max_length=len(EVENTS), examples=[["batch.completed"]])


class Added(Noun):
    """What was added; ``secret`` checks the signature of webhooks and is never told again."""

    subscription: str
    secret: str


class Tried(Noun):
    """What came of a test notice."""

    arrived: bool
    said: str


@router.get("/events-to-subscribe")
def list_events(asking: LabRead) -> list[str]:
    """The events that can be subscribed to."""
    return list(EVENTS)


@router.get("/subscriptions")
def list_subscriptions(parts: PartsOf, asking: LabRead) -> list[Row]:
    """Every subscription and how it goes."""
    with parts.store.reading() as connection:
        return subscription_views.listed(connection)


@router.post("/subscriptions", status_code=201)
def add_subscription(new: NewSubscription, parts: PartsOf, asking: LabWrite) -> Added:
    """Tell somebody of events from now on."""
    if OF_PEOPLE & set(new.events) and Scope.PEOPLE_WRITE not in asking.scopes:
        raise Forbidden(f"events of people are for who has the scope {Scope.PEOPLE_WRITE.value}")
    secret = parts.notifiers.add(new.subscription, new.way, new.target, new.events, asking.subject)
    return Added(subscription=new.subscription, secret=secret)


@router.post("/subscriptions/{subscription}/test")
def try_subscription(subscription: Subscription, parts: PartsOf, asking: LabWrite) -> Tried:
    """Send a test notice now and say what came of it."""
    said = parts.notifiers.try_out(subscription)
    return Tried(arrived=said.arrived, said=said.words)


@router.post("/subscriptions/{subscription}/resume", status_code=204)
def resume_subscription(subscription: Subscription, parts: PartsOf, asking: LabWrite) -> Response:
    """Send what waited while it was paused."""
    parts.notifiers.resume(subscription, asking.subject)
    return Response(status_code=204)


@router.post("/subscriptions/{subscription}/remove", status_code=204)
def remove_subscription(subscription: Subscription, parts: PartsOf, asking: LabWrite) -> Response:
    """Tell this one nothing any more."""
    parts.notifiers.remove(subscription, asking.subject)
    return Response(status_code=204)
