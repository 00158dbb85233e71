"""Test reports as they were issued."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """None was issued yet."""
    op.create_table(
        "test_reports",
        sa.Column("number", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False, index=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("amends", Word, nullable=False),
        sa.Column("amended_by", Word),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("document_digest", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
