"""The sender's process: sends what stands in the rings of its ports, each packet when it is due, and does nothing else.

Told over standard input, a Unix socket: ``o`` and a number (4 bytes) with two descriptors, the port's socket and its
ring's memory: a port; ``k`` and a number: its ring has something new; ``c`` and a number: let go of it. Says ``r`` once
it waits. Ends when the other end of that socket is gone, so never outlives the run that started it. It keeps no keys:
packets come to it as they go on the wire.
"""

import gc
import os
import select
import signal
import socket
import time  # noqa: TID251 - its only work is to be on time, without a layer between
from heapq import heappop, heappush

from agents.instruments.sender.ring import Ring
from agents.punctual import wake_punctually

_MESSAGE_BYTES_MAX = 5
_SENT_BETWEEN_LOOKS_MAX = 64
_PENDING_ERRORS_MAX = 16


def main() -> None:
    """Send until the run is gone."""
    wake_punctually()
    gc.disable()  # a collection would take longer than a packet may be late; nothing here makes cycles
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when its sender ends
    with socket.socket(fileno=0) as control:
        control.setblocking(False)
        control.send(b"r")
        _Sender(control).work()


class _Port:
    """One audio port: its socket, its ring, and for when it stands in the queue."""

    def __init__(self, descriptor: int, memory: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self.ring = Ring(memory)
        self.queued_ns: int | None = None
        os.close(memory)

    def send(self, data: memoryview, peer: tuple[str, int]) -> int:
        """Send one datagram: when it left, or the error below zero."""
        error = 0
        for _ in range(_PENDING_ERRORS_MAX):
            at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            try:
                self._socket.sendto(data, peer)
            except ConnectionRefusedError as refused:  # the answer to an earlier datagram; this one has not left yet
                error = refused.errno or 1
            except OSError as refused:
                return -(refused.errno or 1)
            else:
                return at_ns
        return -error

    def close(self) -> None:
        self._socket.close()


class _Sender:
    """All ports, and when each has something due. What is in the queue is only when to look at a port."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ports: dict[int, _Port] = {}
        self._queue: list[tuple[int, int]] = []

    def work(self) -> None:
        """Until the other end is gone."""
        while self._listen(self._send_due()):
            pass

    def _send_due(self) -> float | None:
        """Send what is due; gives for how long there is nothing to do (s), None where nothing is planned."""
        for _ in range(_SENT_BETWEEN_LOOKS_MAX):
            if not self._queue:
                return None
            due_ns, number = self._queue[0]
            wait_ns = due_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            if wait_ns > 0:
                return wait_ns / 1e9
            heappop(self._queue)
            port = self._ports.get(number)
            if port is None or port.queued_ns != due_ns:
                continue
            port.queued_ns = None
            now_due_ns = port.ring.due_ns()  # it may have been taken back, and others put there, since it was queued
            if now_due_ns is not None and now_due_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME):
                port.ring.send_next(port.send)
            self._queue_up(number, port)
        return 0.0

    def _queue_up(self, number: int, port: _Port) -> None:
        """See to it that the port is looked at when its next packet is due."""
        due_ns = port.ring.due_ns()
        if due_ns is not None and (port.queued_ns is None or due_ns < port.queued_ns):
            port.queued_ns = due_ns
            heappush(self._queue, (due_ns, number))

    def _listen(self, timeout_s: float | None) -> bool:
        """Wait for something to do; False where the other end is gone."""
        if not select.select([self._control], [], [], timeout_s)[0]:
            return True
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES_MAX, 2)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        number = int.from_bytes(data[1:])
        if data[:1] == b"o":
            self._ports[number] = _Port(*descriptors)
        elif number in self._ports:
            if data[:1] == b"c":
                self._ports.pop(number).close()
            else:
                self._queue_up(number, self._ports[number])
        return True


if __name__ == "__main__":
    main()
