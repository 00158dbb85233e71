"""One host that has taken the headset: its transfers on their endpoints, in bus time (USB/IP). Knows no defect.

Control and interrupt transfers are answered when there is an answer, isochronous ones when the bus clock has passed
their last frame.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from agents.simulated.headset.descriptors import HID_ENDPOINT, packet_bytes_max
from agents.simulated.headset.device import Headset
from agents.simulated.headset.frame_clock import FrameClock
from agents.simulated.headset.wire import (
    BODY_BYTES,
    BROKEN,
    CMD_SUBMIT,
    CMD_UNLINK,
    HEAD,
    LOST,
    STALLED,
    Packet,
    ProtocolBreach,
    Submit,
    pack_return,
    pack_unlinked,
    read_packets,
    read_submit,
)

PENDING_MAX = 1_024
"""Transfers that may wait at once: vhci-hcd keeps a dozen for each stream."""

_PACKET_DESCRIPTOR_BYTES = 16
_EARLY_FRAMES = 0.25
"""A timer may fire this much before the frame's end; less than it lies late."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Isochronous:
    number: int
    is_in: bool
    endpoint: int
    first: int
    packets: tuple[Packet, ...]

    @property
    def end(self) -> int:
        return self.first + len(self.packets)


class Attachment:
    """Serves one connection until it ends; raises ProtocolBreach for what is no USB/IP."""

    def __init__(self, device: Headset, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device = device
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self.clock = FrameClock(self._loop.time())
        self._streams: deque[_Isochronous] = deque()
        self._polls: deque[int] = deque()
        self._unanswered: set[int] = set()
        self._answered: deque[tuple[int, int]] = deque(maxlen=PENDING_MAX)
        self._forgotten = 0
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Take commands until the connection ends (IncompleteReadError or OSError)."""
        self._device.report_ready = self._give_reports
        self._device.stream_ended = self._stream_ended
        try:
            while True:
                head = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                body = await self._reader.readexactly(BODY_BYTES)
                if head[0] == CMD_SUBMIT:
                    await self._submit(read_submit(head, body))
                elif head[0] == CMD_UNLINK:
                    self._unlink(head[1], int.from_bytes(body[:4], "big"))
                else:
                    raise ProtocolBreach(f"command {head[0]}; expected 1 (submit) or 2 (unlink)")
                await self._writer.drain()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._streams.clear()
            self._polls.clear()
            self._unanswered.clear()
            self._device.report_ready = _nothing
            self._device.stream_ended = _nothing_with

    async def _submit(self, submit: Submit) -> None:
        if len(self._streams) + len(self._polls) + len(self._unanswered) >= PENDING_MAX:
            raise ProtocolBreach(f"more than {PENDING_MAX} transfers wait")
        data = b"" if submit.is_in else await self._reader.readexactly(submit.length)
        raw = await self._reader.readexactly(_PACKET_DESCRIPTOR_BYTES * submit.packets)
        packets = read_packets(raw, submit.length)
        if submit.endpoint == 0:
            self._control(submit, data)
        elif submit.address == HID_ENDPOINT:
            self._polls.append(submit.number)
            self._give_reports()
        elif packets and self._device.streams(submit.address):
            self._queue(submit, packets, data)
        else:
            self._writer.write(pack_return(submit.number, STALLED))

    def _control(self, submit: Submit, data: bytes) -> None:
        if not self._device.behaviour.answers:
            self._unanswered.add(submit.number)
            return
        answer = self._device.control(submit.setup, data)
        if answer is None:
            self._writer.write(pack_return(submit.number, STALLED))
        elif submit.is_in:
            self._writer.write(pack_return(submit.number, 0, answer[: submit.length]))
        else:
            self._writer.write(pack_return(submit.number, 0, actual=len(data)))

    def _queue(self, submit: Submit, packets: tuple[Packet, ...], data: bytes) -> None:
        first = self.clock.queue(submit.address, len(packets), self._loop.time())
        if not submit.is_in:
            for frame, one in enumerate(packets, first):
                self._device.play(frame, data[one.offset : one.offset + one.length])
        queued = _Isochronous(
            number=submit.number, is_in=submit.is_in, endpoint=submit.address, first=first, packets=packets
        )
        self._streams.append(queued)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._streams:
            due_s = self.clock.time_of(min(one.end for one in self._streams))
            self._timer = self._loop.call_at(due_s, self._complete)

    def _complete(self) -> None:
        self._timer = None
        here = self.clock.frame(self._loop.time()) + _EARLY_FRAMES
        done = sorted((one for one in self._streams if one.end <= here), key=lambda one: (one.end, one.is_in))
        self._streams = deque(one for one in self._streams if one.end > here)
        for one in done:
            self._writer.write(self._played(one) if not one.is_in else self._recorded(one))
            self._answered.append((one.number, one.endpoint))
        if self.clock.forgotten > self._forgotten:
            self._forgotten = self.clock.forgotten
            self._device.saw("stream-forgotten", self._forgotten)
        self._arm()

    def _played(self, one: _Isochronous) -> bytes:
        packets = tuple(Packet(offset=p.offset, length=p.length, actual=p.length) for p in one.packets)
        return pack_return(one.number, 0, actual=sum(p.length for p in one.packets), frame=one.first, packets=packets)

    def _recorded(self, one: _Isochronous) -> bytes:
        """IN data lie one after the other without gaps; a lost packet has no data and its own status."""
        data, packets = b"", []
        try:
            for frame, asked in enumerate(one.packets, one.first):
                sound = self._device.record(frame)
                given = b"" if sound is None else sound[: min(asked.length, packet_bytes_max(1))]
                data += given
                status = LOST if sound is None else 0
                packets.append(Packet(offset=asked.offset, length=asked.length, actual=len(given), status=status))
        except Exception as error:  # the host must not be left waiting: it would hang for seconds
            self._device.failures += 1  # and whoever looks must be told: this is the lab's fault
            self._device.saw("failure", f"{type(error).__name__}: {error}")
            return pack_return(one.number, BROKEN)
        return pack_return(one.number, 0, data, frame=one.first, packets=tuple(packets))

    def _give_reports(self) -> None:
        while self._polls and (report := self._device.take_report()) is not None:
            self._writer.write(pack_return(self._polls.popleft(), 0, report))
            self._device.saw("report", report.hex())

    def _stream_ended(self, endpoint: int) -> None:
        self.clock.stop(endpoint, self._loop.time())

    def _unlink(self, number: int, victim: int) -> None:
        waiting = victim in self._polls or victim in self._unanswered
        self._unanswered.discard(victim)
        if victim in self._polls:
            self._polls.remove(victim)
        stream = next((one for one in self._streams if one.number == victim), None)
        if stream is not None:
            self._streams.remove(stream)
            self._arm()
        endpoint = stream.endpoint if stream else next((at for one, at in self._answered if one == victim), None)
        if endpoint is not None and not any(one.endpoint == endpoint for one in self._streams):
            self.clock.stop(endpoint, self._loop.time())  # a host unlinks where it ends a stream, answered or not
        self._writer.write(pack_unlinked(number, cancelled=waiting or stream is not None))


def _nothing() -> None:
    """Nobody listens any more."""


def _nothing_with(_: int) -> None:
    """Nobody listens any more."""
