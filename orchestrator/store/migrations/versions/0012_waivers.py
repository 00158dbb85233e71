"""Waivers, and what happened to each."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nothing is waived yet."""
    op.create_table(
        "waivers",
        sa.Column("waiver", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("programme", Word, nullable=False),
        sa.Column("programme_version", Word, nullable=False),
        sa.Column("requirement", Word, nullable=False),
        sa.Column("maker", Word),
        sa.Column("model", Word),
        sa.Column("hardware_revision", Word),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission")),
        sa.Column("ends_on", Word, nullable=False),
    )
    op.create_index("ix_waivers_state", "waivers", ["state"])
    op.create_index("waivers_by_programme", "waivers", ["programme", "programme_version"])
    op.create_table(
        "waiver_entries",
        sa.Column("waiver", Word, sa.ForeignKey("waivers.waiver"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", Word, nullable=False),
        sa.Column("digest", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
