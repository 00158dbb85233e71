"""Programmes of a lab's own; what each link of a certificate says, to be looked up by day; waivers; prompts; keys."""

import json

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0012"
down_revision = "0011"

SAID = ("state", "ends_on", "limits")


def upgrade() -> None:
    """Nothing of this was there yet, but what links of certificates say."""
    _offerings()
    _waivers()
    _prompts()
    _signing_keys()


def _offerings() -> None:
    """Until now all programmes came with the product; what links say is read from their documents."""
    op.create_table(
        "offerings",
        sa.Column("programme", Word, primary_key=True),
        sa.Column("digest", Word, sa.ForeignKey("programmes.digest"), nullable=False, unique=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.add_column("certificates", sa.Column("conditions", sa.Text, nullable=False, server_default=""))
    op.add_column("certificates", sa.Column("granted_as", Word, nullable=False, server_default="granted"))
    op.add_column("certificate_links", sa.Column("state", Word, nullable=False, server_default=""))
    op.add_column("certificate_links", sa.Column("ends_on", Word))
    op.add_column("certificate_links", sa.Column("limits", sa.Text, nullable=False, server_default=""))
    links = sa.table("certificate_links", *(sa.column(name) for name in ("certificate", "number", "document", *SAID)))
    connection = op.get_bind()
    for row in connection.execute(sa.select(links.c.certificate, links.c.number, links.c.document)).all():
        said = json.loads(row.document)["link"]
        of_it = sa.update(links).where(links.c.certificate == row.certificate, links.c.number == row.number)
        connection.execute(of_it.values({name: said[name] for name in SAID}))


def _waivers() -> None:
    """Nothing is waived yet."""
    op.create_table(
        "waivers",
        sa.Column("waiver", Word, primary_key=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("programme", Word, nullable=False),
        sa.Column("programme_version", Word, nullable=False),
        sa.Column("requirement", Word, nullable=False),
        sa.Column("maker", Word),
        sa.Column("model", Word),
        sa.Column("hardware_revision", Word),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission")),
        sa.Column("ends_on", Word, nullable=False),
    )
    op.create_index("ix_waivers_state", "waivers", ["state"])
    op.create_index("waivers_by_programme", "waivers", ["programme", "programme_version"])
    op.create_table(
        "waiver_entries",
        sa.Column("waiver", Word, sa.ForeignKey("waivers.waiver"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fact", Word, nullable=False),
        sa.Column("digest", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def _prompts() -> None:
    """Nobody was asked anything yet: submissions from before are judged without prompts, as they were accepted."""
    op.create_table(
        "prompts",
        sa.Column("prompt", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False),
        sa.Column("requirement", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("second_person", sa.Boolean, nullable=False),
        sa.Column("opened_at", Word, nullable=False),
        sa.Column("due_at", Word, nullable=False),
        sa.Column("changed_at", Word, nullable=False),
        sa.UniqueConstraint("submission", "requirement"),
    )
    op.create_index("prompts_by_due", "prompts", ["state", "due_at"])
    op.create_table(
        "prompt_entries",
        sa.Column("entry", Word, primary_key=True),
        sa.Column("prompt", Word, sa.ForeignKey("prompts.prompt"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("prompt", "place"),
    )


def _signing_keys() -> None:
    """Until now every lab had one key, which lies in its data directory alone."""
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
