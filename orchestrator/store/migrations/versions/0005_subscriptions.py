"""Who is told of which events, where, and up to which row of the journal they were."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nobody is told of anything yet."""
    op.create_table(
        "subscriptions",
        sa.Column("subscription", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("way", Word, nullable=False),
        sa.Column("target", Word, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("secret", Word, nullable=False),
        sa.Column("reason", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
        sa.Column("delivered_seq", sa.Integer, nullable=False),
        sa.Column("delivered", sa.Integer, nullable=False),
        sa.Column("passed_over", sa.Integer, nullable=False),
        sa.Column("delivered_at", Word),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("failing_since", Word),
        sa.Column("next_try_at", Word),
        sa.Column("said", Word, nullable=False),
    )
