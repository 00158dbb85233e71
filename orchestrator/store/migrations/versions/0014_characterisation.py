"""What hosts say of the uncertainty of their benches."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Hosts tell it with their next heartbeat."""
    op.add_column("hosts", sa.Column("characterised", sa.Text, nullable=False, server_default="[]"))
