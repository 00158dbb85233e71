"""Agents have keys of their own; what proves them is short-lived."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """No host has a key yet: credentials from before are good until their host joins with one."""
    op.create_table(
        "agent_authority",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("audience", Word, nullable=False),
        sa.Column("secret", Word, nullable=False),
    )
    op.create_table(
        "agent_keys",
        sa.Column("host", Word, primary_key=True),
        sa.Column("public_key", Word, nullable=False),
        sa.Column("joined_at", Word, nullable=False),
        sa.Column("revoked_at", Word),
        sa.Column("revoked_by", Word, nullable=False, server_default=""),
        sa.Column("reason", Word, nullable=False, server_default=""),
    )
    op.create_table(
        "used_challenges",
        sa.Column("digest", Word, primary_key=True),
        sa.Column("at", Word, nullable=False),
    )
    op.create_index("ix_used_challenges_at", "used_challenges", ["at"])
