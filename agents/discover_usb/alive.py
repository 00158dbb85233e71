"""Whether a USB device that is there answers: one control transfer with a deadline, through usbfs. Thin IO.

A device whose firmware hangs stays in every list of the kernel; only asking it shows that it is a ghost.
"""

import ctypes
import errno
import fcntl
import os
import struct

DEADLINE_MS = 1000
"""USB 2.0, 9.2.6.4: the data of a standard request comes within 500 ms, and an emulated host is slow."""

_TRANSFER = struct.Struct("@BBHHHIP")
"""``struct usbdevfs_ctrltransfer``: request type, request, value, index, length, deadline in ms, address of data."""

_CONTROL = (3 << 30) | (_TRANSFER.size << 16) | (ord("U") << 8)
"""``USBDEVFS_CONTROL``: _IOWR('U', 0, struct usbdevfs_ctrltransfer)."""

_FROM_DEVICE, _GET_STATUS, _STATUS_BYTES = 0x80, 0, 2


def why_silent(node: str, deadline_ms: int = DEADLINE_MS) -> str:
    """Ask the device at the usbfs file ``node`` for its status (USB 2.0, 9.4.5); empty where it answers, a refusal
    included, else why it counts as silent, in words. Waits as long as the deadline at most.

    Raises PermissionError where this user may not ask, FileNotFoundError where the device is gone.
    """
    handle = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    try:
        data = ctypes.create_string_buffer(_STATUS_BYTES)
        address = ctypes.addressof(data)
        asked = _TRANSFER.pack(_FROM_DEVICE, _GET_STATUS, 0, 0, _STATUS_BYTES, deadline_ms, address)
        try:
            fcntl.ioctl(handle, _CONTROL, asked)
        except OSError as error:
            if error.errno == errno.EPIPE:
                return ""  # a stall is an answer
            if error.errno == errno.ENODEV:
                raise FileNotFoundError(errno.ENOENT, "the device is gone", node) from error
            late = error.errno == errno.ETIMEDOUT
            return f"a request for its status {'is not answered in time' if late else f'fails: {error.strerror}'}"
    finally:
        os.close(handle)
    return ""
