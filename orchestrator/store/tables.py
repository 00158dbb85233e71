"""The tables. Times are ISO 8601 text in UTC, nouns are JSON text; what is asked for often has a column of its own.

They say what the newest migration makes (``migrations/``, docs/how-to/migration.md); a test compares the two.

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
    Table,
    Text,
    UniqueConstraint,
    types,
)

metadata = MetaData()

Word = types.String().with_variant(types.String(collation="C"), "postgresql")
"""Short text, compared byte by byte on every database: times, of which some have no fraction, sort as they follow."""

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))
"""Read by servers from before there were migrations, so that they refuse what they do not know. Nothing else does."""

journal = Table(
    "journal",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Word, nullable=False),
    Column("fact", Word, nullable=False),
    Column("machine", Word, nullable=False),
    Column("entity", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", Word, nullable=False),
    Column("hash", Word, nullable=False, unique=True),
)
Index("journal_by_entity", journal.c.machine, journal.c.entity)

labs = Table(
    "labs",
    metadata,
    Column("lab", Word, primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Word, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("host", Word, primary_key=True),
    Column("body", Text, nullable=False),
    Column("inbox", Word),
    Column("boot", Word),
    Column("agent_version", Word),
    Column("faults", Text, nullable=False, default="[]"),
    Column("full", Word, nullable=False, server_default=""),
    Column("characterised", Text, nullable=False, server_default="[]"),
)

host_intents = Table(
    "host_intents",
    metadata,
    Column("host", Word, primary_key=True),
    Column("intent", Word, nullable=False),
    Column("reason", Word, nullable=False, default=""),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("subject", Word, nullable=False),
    Column("expires_at", Word),
    Column("used_at", Word),
    Column("revoked_at", Word),
)

persons = Table(
    "persons",
    metadata,
    Column("person", Word, primary_key=True),
    Column("state", Word, nullable=False),
    Column("roles", Word, nullable=False),
    Column("vendor", Word, nullable=False),
    Column("password", Word),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
)
"""``roles`` as the journal has them: words in their order; ``vendor`` is "none" where there is none."""

person_tokens = Table(
    "person_tokens",
    metadata,
    Column("token", Word, primary_key=True),
    Column("digest", Word, nullable=False, unique=True),
    Column("person", ForeignKey("persons.person"), nullable=False, index=True),
    Column("state", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("title", Word, nullable=False),
    Column("scopes", Word, nullable=False),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
    Column("expires_at", Word, nullable=False),
    Column("ended_at", Word),
    Column("ended_why", Word, nullable=False, server_default=""),
)
"""``scopes`` "none": everything that the person's roles allow."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription", Word, primary_key=True),
    Column("state", Word, nullable=False),
    Column("way", Word, nullable=False),
    Column("target", Word, nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", Word, nullable=False),
    Column("reason", Word, nullable=False, default=""),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
    Column("delivered_seq", Integer, nullable=False),
    Column("delivered", Integer, nullable=False, default=0),
    Column("passed_over", Integer, nullable=False, default=0),
    Column("delivered_at", Word),
    Column("tries", Integer, nullable=False, default=0),
    Column("failing_since", Word),
    Column("next_try_at", Word),
    Column("said", Word, nullable=False, default=""),
)
"""``delivered_seq``: everything up to this row of the journal was delivered, or is not subscribed to."""

programmes = Table(
    "programmes",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("id", Word, nullable=False),
    Column("version", Word, nullable=False),
    Column("body", Text, nullable=False),
    Column("offered", Boolean, nullable=False),
)

offerings = Table(
    "offerings",
    metadata,
    Column("programme", Word, primary_key=True),
    Column("digest", ForeignKey("programmes.digest"), nullable=False, unique=True),
    Column("state", Word, nullable=False),
    Column("by", Word, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Word, nullable=False),
)
"""Programmes that were added to this lab, as ``ID@VERSION``; those that come with the product are in none."""

