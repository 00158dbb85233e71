"""The tables. Times are ISO 8601 text in UTC, nouns are JSON text; what is asked for often has a column of its own.

A live lease holds a row of ``held_resources`` for each of its resources, whose key is the resource: a second live
lease of a resource cannot be written, whatever the code above does.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 2

metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))

journal = Table(
    "journal",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("fact", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("entity", String, nullable=False),
    Column("state", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False, unique=True),
)
Index("journal_by_entity", journal.c.machine, journal.c.entity)

labs = Table(
    "labs",
    metadata,
    Column("lab", String, primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", String, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("host", String, primary_key=True),
    Column("body", Text, nullable=False),
    Column("inbox", String),
    Column("boot", String),
    Column("agent_version", String),
    Column("faults", Text, nullable=False, default="[]"),
)

host_intents = Table(
    "host_intents",
    metadata,
    Column("host", String, primary_key=True),
    Column("intent", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("by", String, nullable=False),
    Column("at", String, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("expires_at", String),
    Column("used_at", String),
    Column("revoked_at", String),
)

programmes = Table(
    "programmes",
    metadata,
    Column("digest", String, primary_key=True),
    Column("id", String, nullable=False),
    Column("version", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("offered", Boolean, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device", String, primary_key=True),
    Column("identity_kind", String, nullable=False),
    Column("identity_value", String, nullable=False),
    Column("host", String, nullable=False),
    Column("slot", String, nullable=False),
    Column("registration", Text, nullable=False),
    Column("presence", String, nullable=False),
    Column("presence_reason", String, nullable=False, default=""),
    Column("intent", String, nullable=False),
    Column("intent_reason", String, nullable=False, default=""),
    Column("changed_at", String, nullable=False),
    UniqueConstraint("identity_kind", "identity_value"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("reason", String, nullable=False, default=""),
    Column("programme", String, nullable=False),
    Column("programme_version", String, nullable=False),
    Column("programme_digest", ForeignKey("programmes.digest"), nullable=False),
    Column("purpose", String, nullable=False, server_default="certification"),
    Column("by", String, nullable=False),
    Column("at", String, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission", String, primary_key=True),
    Column("batch", ForeignKey("batches.batch"), nullable=False, index=True),
    Column("place", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("content", Text, nullable=False),
    Column("maker", String, nullable=False),
    Column("model", String, nullable=False),
    Column("firmware", String, nullable=False),
    Column("hardware_revision", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("category", String, nullable=False),
    Column("unit", String),
    Column("earned", String),
)

runs = Table(
    "runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("batch", ForeignKey("batches.batch"), nullable=False, index=True),
    Column("suite", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("cases", Text, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("queued_at", String, nullable=False),
    Column("lease", String),
    Column("device", String, index=True),
    Column("host", String),
    Column("slot", String),
    Column("registration", Text),
    Column("ray_node", String),
    Column("ray_actor", String),
    Column("placed_at", String),
    Column("started_at", String),
    Column("ended_at", String),
    Column("reason", String, nullable=False, default=""),
    Column("reports_digest", String),
    Column("avoid_device", String),
    UniqueConstraint("submission", "suite", "attempt"),
)

Index("runs_by_place", runs.c.host, runs.c.slot)

quarantines = Table(
    "quarantines",
    metadata,
    Column("resource", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("since", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("batch", String),
    Column("ended_at", String),
)

leases = Table(
    "leases",
    metadata,
    Column("lease", String, primary_key=True),
    Column("run", ForeignKey("runs.run"), nullable=False, unique=True),
    Column("host", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("epochs", Text, nullable=False),
    Column("ttl_s", Float, nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("granted_at", String, nullable=False),
    Column("ended_at", String),
    Column("reason", String, nullable=False, default=""),
)

resources = Table(
    "resources",
    metadata,
    Column("resource", String, primary_key=True),
    Column("epoch", Integer, nullable=False),
)

held_resources = Table(
    "held_resources",
    metadata,
    Column("resource", String, primary_key=True),
    Column("lease", ForeignKey("leases.lease"), nullable=False, index=True),
)

reports = Table(
    "reports",
    metadata,
    Column("run", ForeignKey("runs.run"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("digest", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", String, nullable=False),
)

quarantined_reports = Table(
    "quarantined_reports",
    metadata,
    Column("run", ForeignKey("runs.run"), primary_key=True),
    Column("digest", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", String, nullable=False),
)

judgements = Table(
    "judgements",
    metadata,
    Column("submission", ForeignKey("submissions.submission"), primary_key=True),
    Column("digest", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", String, nullable=False, index=True),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision", String, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("at", String, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    Column("certificate", String, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("level", String, nullable=False),
    Column("document", Text, nullable=False),
    Column("document_digest", String, nullable=False),
    Column("at", String, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("body_digest", String, nullable=False),
    Column("reply", Text, nullable=False),
)
