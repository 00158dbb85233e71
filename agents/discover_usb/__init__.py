"""Finds what is plugged in by USB: by udev (``bus``), what that comes to (``units``, ``losses``), what answers."""
