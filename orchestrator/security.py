"""Tokens and whom they stand for. Only the SHA-256 of a token is kept; prefixes let scanners find a leaked one.

Roles of people come later: today a token stands for the operator, for the agent of one host, or for one joining. How an
agent gets its credential is told in :mod:`orchestrator.agent_keys`.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Unauthorised
from orchestrator.store import keeping, views
from orchestrator.store.keeping import Token, TokenKind
from orchestrator.store.store import Store

PREFIXES = {TokenKind.JOIN: "asy_join_", TokenKind.AGENT: "asy_agent_", TokenKind.USER: "asy_user_"}
JOIN_TTL = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking: ``subject`` is a person's name or a host."""

    kind: TokenKind
    subject: str


def token_digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Security:
    """Makes tokens and says whom they stand for."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def operator_token_at(self, path: Path) -> str:
        """The operator's token, made and written to ``path`` (mode 0600) where there is none yet."""
        if path.exists():
            token = path.read_text(encoding="utf-8").strip()
            if self._find(token) is None:
                raise BadInput(f"{path}: this token is not known to the database beside it; remove it to get a new one")
            return token
        token = self._make(TokenKind.USER, "operator")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token + "\n")
        return token

    def join_token(self, host: str) -> str:
        """A token with which the agent of ``host`` may join once, within 15 minutes."""
        with self._store.reading() as connection:
            if host not in views.hosts(connection):
                raise BadInput(f"host {host} is not in the lab file; apply a lab file that has it")
        return self._make(TokenKind.JOIN, host, expires=True)

    def principal(self, token: str) -> Principal:
        """Whom a bearer token stands for; raises Unauthorised."""
        found = self._find(token)
        if found is None or found.kind is TokenKind.JOIN or found.revoked_at is not None:
            raise Unauthorised("this token is unknown or was revoked; the operator's is in the file operator-token")
        if found.expires_at is not None and found.expires_at < self._clock.now():
            raise Unauthorised("this token has expired")
        return Principal(kind=found.kind, subject=found.subject)

    def _find(self, token: str) -> Token | None:
        digest = token_digest(token)
        with self._store.reading() as connection:
            found = keeping.find_token(connection, digest)
        return found if found and hmac.compare_digest(found.digest, digest) else None

    def _make(self, kind: TokenKind, subject: str, *, expires: bool = False) -> str:
        token = self._clock.token(PREFIXES[kind])
        expires_at = self._clock.now() + JOIN_TTL if expires else None
        with self._store.administering() as connection:
            kept = Token(digest=token_digest(token), kind=kind, subject=subject, expires_at=expires_at)
            keeping.keep_token(connection, kept)
        return token
