"""Reading people and their tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from orchestrator.lifecycle.person import NONE, PersonState, TokenKind, TokenState
from orchestrator.lifecycle.rights import Principal, Role, Scope, scopes_of
from orchestrator.store import tables as t

p, k = t.persons.c, t.person_tokens.c
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PersonView:
    """Somebody, as kept; ``password``: what is kept of it, None where none was chosen."""

    person: str
    state: PersonState
    roles: frozenset[Role]
    vendor: str | None
    password: str | None


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """A token with the person it stands for."""

    token: str
    kind: TokenKind
    state: TokenState
    scopes: frozenset[Scope]
    expires_at: datetime
    person: PersonView

    def principal(self) -> Principal:
        """Who shows it, with what roles and token both allow."""
        allowed = scopes_of(self.person.roles)
        return Principal(
            subject=self.person.person,
            roles=self.person.roles,
            scopes=allowed & self.scopes if self.scopes else allowed,
            vendor=self.person.vendor,
            token=self.token,
        )


def _of(text: str, kind: type[Any]) -> frozenset[Any]:
    return frozenset() if text == NONE else frozenset(kind(word) for word in text.split())


def _person(row: Any) -> PersonView:
    return PersonView(
        person=row.person,
        state=PersonState(row.person_state),
        roles=_of(row.roles, Role),
        vendor=None if row.vendor == NONE else row.vendor,
        password=row.password,
    )


_PERSON = (p.person, p.state.label("person_state"), p.roles, p.vendor, p.password)


def person(connection: Connection, name: str) -> PersonView | None:
    """Somebody, or None."""
    row = connection.execute(select(*_PERSON).where(p.person == name)).first()
    return None if row is None else _person(row)


def active_admins(connection: Connection) -> list[str]:
    """Who can let others in."""
    rows = connection.execute(select(p.person, p.roles).where(p.state == PersonState.ACTIVE.value).order_by(p.person))
    return [row.person for row in rows if Role.ADMIN.value in row.roles.split()]


def token_of_digest(connection: Connection, digest: str) -> TokenView | None:
    """The token with this digest, ended or not, or None."""
    return _token(connection, k.digest == digest)


def token(connection: Connection, token_id: str) -> TokenView | None:
    """The token with this id, or None."""
    return _token(connection, k.token == token_id)


def _token(connection: Connection, which: Any) -> TokenView | None:
    columns = (k.token, k.kind, k.state, k.scopes, k.expires_at, *_PERSON)
    row = connection.execute(select(*columns).join(t.persons, p.person == k.person).where(which)).first()
    if row is None:
        return None
    return TokenView(
        token=row.token,
        kind=TokenKind(row.kind),
        state=TokenState(row.state),
        scopes=_of(row.scopes, Scope),
        expires_at=datetime.fromisoformat(row.expires_at),
        person=_person(row),
    )


def live_tokens_of(connection: Connection, name: str, *kinds: TokenKind) -> list[str]:
    """The ids of somebody's tokens that did not end, of some kinds, oldest first."""
    chosen = (k.person == name) & (k.state == TokenState.LIVE.value) & k.kind.in_([kind.value for kind in kinds])
    return list(connection.execute(select(k.token).where(chosen).order_by(k.at, k.token)).scalars())


def people(connection: Connection) -> list[Row]:
    """Everybody, by name, with the number of live API tokens."""
    live = (k.state == TokenState.LIVE.value) & (k.kind == TokenKind.API.value)
    numbers = {
        row.person: row.n
        for row in connection.execute(select(k.person, func.count().label("n")).where(live).group_by(k.person))
    }
    rows = connection.execute(select(t.persons).order_by(p.person))
    return [
        {
            "person": row.person,
            "state": row.state,
            "roles": row.roles.split(),
            "vendor": None if row.vendor == NONE else row.vendor,
            "password": row.password is not None,
            "tokens": numbers.get(row.person, 0),
            "by": row.by,
            "at": row.at,
        }
        for row in rows
    ]


def tokens(connection: Connection, name: str | None, now: datetime, *, limit: int = 200) -> list[Row]:
    """Tokens that did not end, of one person or of all, newest first; never what is secret of them."""
    query = select(t.person_tokens).where(k.state == TokenState.LIVE.value, k.expires_at > now.isoformat())
    if name is not None:
        query = query.where(k.person == name)
    rows = connection.execute(query.order_by(k.at.desc(), k.token).limit(limit))
    return [
        {
            "token": row.token,
            "person": row.person,
            "kind": row.kind,
            "title": row.title,
            "scopes": [] if row.scopes == NONE else row.scopes.split(),
            "by": row.by,
            "at": row.at,
            "expires_at": row.expires_at,
        }
        for row in rows
    ]
