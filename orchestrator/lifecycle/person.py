"""People and their tokens: who was let in by whom, with which roles, and when that ended. Pure.

The journal has who did it and which roles and scopes were given, so that an audit finds a right that nobody gave.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from lab_inventory.noun import Label, Name, Text
from orchestrator.lifecycle.machine import Fact, Machine
from orchestrator.lifecycle.rights import Role, Scope


class PersonState(StrEnum):
    """A disabled person has no rights at all, whatever token is shown."""

    ACTIVE = "active"
    DISABLED = "disabled"


class TokenState(StrEnum):
    """``ended``: revoked, used up, or signed out."""

    LIVE = "live"
    ENDED = "ended"


class TokenKind(StrEnum):
    """``api``: for programs; ``page``: a browser that is signed in; ``code``: good once, for signing in."""

    API = "api"
    PAGE = "page"
    CODE = "code"


NONE = "none"


def words(of: Iterable[StrEnum]) -> str:
    """Roles or scopes as tables and journal keep them."""
    return " ".join(sorted(one.value for one in of)) or NONE


class _OfPerson(Fact):
    machine: ClassVar[str] = "person"
    person: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The person."""
        return self.person

    def journal_entry(self) -> dict[str, str | int]:
        """Who did it."""
        return {"by": self.by}


class _RolesGiven(_OfPerson):
    roles: tuple[Role, ...] = Field(min_length=1)
    vendor: Label | None = None

    def journal_entry(self) -> dict[str, str | int]:
        """Who did it, and the roles."""
        return {"by": self.by, "roles": words(self.roles), "vendor": self.vendor or NONE}


class PersonAdded(_RolesGiven):
    """Somebody was let in."""


class RolesChanged(_RolesGiven):
    """Somebody has other roles from now on, instead of those before."""


class PersonDisabled(_OfPerson):
    """Somebody lost every right, at once."""

    reason: Text


class PersonEnabled(_OfPerson):
    """Somebody is let in again, with the roles from before; tokens from before stay ended."""


class PasswordSet(_OfPerson):
    """Somebody chose a password; ``password`` is what is kept of it."""

    password: str = Field(repr=False)


class _OfToken(Fact):
    machine: ClassVar[str] = "token"
    token: Name
    by: Label
    at: AwareDatetime

    @property
    def entity(self) -> str:
        """The token's id."""
        return self.token


class TokenMade(_OfToken):
    """A token was handed out; only its digest is kept."""

    person: Name
    kind: TokenKind
    title: Label
    digest: str
    scopes: tuple[Scope, ...] = ()
    expires_at: AwareDatetime

    def journal_entry(self) -> dict[str, str | int]:
        """For whom, of which kind, with which scopes, by whom."""
        return {"by": self.by, "person": self.person, "kind": self.kind.value, "scopes": words(self.scopes)}


class TokenEnded(_OfToken):
    """A token is good for nothing any more."""

    why: Label

    def journal_entry(self) -> dict[str, str | int]:
        """Who, and why."""
        return {"by": self.by, "why": self.why}


MACHINE = Machine(
    name="person",
    transitions={
        (None, "PersonAdded"): PersonState.ACTIVE,
        (PersonState.ACTIVE, "RolesChanged"): PersonState.ACTIVE,
        (PersonState.ACTIVE, "PasswordSet"): PersonState.ACTIVE,
        (PersonState.ACTIVE, "PersonDisabled"): PersonState.DISABLED,
        (PersonState.DISABLED, "PersonEnabled"): PersonState.ACTIVE,
    },
    terminal=frozenset(),
)

TOKEN_MACHINE = Machine(
    name="token",
    transitions={
        (None, "TokenMade"): TokenState.LIVE,
        (TokenState.LIVE, "TokenEnded"): TokenState.ENDED,
    },
    terminal=frozenset({TokenState.ENDED}),
)
