"""Raw USB/IP over a socket against the virtual headset: what a kernel would say, in milliseconds and without one."""

import asyncio
import struct
from array import array

import pytest

from agents.simulated.headset.program import Addresses, VirtualHeadset
from tests.agents.simulated.headset.usbip_host import BUSID, IN, OUT, WAIT_S, Host, attach, list_devices

SPEAKER, MICROPHONE = 1, 2
LATENCY_FRAMES = 10


async def soon(holds) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.002)


def noise(samples: int, seed: int = 7) -> array:
    values, state = array("h"), seed
    for _ in range(samples):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        values.append((state >> 8) % 60_001 - 30_000)
    return values


def packets_of(left: array, per_frame: int = 48) -> list[bytes]:
    stereo = array("h", (sample for one in left for sample in (one, one)))
    raw = stereo.tobytes()
    return [raw[at : at + 4 * per_frame] for at in range(0, len(raw), 4 * per_frame)]


async def loop(host: Host, left: array, frames: int) -> tuple[array, list, list]:
    """Play and record at once, in transfers of 8 frames as the kernel queues them: sound, records, plays."""
    await host.open(SPEAKER, 0x01)
    await host.open(MICROPHONE, 0x82)
    packets = packets_of(left)
    packets += [bytes(192)] * (frames + 16 - len(packets))
    plays = [host.play(packets[at : at + 8]) for at in range(0, frames + 16, 8)]
    records = [host.record(8) for _ in range(0, frames, 8)]
    replies = await asyncio.wait_for(asyncio.gather(*records), WAIT_S)
    await host.close_stream(MICROPHONE)
    played = await asyncio.wait_for(asyncio.gather(*plays), WAIT_S)
    heard = array("h", b"".join(reply.data for reply in replies))
    return heard, replies, played


async def test_a_device_list_names_the_headset_and_its_interfaces(addresses: Addresses) -> None:
    answer = await list_devices(addresses.usbip)
    assert struct.unpack(">HHII", answer[:12]) == (0x0111, 0x0005, 0, 1)
    assert answer[12 + 256 :][:32] == BUSID
    assert struct.unpack(">IIIHHH", answer[12 + 288 :][:18]) == (1, 2, 2, 0x1209, 0x0001, 0x0123)
    assert answer[12 + 312 :] == bytes((1, 1, 0, 0, 1, 2, 0, 0, 1, 2, 0, 0, 3, 0, 0, 0))


async def test_a_headset_that_is_taken_is_neither_listed_nor_given_to_a_second_host(
    host: Host, addresses: Addresses
) -> None:
    assert struct.unpack(">HHII", await list_devices(addresses.usbip)) == (0x0111, 0x0005, 0, 0)
    status, _, second = await attach(addresses.usbip)
    assert status == 1
    await asyncio.wait_for(second.ended.wait(), WAIT_S)


async def test_an_unknown_bus_id_is_refused(addresses: Addresses) -> None:
    status, _, other = await attach(addresses.usbip, b"9-9".ljust(32, b"\0"))
    assert status == 1
    await asyncio.wait_for(other.ended.wait(), WAIT_S)


async def test_enumeration_reads_all_descriptors_in_their_declared_lengths(host: Host) -> None:
    device = await host.descriptor(1, length=18)
    assert len(device) == 18
    head = await host.descriptor(2, length=9)
    total = struct.unpack("<H", head[2:4])[0]
    assert len(await host.descriptor(2, length=total)) == total
    assert (await host.descriptor(3, 2))[2:].decode("utf-16-le") == "Virtual Headset"
    assert (await host.descriptor(3, 3))[2:].decode("utf-16-le") == "VH0001"
    hid = await host.descriptor(0x21, interface=3)
    assert len(await host.descriptor(0x22, interface=3)) == struct.unpack("<H", hid[7:9])[0]


async def test_a_request_that_the_headset_does_not_have_is_stalled(host: Host) -> None:
    assert (await host.control(0xC0, 0x51, 0, 0, length=8)).status == -32
    assert (await host.control(0xA1, 0x81, 0x0700, 0x0200, length=2)).status == -32
    assert len(await host.descriptor(1)) == 18  # and the pipe goes on


