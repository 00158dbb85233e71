import asyncio
import itertools
import socket
import time  # noqa: TID251 - the test makes the loop late

import pytest

from agents.instruments.arrivals import Arrivals
from agents.instruments.packets import Packet, PacketPort
from lab_inventory.clock import boottime_ns, wall_ns
from lab_inventory.errors import Unavailable

LOOPBACK = ("127.0.0.1", 0)


async def until_the_kernel_stamps(warm: Arrivals[Packet], port: PacketPort) -> None:
    """The kernel turns stamping on by work that it queues when the first socket asks for it: later on a busy host."""
    async with asyncio.timeout(10):
        for number in itertools.count():
            sent_ns = port.send(b"%d" % number, port.address)
            time.sleep(0.02)  # noqa: ASYNC251
            packet = await warm.first(lambda packet, wanted=b"%d" % number: packet.data == wanted, timeout_s=1)
            if packet is not None and packet.at_ns - sent_ns < 10_000_000:
                return


async def test_the_receive_time_is_the_kernels_even_while_the_loop_is_late() -> None:
    warm: Arrivals[Packet] = Arrivals(most=1000)
    port = PacketPort.open(LOOPBACK, warm.add)
    await until_the_kernel_stamps(warm, port)
    late: Arrivals[Packet] = Arrivals(most=10)
    receiver = PacketPort.open(LOOPBACK, late.add)

    sent_ns = port.send(b"x", receiver.address)
    left_ns = boottime_ns()
    time.sleep(0.2)  # noqa: ASYNC251
    packet = await late.first(lambda _: True, timeout_s=1)
    port.close()
    receiver.close()

    assert packet is not None
    assert sent_ns <= packet.at_ns < left_ns + 100_000_000
    assert boottime_ns() - packet.at_ns > 100_000_000


async def test_an_address_that_is_taken_is_unavailable() -> None:
    port = PacketPort.open(LOOPBACK, lambda _: None)
    with pytest.raises(Unavailable, match=r"UDP 127\.0\.0\.1:\d+ cannot be bound"):
        PacketPort.open(port.address, lambda _: None)
    port.close()


async def test_a_closed_port_can_be_bound_again_at_once() -> None:
    port = PacketPort.open(LOOPBACK, lambda _: None)
    port.close()
    port.close()

    PacketPort.open(port.address, lambda _: None).close()


async def test_what_the_kernel_had_to_drop_is_counted() -> None:
    arrived: Arrivals[Packet] = Arrivals(most=100_000)
    receiver = PacketPort.open(LOOPBACK, arrived.add)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3000):
            sender.sendto(bytes(1000), receiver.address)
    await arrived.first(lambda _: len(arrived) > 100, timeout_s=2)
    before = -1
    while before != len(arrived):
        before = len(arrived)
        await asyncio.sleep(0)
    receiver_full = len(arrived)
    # The count comes with the next datagram that finds room.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"last", receiver.address)
    await arrived.first(lambda packet: packet.data == b"last", timeout_s=2)
    receiver.close()

    assert receiver.dropped > 0
    assert receiver.dropped + receiver_full == 3000


async def test_a_peer_where_nobody_listens_is_counted_and_does_not_disturb() -> None:
    arrived: Arrivals[Packet] = Arrivals(most=10)
    port = PacketPort.open(LOOPBACK, arrived.add)
    nobody = PacketPort.open(LOOPBACK, lambda _: None)
    nobody.close()

    port.send(b"hello?", nobody.address)
    port.send(b"to myself", port.address)
    packet = await arrived.first(lambda _: True, timeout_s=1)
    port.close()

    assert packet is not None
    assert packet.data == b"to myself"
    assert port.unreachable == 1


async def test_waiting_ends_with_none_when_nothing_wanted_comes() -> None:
    arrived: Arrivals[int] = Arrivals(most=10)
    arrived.add(1)

    assert await arrived.first(lambda item: item == 2, timeout_s=0.01) is None
    assert await arrived.first(lambda item: item == 1, timeout_s=0) == 1


async def test_over_the_bound_new_ones_are_refused_and_what_was_there_stays() -> None:
    arrived: Arrivals[int] = Arrivals(most=2)
    for item in (1, 2, 3):
        arrived.add(item)

    assert arrived.all() == (1, 2)
    assert arrived.dropped == 1


@pytest.mark.parametrize("mark", [0, 24, 46, 63])
async def test_the_mark_of_a_datagram_comes_with_it(mark: int) -> None:
    arrived: Arrivals[Packet] = Arrivals(most=10)
    port = PacketPort.open(LOOPBACK, arrived.add)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, mark << 2 | 1)  # the lowest two bits are of ECN, RFC 3168
        sender.sendto(b"marked", port.address)
    packet = await arrived.first(lambda _: True, timeout_s=1)
    port.close()

    assert packet is not None
    assert packet.dscp == mark


async def test_a_process_that_is_interrupted_while_it_reads_both_clocks_takes_no_time_for_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came: Arrivals[Packet] = Arrivals(most=1000)
    port = PacketPort.open(LOOPBACK, came.add)
    await until_the_kernel_stamps(came, port)
    reads = itertools.count()

    def interrupted() -> int:
        if next(reads) == 0:
            time.sleep(0.03)
        return wall_ns()

    monkeypatch.setattr("agents.instruments.packets.wall_ns", interrupted)
    sent_ns = port.send(b"x", port.address)
    left_ns = boottime_ns()
    packet = await came.first(lambda packet: packet.data == b"x", timeout_s=1)
    port.close()

    assert packet is not None
    assert sent_ns <= packet.at_ns < left_ns + 10_000_000
    assert (port.clock_steps, next(reads) > 1) == (0, True)
