"""How a run is told who gets its recordings scored: by a variable of its environment."""

VARIABLE = "ASSAY_RUN_SCORES"
ASKED = "asked"
"""What an agent sets the variable to for its runs: it carries their questions. Else a run scores by itself."""
