"""Sends the bench's audio when it is due: plans with and without impairments, and the process that keeps them."""
