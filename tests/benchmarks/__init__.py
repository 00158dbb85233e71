"""Figures with targets: each benchmark prints JSON lines and none of them is a test."""
