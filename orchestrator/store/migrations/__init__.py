"""The schema's migrations (Alembic), one file each in ``versions/``; how one is added: docs/how-to/migration.md."""
