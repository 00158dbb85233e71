"""The keys that signed and sign, since there was more than one; and what is open of provisional certificates."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0014"
down_revision = "0011"


def upgrade() -> None:
    """Until now every lab had one key, which lies in its data directory alone, and granted in full."""
    op.add_column("certificates", sa.Column("conditions", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "signing_keys",
        sa.Column("thumbprint", Word, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("x", Word, nullable=False),
        sa.Column("previous", Word, nullable=False),
        sa.Column("valid_from", Word, nullable=False),
        sa.Column("retired_at", Word),
        sa.Column("compromised_since", Word),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("document_digest", Word, nullable=False),
    )
