"""The devices that a run needs and gets beside the one under test."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Until now no run could have any."""
    op.add_column("runs", sa.Column("needs", sa.Text))
    op.add_column("runs", sa.Column("companions", sa.Text))
