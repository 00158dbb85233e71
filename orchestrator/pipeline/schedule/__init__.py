"""Which waiting run gets which unit, and why the others wait. Pure."""
