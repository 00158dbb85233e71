"""Whom a bearer token stands for. Only the SHA-256 of a token is kept; prefixes let scanners find a leaked one.

How an agent gets its credential is told in :mod:`orchestrator.agent_keys`.
"""

import hmac
from datetime import timedelta

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Unauthorised
from orchestrator.lifecycle.person import TokenKind as PersonTokenKind
from orchestrator.lifecycle.rights import SCOPES, Principal, Role
from orchestrator.people import PREFIXES as PEOPLES
from orchestrator.people import People, digest_of
from orchestrator.store import keeping, views
from orchestrator.store.keeping import Token, TokenKind
from orchestrator.store.store import Store

PREFIXES = {TokenKind.JOIN: "asy_join_", TokenKind.AGENT: "asy_agent_"}
JOIN_TTL = timedelta(minutes=15)


class Security:
    """Makes tokens and says whom they stand for."""

    def __init__(self, store: Store, clock: Clock, people: People) -> None:
        self._store = store
        self._clock = clock
        self._people = people

    def join_token(self, host: str) -> str:
        """A token with which the agent of ``host`` may join once, within 15 minutes."""
        with self._store.reading() as connection:
            if host not in views.hosts(connection):
                raise BadInput(f"host {host} is not in the lab file; apply a lab file that has it")
        return self._make(TokenKind.JOIN, host, expires=True)

    def principal(self, token: str) -> Principal:
        """Whom a bearer token stands for now; raises Unauthorised."""
        if token.startswith(PEOPLES[PersonTokenKind.API]):
            found = self._people.by_token(token, PersonTokenKind.API)
        else:
            found = self._agent(token)
        if found is None:
            raise Unauthorised("this token is unknown, was revoked or has expired")
        return found

    def _agent(self, token: str) -> Principal | None:
        found = self._find(token)
        if found is None or found.kind is not TokenKind.AGENT or found.revoked_at is not None:
            return None
        if found.expires_at is not None and found.expires_at < self._clock.now():
            return None
        roles = frozenset({Role.AGENT})
        return Principal(subject=found.subject, roles=roles, scopes=SCOPES[Role.AGENT])

    def _find(self, token: str) -> Token | None:
        digest = digest_of(token)
        with self._store.reading() as connection:
            found = keeping.find_token(connection, digest)
        return found if found and hmac.compare_digest(found.digest, digest) else None

    def _make(self, kind: TokenKind, subject: str, *, expires: bool = False) -> str:
        token = self._clock.token(PREFIXES[kind])
        expires_at = self._clock.now() + JOIN_TTL if expires else None
        with self._store.administering() as connection:
            kept = Token(digest=digest_of(token), kind=kind, subject=subject, expires_at=expires_at)
            keeping.keep_token(connection, kept)
        return token
