"""Samples, who had them when, and the submissions that they are for."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """No sample is known yet."""
    op.create_table(
        "samples",
        sa.Column("sample", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("vendor", Word, nullable=False),
        sa.Column("maker", Word, nullable=False),
        sa.Column("model", Word, nullable=False),
        sa.Column("hardware_revision", Word, nullable=False),
        sa.Column("serial", Word),
        sa.Column("origin", Word),
        sa.Column("condition", sa.Text, nullable=False, server_default=""),
        sa.Column("seal", Word, nullable=False, server_default=""),
        sa.Column("place", Word, nullable=False, server_default=""),
        sa.Column("holder", Word, nullable=False, server_default=""),
        sa.Column("unit", Word),
        sa.Column("announced_at", Word, nullable=False),
        sa.Column("received_at", Word),
        sa.Column("changed_at", Word, nullable=False),
    )
    op.create_index("ix_samples_vendor", "samples", ["vendor"])
    op.create_index("samples_by_product", "samples", ["maker", "model", "serial"])
    op.create_table(
        "custody",
        sa.Column("sample", Word, sa.ForeignKey("samples.sample"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", Word, nullable=False),
        sa.Column("digest", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "sample_submissions",
        sa.Column("sample", Word, sa.ForeignKey("samples.sample"), primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), primary_key=True),
    )
    op.create_index("ix_sample_submissions_submission", "sample_submissions", ["submission"])
