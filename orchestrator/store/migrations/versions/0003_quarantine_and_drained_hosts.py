"""What the lab takes out by itself and brings back, what people take out as a whole host, what a run is about."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing is in quarantine yet and no host is drained; runs that were placed before keep no registration."""
    op.create_table(
        "host_intents",
        sa.Column("host", Word, primary_key=True),
        sa.Column("intent", Word, nullable=False),
        sa.Column("reason", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "quarantines",
        sa.Column("resource", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("reason", Word, nullable=False),
        sa.Column("since", Word, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("batch", Word),
        sa.Column("ended_at", Word),
    )
    op.add_column("hosts", sa.Column("full", Word, nullable=False, server_default=""))
    op.add_column("batches", sa.Column("purpose", Word, nullable=False, server_default="certification"))
    op.add_column("submissions", sa.Column("unit", Word))
    op.add_column("runs", sa.Column("registration", sa.Text))
    op.create_index("runs_by_place", "runs", ["host", "slot"])
