"""Prompts for what people measure, and what became of them."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    """Nobody was asked anything yet: submissions from before are judged without prompts, as they were accepted."""
    op.create_table(
        "prompts",
        sa.Column("prompt", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False),
        sa.Column("requirement", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("second_person", sa.Boolean, nullable=False),
        sa.Column("opened_at", Word, nullable=False),
        sa.Column("due_at", Word, nullable=False),
        sa.Column("changed_at", Word, nullable=False),
        sa.UniqueConstraint("submission", "requirement"),
    )
    op.create_index("prompts_by_due", "prompts", ["state", "due_at"])
    op.create_table(
        "prompt_entries",
        sa.Column("entry", Word, primary_key=True),
        sa.Column("prompt", Word, sa.ForeignKey("prompts.prompt"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("prompt", "place"),
    )