async def test_volume_and_mute_are_set_and_read_back_in_their_range(host: Host) -> None:
    assert (await host.control(0x21, 1, 0x0201, 0x0200, data=struct.pack("<h", -3000))).status == 0
    assert struct.unpack("<h", (await host.control(0xA1, 0x81, 0x0201, 0x0200, length=2)).data) == (-3000,)
    low, high, step = [
        struct.unpack("<h", (await host.control(0xA1, request, 0x0201, 0x0200, length=2)).data)[0]
        for request in (0x82, 0x83, 0x84)
    ]
    assert (low, high, step) == (-60 * 256, 0, 256)
    assert (await host.control(0x21, 1, 0x0100, 0x0500, data=b"\1")).status == 0
    assert (await host.control(0xA1, 0x81, 0x0100, 0x0500, length=1)).data == b"\1"


async def test_a_rate_that_is_not_declared_is_stalled(host: Host) -> None:
    assert (await host.control(0x22, 1, 0x100, 0x82, data=(44_100).to_bytes(3, "little"))).status == -32
    assert int.from_bytes((await host.control(0xA2, 0x81, 0x100, 0x82, length=3)).data, "little") == 48_000


async def test_the_loop_from_ear_to_mouth_is_exact_to_the_bit(host: Host, headset: VirtualHeadset) -> None:
    left = noise(48 * 80)
    heard, records, plays = await loop(host, left, 104)
    at = 48 * (plays[0].frame - records[0].frame + LATENCY_FRAMES)
    assert len(heard) == 48 * 104
    assert heard[at : at + len(left)] == left
    assert not any(heard[:at]) and not any(heard[at + len(left) :])
    assert all(reply.status == 0 for reply in (*records, *plays))


async def test_isochronous_answers_carry_what_the_protocol_asks(host: Host) -> None:
    _, records, plays = await loop(host, noise(48 * 8), 24)
    for reply in records:
        assert [one[:2] for one in reply.packets] == [(98 * at, 98) for at in range(8)]
        assert [one[2:] for one in reply.packets] == [(96, 0)] * 8
        assert reply.actual == len(reply.data) == 8 * 96
    for reply in plays:
        assert [one[2:] for one in reply.packets] == [(192, 0)] * 8
        assert reply.actual == 8 * 192
    assert [one.frame - records[0].frame for one in records] == [0, 8, 16]


async def test_transfers_take_as_long_as_their_frames(host: Host) -> None:
    await host.open(MICROPHONE, 0x82)
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(asyncio.gather(*[host.record(10) for _ in range(10)]), WAIT_S)
    assert asyncio.get_running_loop().time() - began >= 0.099


async def test_a_slower_rate_has_fewer_samples_in_a_frame(host: Host) -> None:
    await host.open(MICROPHONE, 0x82, 16_000)
    reply = await asyncio.wait_for(host.record(10), WAIT_S)
    assert [one[2] for one in reply.packets] == [32] * 10


async def test_ear_and_mouth_at_different_rates_hear_the_same_sound(host: Host) -> None:
    await host.open(SPEAKER, 0x01, 16_000)
    await host.open(MICROPHONE, 0x82, 48_000)
    ramp = array("h", (100 * (at % 160) for at in range(16 * 40)))
    plays = [host.play(packets_of(ramp, 16)[at : at + 8]) for at in range(0, 40, 8)]
    reply = await asyncio.wait_for(host.record(30), WAIT_S)
    await host.close_stream(MICROPHONE)
    played = await asyncio.wait_for(asyncio.gather(*plays), WAIT_S)
    heard = array("h", reply.data)
    begin = 48 * (played[0].frame - reply.frame + LATENCY_FRAMES)
    assert [heard[begin + 3 * at] for at in range(100)] == list(ramp[:100])
    assert heard[begin + 1] in (33, 34)


