"""The central scheduler: takes submissions, places runs, records evidence, judges, certifies. Command ``assay``."""
