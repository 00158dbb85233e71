"""Writing and reading what agents prove themselves with: keys of hosts, answered challenges, credentials of an hour."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from orchestrator.store import tables as t
from orchestrator.store.keeping import Token, TokenKind, keep_token

CREDENTIALS_MAX = 8
"""So many credentials of a host live at once; an agent needs one, and one more whenever it starts."""
REMEMBERED = timedelta(days=1)

keys = t.agent_keys.c
tokens = t.tokens.c


@dataclass(frozen=True, kw_only=True)
class Authority:
    """``audience``: what agents sign for. ``secret``: what challenges are marked with."""

    audience: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class AgentKey:
    """The key with which a host joined last, and who ended it why, where it was ended."""

    host: str
    public_key: str
    joined_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""
    reason: str = ""


def authority(connection: Connection) -> Authority | None:
    """The lab's authority, or None where there is none yet."""
    row = connection.execute(select(t.agent_authority)).first()
    return Authority(audience=row.audience, secret=row.secret) if row else None


def keep_authority(connection: Connection, made: Authority) -> None:
    """Keep the lab's one authority."""
    connection.execute(insert(t.agent_authority).values(id=1, audience=made.audience, secret=made.secret))


def find_key(connection: Connection, host: str) -> AgentKey | None:
    """The key of a host, or None."""
    row = connection.execute(select(t.agent_keys).where(keys.host == host)).first()
    if row is None:
        return None
    return AgentKey(
        host=row.host,
        public_key=row.public_key,
        joined_at=datetime.fromisoformat(row.joined_at),
        revoked_at=datetime.fromisoformat(row.revoked_at) if row.revoked_at else None,
        revoked_by=row.revoked_by,
        reason=row.reason,
    )


def keep_key(connection: Connection, key: AgentKey) -> None:
    """Keep the key of a host in the place of any that it had."""
    connection.execute(delete(t.agent_keys).where(keys.host == key.host))
    connection.execute(
        insert(t.agent_keys).values(host=key.host, public_key=key.public_key, joined_at=key.joined_at.isoformat())
    )


def revoke_key(connection: Connection, host: str, *, by: str, reason: str, now: datetime) -> None:
    """End the key of a host; one that was ended before keeps its reason."""
    connection.execute(
        update(t.agent_keys)
        .where(keys.host == host, keys.revoked_at.is_(None))
        .values(revoked_at=now.isoformat(), revoked_by=by, reason=reason)
    )


def use_challenge(connection: Connection, digest: str, now: datetime) -> bool:
    """Use a challenge up; False where it was used before."""
    used = t.used_challenges
    connection.execute(delete(used).where(used.c.at < (now - REMEMBERED).isoformat()))
    if connection.execute(select(used.c.digest).where(used.c.digest == digest)).first() is not None:
        return False
    connection.execute(insert(used).values(digest=digest, at=now.isoformat()))
    return True


def keep_credential(connection: Connection, host: str, digest: str, *, now: datetime, expires_at: datetime) -> None:
    """Keep a short-lived credential of a host; those that are over are forgotten, and the oldest of too many."""
    of_host = (tokens.kind == TokenKind.AGENT.value) & (tokens.subject == host)
    connection.execute(delete(t.tokens).where(of_host, tokens.expires_at < now.isoformat()))
    living = select(tokens.digest).where(of_host, tokens.expires_at.is_not(None), tokens.revoked_at.is_(None))
    oldest = list(connection.execute(living.order_by(tokens.expires_at.desc()).offset(CREDENTIALS_MAX - 1)).scalars())
    connection.execute(delete(t.tokens).where(tokens.digest.in_(oldest)))
    keep_token(connection, Token(digest=digest, kind=TokenKind.AGENT, subject=host, expires_at=expires_at))


def end_old_credentials(connection: Connection, host: str, at: datetime) -> None:
    """Credentials of a host from before there were keys end at ``at``."""
    connection.execute(
        update(t.tokens)
        .where(tokens.kind == TokenKind.AGENT.value, tokens.subject == host, tokens.expires_at.is_(None))
        .values(expires_at=at.isoformat())
    )
