"""Control devices, and drifts of the benches they are measured on."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Until now no unit was one."""
    op.create_table(
        "controls",
        sa.Column("device", Word, sa.ForeignKey("devices.device"), primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("reason", Word, nullable=False, server_default=""),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "drifts",
        sa.Column("drift", Word, primary_key=True),
        sa.Column("state", Word, nullable=False, index=True),
        sa.Column("bench", Word, nullable=False, index=True),
        sa.Column("chart", Word, nullable=False),
        sa.Column("run", Word, sa.ForeignKey("runs.run"), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("found_at", Word, nullable=False),
        sa.Column("explanation", sa.Text, nullable=False, server_default=""),
        sa.Column("explanation_digest", Word),
        sa.Column("explained_by", Word),
        sa.Column("explained_at", Word),
        sa.Column("anew", sa.Integer, nullable=False, server_default="0"),
    )
