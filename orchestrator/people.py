"""People and their tokens: letting in, changing, shutting out; signing in. Only the digest of a token is kept."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, Forbidden, NotFound, Problem, Unauthorised, Unavailable
from orchestrator import passwords
from orchestrator.lifecycle.machine import Fact
from orchestrator.lifecycle.person import (
    PasswordSet,
    PersonAdded,
    PersonDisabled,
    PersonEnabled,
    PersonState,
    RolesChanged,
    TokenEnded,
    TokenKind,
    TokenMade,
    TokenState,
)
from orchestrator.lifecycle.rights import Principal, Role, Scope, against_roles
from orchestrator.new_file import write_new
from orchestrator.store import people_views
from orchestrator.store.people_views import PersonView, TokenView
from orchestrator.store.store import Store

PREFIXES = {TokenKind.API: "asy_user_", TokenKind.PAGE: "asy_page_", TokenKind.CODE: "asy_code_"}
PAGE_TTL = timedelta(hours=12)
CODE_TTL = timedelta(hours=24)
DAYS_DEFAULT, DAYS_MAX = 90, 366
TOKENS_MAX = 50
PASSWORDS_AT_ONCE = 2
WAIT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class MadeToken:
    """A token that was just made: the only time that ``secret`` is seen."""

    token: str
    secret: str
    expires_at: datetime


def digest_of(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class People:
    """Who may come in. Everything here is a fact in the journal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # A password takes 32 MiB and a tenth of a second to look at: never many at once.
        self._looking = threading.BoundedSemaphore(PASSWORDS_AT_ONCE)

    # Letting in

    def first(self, name: str, roles: Sequence[Role], *, recover: bool = False) -> None:
        """Let the first person in; with ``recover`` also where nobody who could let people in has a token any more.

        Raises Conflict where an admin is there already, or somebody of that name is.
        """
        with self._store.deciding() as connection:
            admins = people_views.active_admins(connection)
            if admins and not recover:
                raise Conflict(
                    f"{', '.join(admins[:5])} can let people in: 'assay people add'. Where nobody can sign in as one "
                    "of them any more, add --recover; the journal will say so"
                )
            if Role.ADMIN not in roles:
                raise BadInput("the first person needs the role admin, or nobody could let others in")
            known = people_views.person(connection, name)
            if recover and known is not None:
                facts: list[Fact] = []
                if known.state is PersonState.DISABLED:
                    facts.append(PersonEnabled(person=name, by="recovery", at=self._clock.now()))
                self._store.commit([*facts, self._roles(name, roles, None, "recovery")])
                return
            self.add(name, roles, None, "recovery" if recover else "installation")

    def add(self, name: str, roles: Sequence[Role], vendor: str | None, by: str) -> None:
        """Let somebody in; raises BadInput for roles that do not go together, Conflict for a name that is taken."""
        self._require_roles(roles, vendor)
        with self._store.deciding() as connection:
            if people_views.person(connection, name) is not None:
                raise Conflict(f"there is somebody of the name {name} already; names are never used twice")
            added = PersonAdded(person=name, roles=tuple(roles), vendor=vendor, by=by, at=self._clock.now())
            self._store.commit([added])

    def change(self, name: str, roles: Sequence[Role], vendor: str | None, by: str) -> None:
        """Give somebody other roles, from the next request on."""
        self._require_roles(roles, vendor)
        with self._store.deciding():
            self._active(name)
            if Role.ADMIN not in roles:
                self._require_another_admin(name)
            self._store.commit([self._roles(name, roles, vendor, by)])

    def disable(self, name: str, reason: str, by: str) -> None:
        """Take every right from somebody, and end all their tokens."""
        now = self._clock.now()
        with self._store.deciding() as connection:
            self._active(name)
            self._require_another_admin(name)
            self._store.commit([PersonDisabled(person=name, by=by, reason=reason, at=now)])
            self._end(people_views.live_tokens_of(connection, name, *TokenKind), "the person was disabled", by)

    def enable(self, name: str, by: str) -> None:
        """Let somebody in again who was disabled."""
        with self._store.deciding():
            self._known(name)
            self._store.commit([PersonEnabled(person=name, by=by, at=self._clock.now())])

    def _roles(self, name: str, roles: Sequence[Role], vendor: str | None, by: str) -> RolesChanged:
        return RolesChanged(person=name, roles=tuple(roles), vendor=vendor, by=by, at=self._clock.now())

    def _require_roles(self, roles: Sequence[Role], vendor: str | None) -> None:
        why_not = against_roles(roles, vendor)
        if why_not:
            shown = " ".join(roles) + (f" for {vendor}" if vendor else "")
            raise BadInput("these roles cannot be given", problems=(_problem("roles", shown, why_not),))

    def _require_another_admin(self, name: str) -> None:
        with self._store.reading() as connection:
            if people_views.active_admins(connection) == [name]:
                raise Conflict(f"{name} is the only one who can let people in; give somebody else the role admin first")

    def _known(self, name: str) -> PersonView:
        with self._store.reading() as connection:
            found = people_views.person(connection, name)
        if found is None:
            raise NotFound(f"there is nobody of the name {name[:80]}")
        return found

    def _active(self, name: str) -> PersonView:
        found = self._known(name)
        if found.state is not PersonState.ACTIVE:
            raise Conflict(f"{name} is disabled")
        return found

    # Tokens

    def make_token(self, asking: Principal, title: str, scopes: frozenset[Scope], days: int) -> MadeToken:
        """A token for the one who asks, for no more than the token may that was shown."""
        beyond = sorted(scopes - asking.scopes)
        if beyond:
            raise Forbidden(f"{asking.subject} has no scope {', '.join(beyond)} here, and cannot hand it on")
        return self._token_for(asking.subject, title, scopes or asking.scopes, days, asking.subject)

    def first_token(self, name: str, path: Path) -> None:
        """An API token for somebody, written to a new file (mode 0600); raises Conflict where there is one already."""
        if path.exists():
            raise Conflict(f"{path} is there already; remove it, or name another with --token-file")
        # One transaction: a token that cannot be written down is not made.
        with self._store.deciding():
            secret = self._token_for(name, path.name, frozenset(), DAYS_DEFAULT, name).secret
            try:
                write_new(path, f"{secret}\n".encode())
            except OSError as error:
                raise BadInput(f"{path}: cannot be written: {error.strerror}") from error

    def _token_for(self, name: str, title: str, scopes: frozenset[Scope], days: int, by: str) -> MadeToken:
        with self._store.deciding() as connection:
            self._active(name)
            if len(people_views.live_tokens_of(connection, name, TokenKind.API)) >= TOKENS_MAX:
                raise Conflict(f"{name} has {TOKENS_MAX} tokens already; revoke one: 'assay tokens list'")
            return self._make(name, TokenKind.API, title, timedelta(days=days), by, scopes)

    def end_token(self, token: str, asking: Principal) -> None:
        """Revoke a token: one's own, or with ``people:write`` anybody's; raises NotFound for those of others."""
        with self._store.deciding() as connection:
            found = people_views.token(connection, token)
            may = found and (found.person.person == asking.subject or Scope.PEOPLE_WRITE in asking.scopes)
            if not found or not may:
                raise NotFound(f"there is no token {token[:80]}")
            self._end([token], "revoked", asking.subject)

    def code(self, name: str, by: str) -> MadeToken:
        """A code with which somebody may sign in once, within a day; earlier codes of theirs end."""
        with self._store.deciding() as connection:
            self._active(name)
            self._end(people_views.live_tokens_of(connection, name, TokenKind.CODE), "a newer code", by)
            return self._make(name, TokenKind.CODE, "a code for signing in", CODE_TTL, by, frozenset())

    def _make(
        self, name: str, kind: TokenKind, title: str, ttl: timedelta, by: str, scopes: frozenset[Scope]
    ) -> MadeToken:
        secret = self._clock.token(PREFIXES[kind])
        now = self._clock.now()
        made = TokenMade(
            token=self._clock.new_id("tok"),
            person=name,
            kind=kind,
            title=title,
            digest=digest_of(secret),
            scopes=tuple(sorted(scopes)),
            expires_at=now + ttl,
            by=by,
            at=now,
        )
        self._store.commit([made])
        return MadeToken(token=made.token, secret=secret, expires_at=made.expires_at)

    def _end(self, tokens: Sequence[str], why: str, by: str) -> None:
        now = self._clock.now()
        self._store.commit([TokenEnded(token=token, why=why, by=by, at=now) for token in tokens])

    # Coming in

    def by_token(self, secret: str, *kinds: TokenKind) -> Principal | None:
        """Whom a token of one of these kinds stands for now; None where it stands for nobody."""
        found = self._live(secret, kinds)
        return found.principal() if found else None

    def by_code(self, secret: str) -> PersonView:
        """Use a code up; raises Unauthorised where it is none, was used or has expired."""
        with self._store.deciding():
            found = self._live(secret, (TokenKind.CODE,))
            if found is None:
                raise Unauthorised("this code is unknown, was used before or has expired; ask an admin for a new one")
            self._end([found.token], "used", found.person.person)
        return found.person

    def by_password(self, name: str, password: str) -> PersonView:
        """Raises Unauthorised without saying what of it was wrong."""
        with self._store.reading() as connection:
            found = people_views.person(connection, name)
        with self._one_of_few():
            right = passwords.is_right(password, found.password if found else None)
        if found is None or not right or found.state is not PersonState.ACTIVE:
            raise Unauthorised("name or password is wrong")
        return found

    def sign_in(self, person: str) -> MadeToken:
        """A browser's token for the pages; the oldest of too many end."""
        with self._store.deciding() as connection:
            live = people_views.live_tokens_of(connection, person, TokenKind.PAGE)
            self._end(live[: max(0, len(live) + 1 - TOKENS_MAX)], "too many", person)
            return self._make(person, TokenKind.PAGE, "a browser", PAGE_TTL, person, frozenset())

    def api_token(self, person: str, title: str, scopes: frozenset[Scope], days: int) -> MadeToken:
        """An API token for somebody who just showed who they are."""
        return self._token_for(person, title, scopes, days, person)

    def sign_out(self, secret: str) -> None:
        """End a browser's token."""
        with self._store.deciding():
            found = self._live(secret, (TokenKind.PAGE,))
            if found is not None:
                self._end([found.token], "signed out", found.person.person)

    def set_password(self, person: str, password: str, *, keep: str) -> None:
        """Choose a password; every browser but the one with the token ``keep`` is signed out."""
        why_not = passwords.against(password, person)
        if why_not:
            raise BadInput("this cannot be the password", problems=(_problem("password", "not shown", why_not),))
        with self._one_of_few():
            kept = passwords.kept(password, self._clock.token("").encode())
        now = self._clock.now()
        with self._store.deciding() as connection:
            self._active(person)
            self._store.commit([PasswordSet(person=person, password=kept, by=person, at=now)])
            live = people_views.live_tokens_of(connection, person, TokenKind.PAGE, TokenKind.CODE)
            self._end([one for one in live if one != keep], "a new password", person)

    def _live(self, secret: str, kinds: Sequence[TokenKind]) -> TokenView | None:
        with self._store.reading() as connection:
            found = people_views.token_of_digest(connection, digest_of(secret))
        if found is None or found.kind not in kinds or found.state is not TokenState.LIVE:
            return None
        if found.expires_at <= self._clock.now() or found.person.state is not PersonState.ACTIVE:
            return None
        return found

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._looking.acquire(timeout=WAIT_S):
            raise Unavailable("many people are signing in; try again in a moment")
        try:
            yield
        finally:
            self._looking.release()


def _problem(path: str, wrong: str, expected: str) -> Problem:
    return Problem(path=path, wrong=f"is {wrong}", expected=expected)
