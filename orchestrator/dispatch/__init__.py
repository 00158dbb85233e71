"""Handing assignments to the Ray workers of the lab hosts. Ray itself lives in a process of its own."""
