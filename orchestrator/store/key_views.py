"""Reading the keys that sign, and refusing what another key signed than the one that signs now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from lab_inventory.errors import Unavailable
from orchestrator.lifecycle.signing_key import FormerKey, SigningKeyState
from orchestrator.store import tables as t

k = t.signing_keys.c


@dataclass(frozen=True, kw_only=True)
class KeptKey:
    """A key with its times. ``valid_from`` None: it is the first. ``link``: its signed link, empty of the first."""

    thumbprint: str
    number: int
    state: SigningKeyState
    x: str
    valid_from: datetime | None
    retired_at: datetime | None
    compromised_since: datetime | None
    reason: str
    link: str


def keys(connection: Connection) -> tuple[KeptKey, ...]:
    """Every key, the oldest first; none where there was only ever one."""
    return tuple(
        KeptKey(
            thumbprint=row.thumbprint,
            number=row.number,
            state=SigningKeyState(row.state),
            x=row.x,
            # What the first key signed before it was written down counts too.
            valid_from=datetime.fromisoformat(row.valid_from) if row.number else None,
            retired_at=datetime.fromisoformat(row.retired_at) if row.retired_at else None,
            compromised_since=datetime.fromisoformat(row.compromised_since) if row.compromised_since else None,
            reason=row.reason,
            link=row.document,
        )
        for row in connection.execute(select(t.signing_keys).order_by(k.number))
    )


def former(connection: Connection) -> tuple[FormerKey, ...]:
    """The keys that sign no more, the oldest first."""
    return tuple(
        FormerKey(
            compromised_since=key.compromised_since,
            retired_at=key.retired_at,
            thumbprint=key.thumbprint,
            valid_from=key.valid_from,
            x=key.x,
        )
        for key in keys(connection)
        if key.retired_at is not None
    )


def require_signs_now(connection: Connection, thumbprint: str, at: datetime | None = None) -> None:
    """Raise Unavailable where another key signs now than ``thumbprint``, or this one not yet at ``at``.

    A server that was not started again after its key was changed, or that has an older copy of it, signs nothing.
    """
    current = connection.execute(
        select(k.thumbprint, k.valid_from, k.number).where(k.state == SigningKeyState.CURRENT.value)
    ).first()
    if current is None:
        return
    if current.thumbprint != thumbprint:
        raise Unavailable(
            f"this server signs with the key {thumbprint}, and the key {current.thumbprint} signs since "
            f"{current.valid_from}: give it that key (signing-key.json) and start it again"
        )
    if at is not None and current.number and at < datetime.fromisoformat(current.valid_from):
        raise Unavailable(
            f"the key {thumbprint} signs from {current.valid_from} on; the clock of this server is behind"
        )


def last_signed_at(connection: Connection) -> datetime | None:
    """When the newest certificate or link was signed."""
    found = [
        connection.execute(select(func.max(column))).scalar_one_or_none()
        for column in (t.certificates.c.at, t.certificate_links.c.at)
    ]
    times = [datetime.fromisoformat(at) for at in found if at]
    return max(times, default=None)
