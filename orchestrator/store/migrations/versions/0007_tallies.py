"""What has been counted, kept where it was decided: it goes on after a restart and is the same at any server."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Counting begins now; how many certificates there are in which state is what it was."""
    op.create_table(
        "tallies",
        sa.Column("metric", Word, primary_key=True),
        sa.Column("labels", Word, primary_key=True),
        sa.Column("part", Word, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
    op.execute(
        "INSERT INTO tallies (metric, labels, part, value)"
        " SELECT 'assay_certificates', '[\"' || state || '\"]', '', count(*) FROM certificates GROUP BY state"
    )
    op.create_index("runs_by_turn", "runs", ["state", "queued_at"])