devices = Table(
    "devices",
    metadata,
    Column("device", Word, primary_key=True),
    Column("identity_kind", Word, nullable=False),
    Column("identity_value", Word, nullable=False),
    Column("host", Word, nullable=False),
    Column("slot", Word, nullable=False),
    Column("registration", Text, nullable=False),
    Column("presence", Word, nullable=False),
    Column("presence_reason", Word, nullable=False, default=""),
    Column("intent", Word, nullable=False),
    Column("intent_reason", Word, nullable=False, default=""),
    Column("changed_at", Word, nullable=False),
    UniqueConstraint("identity_kind", "identity_value"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch", Word, primary_key=True),
    Column("title", Word, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Word, nullable=False, index=True),
    Column("reason", Word, nullable=False, default=""),
    Column("programme", Word, nullable=False),
    Column("programme_version", Word, nullable=False),
    Column("programme_digest", ForeignKey("programmes.digest"), nullable=False),
    Column("purpose", Word, nullable=False, server_default="certification"),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("submission", Word, primary_key=True),
    Column("batch", ForeignKey("batches.batch"), nullable=False, index=True),
    Column("place", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("content", Text, nullable=False),
    Column("maker", Word, nullable=False),
    Column("model", Word, nullable=False),
    Column("firmware", Word, nullable=False),
    Column("hardware_revision", Word, nullable=False),
    Column("mode", Word, nullable=False),
    Column("category", Word, nullable=False),
    Column("vendor", Word, nullable=False, server_default="", index=True),
    Column("unit", Word),
    Column("earned", Word),
)

runs = Table(
    "runs",
    metadata,
    Column("run", Word, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("batch", ForeignKey("batches.batch"), nullable=False, index=True),
    Column("suite", Word, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Word, nullable=False, index=True),
    Column("cases", Text, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("queued_at", Word, nullable=False),
    Column("lease", Word),
    Column("device", Word, index=True),
    Column("host", Word),
    Column("slot", Word),
    Column("registration", Text),
    Column("ray_node", Word),
    Column("ray_actor", Word),
    Column("placed_at", Word),
    Column("started_at", Word),
    Column("ended_at", Word),
    Column("reason", Word, nullable=False, default=""),
    Column("reports_digest", Word),
    Column("avoid_device", Word),
    Column("needs", Text),
    Column("companions", Text),
    UniqueConstraint("submission", "suite", "attempt"),
)

Index("runs_by_place", runs.c.host, runs.c.slot)
Index("runs_by_turn", runs.c.state, runs.c.queued_at)

quarantines = Table(
    "quarantines",
    metadata,
    Column("resource", Word, primary_key=True),
    Column("state", Word, nullable=False),
    Column("reason", Word, nullable=False),
    Column("since", Word, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("batch", Word),
    Column("ended_at", Word),
)

leases = Table(
    "leases",
    metadata,
    Column("lease", Word, primary_key=True),
    Column("run", ForeignKey("runs.run"), nullable=False, unique=True),
    Column("host", Word, nullable=False),
    Column("state", Word, nullable=False, index=True),
    Column("epochs", Text, nullable=False),
    Column("ttl_s", Float, nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("granted_at", Word, nullable=False),
    Column("ended_at", Word),
    Column("reason", Word, nullable=False, default=""),
)

resources = Table(
    "resources",
    metadata,
    Column("resource", Word, primary_key=True),
    Column("epoch", Integer, nullable=False),
)

held_resources = Table(
    "held_resources",
    metadata,
    Column("resource", Word, primary_key=True),
    Column("lease", ForeignKey("leases.lease"), nullable=False, index=True),
)

reports = Table(
    "reports",
    metadata,
    Column("run", ForeignKey("runs.run"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("digest", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Word, nullable=False),
)

quarantined_reports = Table(
    "quarantined_reports",
    metadata,
    Column("run", ForeignKey("runs.run"), primary_key=True),
    Column("digest", Word, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("reason", Word, nullable=False),
    Column("at", Word, nullable=False),
)

judgements = Table(
    "judgements",
    metadata,
    Column("submission", ForeignKey("submissions.submission"), primary_key=True),
    Column("digest", Word, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Word, nullable=False, index=True),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision", Word, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("at", Word, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("submission", ForeignKey("submissions.submission"), primary_key=True),
    Column("state", Word, nullable=False, index=True),
    Column("judgement_digest", Word, nullable=False),
    Column("opened_at", Word, nullable=False),
    Column("changed_at", Word, nullable=False),
    Column("decision", ForeignKey("decisions.decision")),
)

review_entries = Table(
    "review_entries",
    metadata,
    Column("entry", Word, primary_key=True),
    Column("submission", ForeignKey("reviews.submission"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", Word, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("submission", "place"),
)
"""Everything that was said in reviews, in its order. ``kind``: the name of the fact that ``body`` is."""

prompts = Table(
    "prompts",
    metadata,
    Column("prompt", Word, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False),
    Column("requirement", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("second_person", Boolean, nullable=False),
    Column("opened_at", Word, nullable=False),
    Column("due_at", Word, nullable=False),
    Column("changed_at", Word, nullable=False),
    UniqueConstraint("submission", "requirement"),
)
"""What people are asked to measure."""

Index("prompts_by_due", prompts.c.state, prompts.c.due_at)

prompt_entries = Table(
    "prompt_entries",
    metadata,
    Column("entry", Word, primary_key=True),
    Column("prompt", ForeignKey("prompts.prompt"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", Word, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("prompt", "place"),
)
"""Everything that became of prompts, in its order. ``kind``: the name of the fact that ``body`` is."""

certificates = Table(
    "certificates",
    metadata,
    Column("certificate", Word, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("state", Word, nullable=False),
    Column("level", Word, nullable=False),
    Column("document", Text, nullable=False),
    Column("document_digest", Word, nullable=False),
    Column("at", Word, nullable=False),
    Column("ends_on", Word),
    Column("limits", Text, nullable=False, server_default=""),
    Column("conditions", Text, nullable=False, server_default=""),
    Column("granted_as", Word, nullable=False, server_default="granted"),
    Column("links", Integer, nullable=False, server_default="0"),
    Column("head", Word, nullable=False, server_default=""),
)
"""What the newest link says, and how many there are. ``head``: the digest of the newest document."""

certificate_links = Table(
    "certificate_links",
    metadata,
    Column("certificate", ForeignKey("certificates.certificate"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("document_digest", Word, nullable=False),
    Column("at", Word, nullable=False),
    Column("state", Word, nullable=False, server_default=""),
    Column("ends_on", Word),
    Column("limits", Text, nullable=False, server_default=""),
)
"""What became of certificates: every signed link, from 1 on. ``state``, ``ends_on``, ``limits``: as its document says,
for the listing of a day that is over."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("thumbprint", Word, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("x", Word, nullable=False),
    Column("previous", Word, nullable=False),
    Column("valid_from", Word, nullable=False),
    Column("retired_at", Word),
    Column("compromised_since", Word),
    Column("reason", Text, nullable=False, server_default=""),
    Column("document", Text, nullable=False),
    Column("document_digest", Word, nullable=False),
)
"""The public halves of all keys since there was more than one. ``previous``: the key that signed it in, or ``none``."""

test_reports = Table(
    "test_reports",
    metadata,
    Column("number", Word, primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), nullable=False, index=True),
    Column("state", Word, nullable=False),
    Column("amends", Word, nullable=False),
    Column("amended_by", Word),
    Column("document", Text, nullable=False),
    Column("document_digest", Word, nullable=False),
    Column("by", Word, nullable=False),
    Column("at", Word, nullable=False),
)
"""Test reports as they were issued. ``amends``: the number of the one whose place it took, or ``none``."""

samples = Table(
    "samples",
    metadata,
    Column("sample", Word, primary_key=True),
    Column("state", Word, nullable=False),
    Column("vendor", Word, nullable=False, index=True),
    Column("maker", Word, nullable=False),
    Column("model", Word, nullable=False),
    Column("hardware_revision", Word, nullable=False),
    Column("serial", Word),
    Column("origin", Word),
    Column("condition", Text, nullable=False, server_default=""),
    Column("seal", Word, nullable=False, server_default=""),
    Column("place", Word, nullable=False, server_default=""),
    Column("holder", Word, nullable=False, server_default=""),
    Column("unit", Word),
    Column("announced_at", Word, nullable=False),
    Column("received_at", Word),
    Column("changed_at", Word, nullable=False),
)
"""What ``custody`` says last of each; the audit holds the two against each other."""

Index("samples_by_product", samples.c.maker, samples.c.model, samples.c.serial)

custody = Table(
    "custody",
    metadata,
    Column("sample", ForeignKey("samples.sample"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", Word, nullable=False),
    Column("digest", Word, nullable=False),
    Column("body", Text, nullable=False),
)
"""Everything that happened to a sample, as it was written down: the journal holds the digests, in the same order."""

sample_submissions = Table(
    "sample_submissions",
    metadata,
    Column("sample", ForeignKey("samples.sample"), primary_key=True),
    Column("submission", ForeignKey("submissions.submission"), primary_key=True, index=True),
)

waivers = Table(
    "waivers",
    metadata,
    Column("waiver", Word, primary_key=True),
    Column("state", Word, nullable=False, index=True),
    Column("programme", Word, nullable=False),
    Column("programme_version", Word, nullable=False),
    Column("requirement", Word, nullable=False),
    Column("maker", Word),
    Column("model", Word),
    Column("hardware_revision", Word),
    Column("submission", ForeignKey("submissions.submission")),
    Column("ends_on", Word, nullable=False),
)
"""What ``waiver_entries`` says of each; the audit holds the two against each other."""

Index("waivers_by_programme", waivers.c.programme, waivers.c.programme_version)

waiver_entries = Table(
    "waiver_entries",
    metadata,
    Column("waiver", ForeignKey("waivers.waiver"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("fact", Word, nullable=False),
    Column("digest", Word, nullable=False),
    Column("body", Text, nullable=False),
)
"""Everything that happened to a waiver; the journal holds the digests, in the same order."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Word, primary_key=True),
    Column("key", Word, primary_key=True),
    Column("body_digest", Word, nullable=False),
    Column("reply", Text, nullable=False),
)

leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("holder", Word, nullable=False),
    Column("address", Word, nullable=False),
    Column("issuer", Word, nullable=False),
)
"""One row: the server that leads, of several on one database. ``epoch`` only grows; ``beat`` shows that it lives."""

heard = Table(
    "heard",
    metadata,
    Column("kind", Word, primary_key=True),
    Column("name", Word, primary_key=True),
    Column("number", Integer, nullable=False),
)
"""What followers heard of hosts and leases, for the leader: a number that grows, and no time (docs/decisions/0004)."""

agent_authority = Table(
    "agent_authority",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("audience", Word, nullable=False),
    Column("secret", Word, nullable=False),
)
"""One row: what agents prove themselves to, and with what the servers of a lab mark their challenges."""

agent_keys = Table(
    "agent_keys",
    metadata,
    Column("host", Word, primary_key=True),
    Column("public_key", Word, nullable=False),
    Column("joined_at", Word, nullable=False),
    Column("revoked_at", Word),
    Column("revoked_by", Word, nullable=False, server_default=""),
    Column("reason", Word, nullable=False, server_default=""),
)
"""The public half of the key with which the agent of a host joined last."""

used_challenges = Table(
    "used_challenges",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("at", Word, nullable=False, index=True),
)
"""Challenges that were answered well; forgotten after a day, when they are long too old to be answered."""

tallies = Table(
    "tallies",
    metadata,
    Column("metric", Word, primary_key=True),
    Column("labels", Word, primary_key=True),
    Column("part", Word, primary_key=True),
    Column("value", Float, nullable=False),
)
"""What has been counted (docs/decisions/0010). ``labels``: their values as a JSON list. ``part``: of a histogram the
upper end of a bucket or ``sum``, else empty. A row for each series, whatever the lab has done.
"""
