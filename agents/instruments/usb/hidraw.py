"""The headset's HID reports through /dev/hidraw: read as they come, each with its time; output reports written.

hidraw gives no time of its own: a report's is taken when the event loop was woken for it, and the bench's own stall in
that window says how far that can be trusted.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from agents.instruments.usb.port import HeadsetGone, TimedReport
from lab_inventory.clock import boottime_ns

REPORTS_MAX = 20_000
"""Reports that are kept; a headset that sends more of them has shown enough."""

_REPORT_BYTES_MAX = 4096


class HidRaw:
    """One open hidraw node, from ``open`` to ``close``."""

    def __init__(self) -> None:
        self._handle: int | None = None
        self._reports: deque[TimedReport] = deque(maxlen=REPORTS_MAX)
        self._came = asyncio.Event()
        self.gone = False

    def open(self, name: str, devices: Path = Path("/dev")) -> None:
        """Open the node ``name`` and read from now on; raises HeadsetGone where it cannot be opened."""
        self.close()
        try:
            self._handle = os.open(devices / name, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            raise HeadsetGone(f"{devices / name} cannot be opened: {error.strerror}") from error
        self.gone = False
        asyncio.get_running_loop().add_reader(self._handle, self._read)

    def close(self) -> None:
        """Read no more; what came is kept."""
        if self._handle is not None:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None

    @property
    def is_open(self) -> bool:
        """Whether a node is open and its device was not seen to leave."""
        return self._handle is not None and not self.gone

    def reports(self) -> Sequence[TimedReport]:
        """Every report that is remembered, in order."""
        return tuple(self._reports)

    def forget(self) -> None:
        """Forget what came so far."""
        self._reports.clear()

    async def wait(self, count: int, timeout_s: float) -> bool:
        """Wait until ``count`` reports are remembered; False: not within the limit."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._reports) < count:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return False
        return True

    def write(self, report: bytes) -> None:
        """Send one output report; raises HeadsetGone where the device does not take it."""
        if self._handle is None:
            raise HeadsetGone("no hidraw node is open")
        try:
            os.write(self._handle, report)
        except OSError as error:
            raise HeadsetGone(f"an output report was not taken: {error.strerror}") from error

    def _read(self) -> None:
        at_ns = boottime_ns()
        try:
            while self._handle is not None and (data := os.read(self._handle, _REPORT_BYTES_MAX)):
                self._reports.append(TimedReport(at_ns=at_ns, data=data))
                self._came.set()
        except BlockingIOError:
            return
        except OSError:
            self.gone = True
            self.close()
