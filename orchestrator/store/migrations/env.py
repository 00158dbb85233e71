"""What Alembic runs: the migrations on the connection it was handed, inside the transaction that is open there."""

from alembic import context

from orchestrator.store import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.metadata)
context.run_migrations()
