"""The shared nouns: what a lab holds, what it certifies against, and what agent and orchestrator say to each other."""
