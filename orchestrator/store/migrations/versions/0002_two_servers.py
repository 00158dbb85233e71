"""Several servers on one database (docs/decisions/0004): who leads, and what followers heard.

The number in ``schema`` moves once, so that servers from before there were migrations refuse this database.
"""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nobody leads yet, and nothing was heard."""
    op.create_table(
        "leadership",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("holder", Word, nullable=False),
        sa.Column("address", Word, nullable=False),
        sa.Column("issuer", Word, nullable=False),
    )
    op.execute("INSERT INTO leadership (id, epoch, beat, holder, address, issuer) VALUES (1, 0, 0, '', '', '')")
    op.create_table(
        "heard",
        sa.Column("kind", Word, primary_key=True),
        sa.Column("name", Word, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.execute("UPDATE schema SET version = 2")
