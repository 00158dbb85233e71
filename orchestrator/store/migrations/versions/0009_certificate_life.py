"""What becomes of certificates: signed links, and what holds of each certificate now."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing became of the certificates that were granted before: each is its own newest document."""
    op.create_table(
        "certificate_links",
        sa.Column("certificate", Word, sa.ForeignKey("certificates.certificate"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("document_digest", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.add_column("certificates", sa.Column("ends_on", Word))
    op.add_column("certificates", sa.Column("limits", sa.Text, nullable=False, server_default=""))
    op.add_column("certificates", sa.Column("links", sa.Integer, nullable=False, server_default="0"))
    op.add_column("certificates", sa.Column("head", Word, nullable=False, server_default=""))
    certificates = sa.table("certificates", sa.column("head"), sa.column("document_digest"))
    op.execute(certificates.update().values(head=certificates.c.document_digest))