async def test_the_clock_waits_for_a_host_that_is_late_and_counts_it(host: Host, headset: VirtualHeadset) -> None:
    await host.open(MICROPHONE, 0x82)
    first = await asyncio.wait_for(host.record(5), WAIT_S)
    await asyncio.sleep(0.05)
    second = await asyncio.wait_for(host.record(5), WAIT_S)
    assert second.frame == first.frame + 5
    stretch_ms, stops = headset.stretch()
    assert stops >= 1 and stretch_ms >= 40


async def test_a_failure_of_the_simulation_ends_the_transfer_and_is_counted(
    host: Host, headset: VirtualHeadset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> bytes:
        raise ZeroDivisionError

    await host.open(MICROPHONE, 0x82)
    monkeypatch.setattr(headset.device, "record", fail)
    assert (await asyncio.wait_for(host.record(4), WAIT_S)).status == -71
    assert headset.device.failures == 1


async def test_a_stream_without_its_setting_is_stalled(host: Host) -> None:
    assert (await asyncio.wait_for(host.record(4), WAIT_S)).status == -32


async def test_a_waiting_poll_is_answered_by_a_press(host: Host, headset: VirtualHeadset) -> None:
    _, poll = host.poll()
    await asyncio.sleep(0)
    assert not poll.done()
    headset.device.press("hook")
    assert (await asyncio.wait_for(poll, WAIT_S)).data == bytes((1, 1))
    headset.device.press("hook")
    assert (await asyncio.wait_for(host.poll()[1], WAIT_S)).data == bytes((1, 0))


async def test_the_mute_key_is_one_shot_and_the_volume_keys_come_back(host: Host, headset: VirtualHeadset) -> None:
    polls = [host.poll()[1] for _ in range(6)]
    await host.descriptor(1)
    for key in ("mute", "volume-up", "volume-down"):
        headset.device.press(key)
    reports = [(await asyncio.wait_for(one, WAIT_S)).data for one in polls]
    assert reports == [bytes(one) for one in ((1, 2), (1, 0), (2, 1), (2, 0), (2, 2), (2, 0))]


async def test_an_output_report_lights_the_lamps(host: Host, headset: VirtualHeadset) -> None:
    assert (await host.control(0x21, 9, 0x0201, 3, data=bytes((1, 0b1011)))).status == 0
    assert headset.device.keys.lamps == {"off-hook": True, "mute": True, "ring": False, "hold": True}
    assert (await host.control(0x21, 9, 0x0201, 3, data=bytes((7, 1)))).status == -32


async def test_a_poll_that_is_unlinked_is_cancelled_and_takes_no_report(host: Host, headset: VirtualHeadset) -> None:
    number, poll = host.poll()
    assert await asyncio.wait_for(host.unlink(number), WAIT_S) == -104
    headset.device.press("hook")
    assert (await asyncio.wait_for(host.poll()[1], WAIT_S)).data == bytes((1, 1))
    assert not poll.done()


async def test_a_transfer_that_was_answered_cannot_be_cancelled(host: Host) -> None:
    await host.open(MICROPHONE, 0x82)
    number, record = host.submit(2, IN, length=98, packets=[(0, 98)])
    await asyncio.wait_for(record, WAIT_S)
    assert await asyncio.wait_for(host.unlink(number), WAIT_S) == 0


async def test_an_unlinked_stream_holds_the_clock_of_the_other_no_longer(host: Host) -> None:
    await host.open(SPEAKER, 0x01)
    await host.open(MICROPHONE, 0x82)
    number, _ = host.submit(1, OUT, data=bytes(192), packets=[(0, 192)])
    assert await asyncio.wait_for(host.unlink(number), WAIT_S) == -104
    assert (await asyncio.wait_for(host.record(20), WAIT_S)).status == 0


async def test_a_stream_that_ends_with_everything_answered_holds_the_clock_no_longer(
    host: Host, headset: VirtualHeadset
) -> None:
    await host.open(SPEAKER, 0x01)
    await host.open(MICROPHONE, 0x82)
    number, played = host.submit(1, OUT, data=bytes(192), packets=[(0, 192)])
    await asyncio.wait_for(played, WAIT_S)
    assert await asyncio.wait_for(host.unlink(number), WAIT_S) == 0
    assert (await asyncio.wait_for(host.record(20), WAIT_S)).status == 0
    assert headset.stretch()[0] < 1_000  # else the stream would have been waited for until it was forgotten


async def test_unplugging_ends_the_connection_and_plugging_brings_the_headset_back(
    host: Host, headset: VirtualHeadset, addresses: Addresses
) -> None:
    await host.control(0x21, 1, 0x0100, 0x0500, data=b"\1")
    headset.device.unplug()
    await asyncio.wait_for(host.ended.wait(), WAIT_S)
    assert (await attach(addresses.usbip))[0] == 1
    headset.device.plug()
    await soon(lambda: not headset.device.attached)
    status, _, again = await attach(addresses.usbip)
    assert status == 0
    assert (await again.control(0xA1, 0x81, 0x0100, 0x0500, length=1)).data == b"\1"
    await again.disconnect()


async def test_a_host_that_leaves_frees_the_headset(host: Host, headset: VirtualHeadset, addresses: Addresses) -> None:
    await host.open(MICROPHONE, 0x82)
    host.record(1000)
    await host.disconnect()
    await soon(lambda: not headset.device.attached)
    status, _, again = await attach(addresses.usbip)
    assert status == 0
    await again.disconnect()


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">5I28x", 9, 1, 0x10002, 0, 0),
        struct.pack(">5IIiiii8x", 1, 1, 0x10002, 0, 1, 0, 0x7FFFFFFF, 0, 0, 1),
        struct.pack(">5IIiiii8x", 1, 1, 0x10002, 1, 2, 0, -5, 0, 0, 1),
        struct.pack(">5IIiiii8x", 1, 1, 0x10002, 1, 2, 0, 98, 0, 100_000, 1),
        struct.pack(">5IIiiii8x", 1, 1, 0x10002, 1, 2, 0, 98, 0, 1, 1) + struct.pack(">IIIi", 50, 98, 0, 0),
        struct.pack(">5IIiiii8x", 1, 1, 0x99999, 1, 2, 0, 98, 0, 0, 1),
    ],
    ids=["command", "too-long", "negative", "too-many-packets", "packet-outside", "devid"],
)
async def test_bad_input_ends_the_connection_and_the_next_host_is_served(
    sent: bytes, host: Host, headset: VirtualHeadset, addresses: Addresses
) -> None:
    host.writer.write(sent)
    await asyncio.wait_for(host.ended.wait(), WAIT_S)
    await soon(lambda: not headset.device.attached)
    assert [kind for _, kind, _ in headset.device.events].count("breach") == 1
    status, _, again = await attach(addresses.usbip)
    assert status == 0
    assert len(await again.descriptor(1)) == 18
    await again.disconnect()


