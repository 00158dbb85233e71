"""The truth: tables, the journal beside them, views for reading, artifacts by content address. The only user of SQL."""
