"""The sender as a run has it: a process that is started when it is first needed, and the ports it sends for."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress

from agents.instruments.sender.ring import Ring, new_memory
from lab_inventory.errors import Unavailable

COMMAND = (sys.executable, "-P", "-m", "agents.instruments.sender.process")
READY_TIMEOUT_S = 10.0


class Sender:
    """One process that sends for any number of ports; the run that has it ends it by ``close``, or by its own end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ports = 0
        self._ready = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, once it is started."""
        return None if self._process is None else self._process.pid

    @property
    def fault(self) -> str:
        """In words, how the process ended though nobody told it to; empty where it did not."""
        if self._process is None or self._closed or self._process.poll() is None:
            return ""
        return f"the sender's process ended with status {self._process.returncode}"

    async def ready(self) -> None:
        """Start it, and wait until it is there to send in time. Raises Unavailable where it does not come up."""
        control = self._started()
        if self._ready:
            return
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                said = await asyncio.get_running_loop().sock_recv(control, 1)
        except (TimeoutError, OSError):
            said = b""
        if not said:
            self.close()
            raise Unavailable("the sender's process does not come up")
        self._ready = True

    def port(self, bound: int) -> "SenderPort":
        """Send from this bound socket (its descriptor), which the process gets too. Raises Unavailable without one."""
        control = self._started()
        self._ports += 1
        memory = new_memory()
        try:
            ring = Ring(memory)
            socket.send_fds(control, [b"o" + self._ports.to_bytes(4)], [bound, memory])
        except OSError as error:
            raise Unavailable(f"the sender takes no port: {error.strerror or error}") from error
        finally:
            os.close(memory)
        return SenderPort(control, self._ports, ring)

    def close(self) -> None:
        """End the process; nothing is sent any more. May be called twice."""
        self._closed = True
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()  # it keeps nothing; what it has sent stands in the rings
            self._process.wait()

    def _started(self) -> socket.socket:
        if self._closed:
            raise Unavailable("the sender is closed")
        if self._control is None:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            try:
                self._process = subprocess.Popen(COMMAND, stdin=its.fileno(), stdout=subprocess.DEVNULL)
            except OSError as error:
                ours.close()
                raise Unavailable(f"the sender's process cannot be started: {error.strerror or error}") from error
            finally:
                its.close()
            self._control = ours
        return self._control


class SenderPort:
    """What the sender does for one socket: ``ring`` is where its packets are put."""

    def __init__(self, control: socket.socket, number: int, ring: Ring) -> None:
        self._control = control
        self._number = number.to_bytes(4)
        self.ring = ring

    def tell(self) -> None:
        """Tell the process that the ring has something new. One that is gone shows in :attr:`Sender.fault`."""
        with suppress(OSError):
            self._control.send(b"k" + self._number)

    def close(self) -> None:
        """Let the process let go of the socket; what is not sent yet is not sent any more."""
        self.ring.take_back(self.ring.done)
        with suppress(OSError):
            self._control.send(b"c" + self._number)
