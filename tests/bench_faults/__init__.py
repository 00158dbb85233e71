"""Faults of a bench, injected into real runs: whatever the lab suffers, no healthy device fails by it."""
