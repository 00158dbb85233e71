"""Writing what is no fact of a machine: the lab file, hosts, programmes, tokens, kept replies."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from lab_inventory.errors import Conflict
from lab_inventory.lab import Lab
from lab_inventory.messages import Heartbeat
from lab_inventory.programme import Programme
from orchestrator.lifecycle.offering import OfferingState
from orchestrator.store import tables as t

heard = t.heard.c
LEASE, HOST = "lease", "host"


def keep_lab(connection: Connection, lab: Lab, now: datetime) -> None:
    """Replace the lab file; hosts that are no longer in it are forgotten.

    Raises Conflict where a run would lose its slot.
    """
    names = {host.name for host in lab.hosts}
    slots = {(host.name, slot.name) for host in lab.hosts for _, slot in host.slots()}
    held = connection.execute(select(t.held_resources.c.resource)).scalars()
    used = [tuple(name.removeprefix("slot:").split("/", 1)) for name in held if name.startswith("slot:")]
    lost = sorted(f"{slot} of {host}" for host, slot in used if (host, slot) not in slots)
    if lost:
        raise Conflict(f"runs are going on at {', '.join(lost)}, which the new lab file does not have")
    connection.execute(delete(t.labs))
    connection.execute(insert(t.labs).values(lab=lab.lab, body=lab.model_dump_json(), at=now.isoformat()))
    connection.execute(delete(t.hosts).where(t.hosts.c.host.not_in(names)))
    for host in lab.hosts:
        _upsert(connection, t.hosts, {"host": host.name}, {"body": host.model_dump_json()}, {"faults": "[]"})


def keep_heartbeat(connection: Connection, host: str, heartbeat: Heartbeat, refusals: Mapping[str, str]) -> bool:
    """Keep what a heartbeat says of the host itself; True where that was news."""
    faults = [fault.model_dump(mode="json") for fault in heartbeat.faults]
    faults += [{"slot": slot, "slug": "refused", "detail": why} for slot, why in sorted(refusals.items())]
    values = {
        "inbox": heartbeat.inbox,
        "boot": heartbeat.boot,
        "agent_version": heartbeat.agent_version,
        "faults": json.dumps(faults),
        "full": heartbeat.full,
        "characterised": json.dumps([one.model_dump(mode="json") for one in heartbeat.characterised]),
    }
    columns = [t.hosts.c[name] for name in values]
    before = connection.execute(select(*columns).where(t.hosts.c.host == host)).one()
    if dict(before._mapping) == values:
        return False
    connection.execute(update(t.hosts).where(t.hosts.c.host == host).values(values))
    return True


def keep_programmes(connection: Connection, programmes: Iterable[Programme]) -> None:
    """Keep programmes that are not kept yet, and offer these, a lab's own that are not withdrawn, and no others."""
    own = select(t.offerings.c.digest).where(t.offerings.c.state == OfferingState.OFFERED)
    connection.execute(update(t.programmes).values(offered=t.programmes.c.digest.in_(own)))
    known = set(connection.execute(select(t.programmes.c.digest)).scalars())
    for programme in programmes:
        if programme.digest in known:
            of_it = update(t.programmes).where(t.programmes.c.digest == programme.digest)
            connection.execute(of_it.values(offered=True))
        else:
            connection.execute(
                insert(t.programmes).values(
                    digest=programme.digest,
                    id=programme.id,
                    version=programme.version,
                    body=programme.model_dump_json(),
                    offered=True,
                )
            )


@dataclass(frozen=True, kw_only=True)
class KeptReply:
    """A reply that was given before under the same key."""

    body_digest: str
    reply: str


def reply_to(connection: Connection, principal: str, key: str) -> KeptReply | None:
    """The reply that this principal got for this key, or None."""
    row = connection.execute(
        select(t.idempotency.c.body_digest, t.idempotency.c.reply).where(
            t.idempotency.c.principal == principal, t.idempotency.c.key == key
        )
    ).first()
    return KeptReply(body_digest=row.body_digest, reply=row.reply) if row else None


class TokenKind(StrEnum):
    """What a token of a lab host is good for."""

    JOIN = "join"
    AGENT = "agent"


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token as it is kept: its digest, whom it stands for, and until when."""

    digest: str
    kind: TokenKind
    subject: str
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None


def keep_token(connection: Connection, token: Token) -> None:
    """Keep a new token."""
    connection.execute(
        insert(t.tokens).values(
            digest=token.digest,
            kind=token.kind.value,
            subject=token.subject,
            expires_at=token.expires_at.isoformat() if token.expires_at else None,
        )
    )


def find_token(connection: Connection, digest: str) -> Token | None:
    """The token of that digest, or None."""
    row = connection.execute(select(t.tokens).where(t.tokens.c.digest == digest)).first()
    if row is None:
        return None
    times = {
        name: datetime.fromisoformat(value) if (value := getattr(row, name)) else None
        for name in ("expires_at", "used_at", "revoked_at")
    }
    return Token(digest=row.digest, kind=TokenKind(row.kind), subject=row.subject, **times)


def use_token(connection: Connection, digest: str, now: datetime) -> bool:
    """Use a single-use token up; False where somebody was faster."""
    result = connection.execute(
        update(t.tokens)
        .where(t.tokens.c.digest == digest, t.tokens.c.used_at.is_(None))
        .values(used_at=now.isoformat())
    )
    return result.rowcount == 1


def revoke_tokens(connection: Connection, kind: TokenKind, subject: str, now: datetime) -> int:
    """Revoke every token of a kind that stands for ``subject``; gives their number."""
    revoked = connection.execute(
        update(t.tokens)
        .where(t.tokens.c.kind == kind.value, t.tokens.c.subject == subject, t.tokens.c.revoked_at.is_(None))
        .values(revoked_at=now.isoformat())
    )
    return revoked.rowcount


def hear(connection: Connection, kind: str, names: Iterable[str]) -> None:
    """Have the server that leads know that hosts or leases were heard of: their numbers grow by one."""
    for name in names:
        row = (heard.kind == kind) & (heard.name == name)
        if connection.execute(update(t.heard).where(row).values(number=heard.number + 1)).rowcount == 0:
            connection.execute(insert(t.heard).values(kind=kind, name=name, number=1))


def all_heard(connection: Connection) -> dict[tuple[str, str], int]:
    """The number of each host and lease that a server heard of which did not lead."""
    return {(row.kind, row.name): row.number for row in connection.execute(select(t.heard))}


def forget_heard(connection: Connection, kind: str, names: Iterable[str]) -> None:
    """Forget what is over."""
    connection.execute(delete(t.heard).where(heard.kind == kind, heard.name.in_(list(names))))


def _upsert(
    connection: Connection, table: Any, key: dict[str, str], values: dict[str, str], otherwise: dict[str, str]
) -> None:
    """Update the row of ``key``, or insert it with ``otherwise`` as well."""
    ((name, value),) = key.items()
    result = connection.execute(update(table).where(table.c[name] == value).values(values))
    if result.rowcount == 0:
        connection.execute(insert(table).values({**key, **values, **otherwise}))
