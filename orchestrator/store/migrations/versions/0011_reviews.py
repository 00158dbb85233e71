"""Reviews of judged submissions, and what was said in them."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nothing is under review yet: until now every programme was decided automatically."""
    op.create_table(
        "reviews",
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("judgement_digest", Word, nullable=False),
        sa.Column("opened_at", Word, nullable=False),
        sa.Column("changed_at", Word, nullable=False),
        sa.Column("decision", Word, sa.ForeignKey("decisions.decision")),
    )
    op.create_index("ix_reviews_state", "reviews", ["state"])
    op.create_table(
        "review_entries",
        sa.Column("entry", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("reviews.submission"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("submission", "place"),
    )
