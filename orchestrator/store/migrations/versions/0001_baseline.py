"""The schema as it was before there were migrations ("schema 1"), and the journal's guard.

A database that was made then is recognised by its ``schema`` table and starts from here.
"""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.tables import Word

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "schema",
        sa.Column("version", sa.Integer, primary_key=True),
    )
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", Word, nullable=False),
        sa.Column("fact", Word, nullable=False),
        sa.Column("machine", Word, nullable=False),
        sa.Column("entity", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", Word, nullable=False),
        sa.Column("hash", Word, nullable=False, unique=True),
    )
    op.create_index("journal_by_entity", "journal", ["machine", "entity"])
    op.create_table(
        "labs",
        sa.Column("lab", Word, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "hosts",
        sa.Column("host", Word, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("inbox", Word),
        sa.Column("boot", Word),
        sa.Column("agent_version", Word),
        sa.Column("faults", sa.Text, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("digest", Word, primary_key=True),
        sa.Column("kind", Word, nullable=False),
        sa.Column("subject", Word, nullable=False),
        sa.Column("expires_at", Word),
        sa.Column("used_at", Word),
        sa.Column("revoked_at", Word),
    )
    op.create_table(
        "programmes",
        sa.Column("digest", Word, primary_key=True),
        sa.Column("id", Word, nullable=False),
        sa.Column("version", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("offered", sa.Boolean, nullable=False),
    )
    op.create_table(
        "devices",
        sa.Column("device", Word, primary_key=True),
        sa.Column("identity_kind", Word, nullable=False),
        sa.Column("identity_value", Word, nullable=False),
        sa.Column("host", Word, nullable=False),
        sa.Column("slot", Word, nullable=False),
        sa.Column("registration", sa.Text, nullable=False),
        sa.Column("presence", Word, nullable=False),
        sa.Column("presence_reason", Word, nullable=False),
        sa.Column("intent", Word, nullable=False),
        sa.Column("intent_reason", Word, nullable=False),
        sa.Column("changed_at", Word, nullable=False),
        sa.UniqueConstraint("identity_kind", "identity_value"),
    )
    op.create_table(
        "batches",
        sa.Column("batch", Word, primary_key=True),
        sa.Column("title", Word, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", Word, nullable=False, index=True),
        sa.Column("reason", Word, nullable=False),
        sa.Column("programme", Word, nullable=False),
        sa.Column("programme_version", Word, nullable=False),
        sa.Column("programme_digest", Word, sa.ForeignKey("programmes.digest"), nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "submissions",
        sa.Column("submission", Word, primary_key=True),
        sa.Column("batch", Word, sa.ForeignKey("batches.batch"), nullable=False, index=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("maker", Word, nullable=False),
        sa.Column("model", Word, nullable=False),
        sa.Column("firmware", Word, nullable=False),
        sa.Column("hardware_revision", Word, nullable=False),
        sa.Column("mode", Word, nullable=False),
        sa.Column("category", Word, nullable=False),
        sa.Column("earned", Word),
    )
    op.create_table(
        "runs",
        sa.Column("run", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False, index=True),
        sa.Column("batch", Word, sa.ForeignKey("batches.batch"), nullable=False, index=True),
        sa.Column("suite", Word, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", Word, nullable=False, index=True),
        sa.Column("cases", sa.Text, nullable=False),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("queued_at", Word, nullable=False),
        sa.Column("lease", Word),
        sa.Column("device", Word, index=True),
        sa.Column("host", Word),
        sa.Column("slot", Word),
        sa.Column("ray_node", Word),
        sa.Column("ray_actor", Word),
        sa.Column("placed_at", Word),
        sa.Column("started_at", Word),
        sa.Column("ended_at", Word),
        sa.Column("reason", Word, nullable=False),
        sa.Column("reports_digest", Word),
        sa.Column("avoid_device", Word),
        sa.UniqueConstraint("submission", "suite", "attempt"),
    )
    op.create_table(
        "leases",
        sa.Column("lease", Word, primary_key=True),
        sa.Column("run", Word, sa.ForeignKey("runs.run"), nullable=False, unique=True),
        sa.Column("host", Word, nullable=False),
        sa.Column("state", Word, nullable=False, index=True),
        sa.Column("epochs", sa.Text, nullable=False),
        sa.Column("ttl_s", sa.Float, nullable=False),
        sa.Column("deadline_s", sa.Float, nullable=False),
        sa.Column("granted_at", Word, nullable=False),
        sa.Column("ended_at", Word),
        sa.Column("reason", Word, nullable=False),
    )
    op.create_table(
        "resources",
        sa.Column("resource", Word, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
    )
    op.create_table(
        "held_resources",
        sa.Column("resource", Word, primary_key=True),
        sa.Column("lease", Word, sa.ForeignKey("leases.lease"), nullable=False, index=True),
    )
    op.create_table(
        "reports",
        sa.Column("run", Word, sa.ForeignKey("runs.run"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("digest", Word, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "quarantined_reports",
        sa.Column("run", Word, sa.ForeignKey("runs.run"), primary_key=True),
        sa.Column("digest", Word, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("reason", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "judgements",
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), primary_key=True),
        sa.Column("digest", Word, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False, index=True),
    )
    op.create_table(
        "decisions",
        sa.Column("decision", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "certificates",
        sa.Column("certificate", Word, primary_key=True),
        sa.Column("submission", Word, sa.ForeignKey("submissions.submission"), nullable=False, index=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("level", Word, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("document_digest", Word, nullable=False),
        sa.Column("at", Word, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("principal", Word, primary_key=True),
        sa.Column("key", Word, primary_key=True),
        sa.Column("body_digest", Word, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO schema (version) VALUES (1)")
    _guard_the_journal()


def _guard_the_journal() -> None:
    """The database itself refuses to change or delete a row of the journal."""
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    if not on_sqlite:
        op.execute(
            "CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for verb in ("UPDATE", "DELETE"):
        name = f"journal_no_{verb.lower()}"
        if on_sqlite:
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON journal "
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
        else:
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON journal FOR EACH ROW EXECUTE FUNCTION journal_is_append_only()"
            )
    if not on_sqlite:
        op.execute(
            "CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal "
            "FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()"
        )
