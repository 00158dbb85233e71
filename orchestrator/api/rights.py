"""What each route asks for, read from the routes themselves: a route that asks for nothing is not served."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from lab_inventory.errors import InvariantBroken
from orchestrator.api.parts import Needs, open_to_all
from orchestrator.lifecycle.rights import Scope

NOT_OURS = frozenset({"/openapi.json", "/static"})
"""What is in the package, for everybody."""


@dataclass(frozen=True, kw_only=True)
class RouteRight:
    """A method and path, and the scope that it asks for; None: it is open to everybody."""

    method: str
    path: str
    scope: Scope | None


def rights_of(app: FastAPI) -> tuple[RouteRight, ...]:
    """Every route of the application, by path; raises InvariantBroken for one that does not say what it asks for."""
    found = []
    for route in _routes(app.routes):
        asked = {one.scope for one in _calls(route.dependant) if isinstance(one, Needs)}
        is_open = any(one is open_to_all for one in _calls(route.dependant))
        if len(asked) + is_open != 1:
            raise InvariantBroken(f"{route.path} asks for {len(asked)} scopes and is {'' if is_open else 'not '}open")
        scope = None if is_open else asked.pop()
        found += [RouteRight(method=method, path=route.path, scope=scope) for method in sorted(route.methods or ())]
    return tuple(sorted(found, key=lambda right: (right.path, right.method)))


def _routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """Those of included routers too; raises InvariantBroken for anything that could be served past this."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(included, APIRouter):
            yield from _routes(included.routes)
        elif getattr(route, "path", None) not in NOT_OURS:
            raise InvariantBroken(f"{route} is of a kind of which nothing says who may ask it")


def require_rights(app: FastAPI) -> None:
    """Raise InvariantBroken where a route would be served that says nothing of who may."""
    rights_of(app)


def _calls(dependant: Dependant) -> Iterator[object]:
    """Everything that a route depends on, also through what it depends on."""
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)
