"""A process that ends with its parent, however the parent ends (Linux, prctl(2))."""

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """From now on this signal comes when the parent is gone; for a child it is called between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)
