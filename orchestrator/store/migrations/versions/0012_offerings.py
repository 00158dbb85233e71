"""Programmes of a lab's own."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Until now there were only those that come with the product."""
    op.create_table(
        "offerings",
        sa.Column("programme", Word, primary_key=True),
        sa.Column("digest", Word, sa.ForeignKey("programmes.digest"), nullable=False, unique=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