async def test_noise_in_commands_never_takes_the_server_down(addresses: Addresses, headset: VirtualHeadset) -> None:
    right = struct.pack(">5IIiiii8s", 1, 1, 0x10002, 1, 0, 0, 64, 0, 0, 1, struct.pack("<BBHHH", 0x80, 6, 0x100, 0, 64))
    for seed in range(40):
        status, _, host = await attach(addresses.usbip)
        assert status == 0
        assert host.task is not None
        host.task.cancel()  # what comes back answers commands that nobody meant
        spoilt = bytearray(right * 4)
        for at in noise(6, seed + 1):
            spoilt[at % len(spoilt)] = at >> 3 & 0xFF
        host.writer.write(bytes(spoilt))
        host.writer.write_eof()
        await soon(lambda: not headset.device.attached)
        host.writer.close()
    status, _, host = await attach(addresses.usbip)
    assert len(await host.descriptor(1)) == 18
    await host.disconnect()


async def test_more_waiting_transfers_than_are_kept_end_the_connection(host: Host) -> None:
    for _ in range(1100):
        host.poll()
    await asyncio.wait_for(host.ended.wait(), WAIT_S)


async def test_a_first_message_that_is_no_usbip_ends_the_connection(addresses: Addresses) -> None:
    reader, writer = await asyncio.open_connection(*addresses.usbip)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    writer.close()
