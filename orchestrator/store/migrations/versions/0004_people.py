"""People with roles and their tokens, and the vendor of each submission in a column of its own."""

import json

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """The one operator from before is nobody now: ``assay people first`` lets the first person in."""
    op.create_table(
        "persons",
        sa.Column("person", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("roles", Word, nullable=False),
        sa.Column("vendor", Word, nullable=False),
        sa.Column("password", Word),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "person_tokens",
        sa.Column("token", Word, primary_key=True),
        sa.Column("digest", Word, nullable=False, unique=True),
        sa.Column("person", Word, sa.ForeignKey("persons.person"), nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("title", Word, nullable=False),
        sa.Column("scopes", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
        sa.Column("expires_at", Word, nullable=False),
        sa.Column("ended_at", Word),
        sa.Column("ended_why", Word, nullable=False, server_default=""),
    )
    op.create_index("ix_person_tokens_person", "person_tokens", ["person"])
    tokens = sa.table("tokens", sa.column("kind", Word))
    op.execute(sa.delete(tokens).where(tokens.c.kind == "user"))

    op.add_column("submissions", sa.Column("vendor", Word, nullable=False, server_default=""))
    op.create_index("ix_submissions_vendor", "submissions", ["vendor"])
    submissions = sa.table(
        "submissions", sa.column("submission", Word), sa.column("content", sa.Text), sa.column("vendor", Word)
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(submissions.c.submission, submissions.c.content)).all():
        of_it = sa.update(submissions).where(submissions.c.submission == row.submission)
        connection.execute(of_it.values(vendor=json.loads(row.content)["vendor"]))
