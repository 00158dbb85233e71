import asyncio
import os
import signal

import psutil
import pytest

from agents.instruments.host_pace import HostPace, interval_sd_ms, shares_this_host
from lab_inventory.errors import Unavailable


def sender() -> psutil.Process:
    (child,) = (child for child in psutil.Process().children() if "agents.instruments.wakeups" in child.cmdline())
    return child


def test_one_wake_up_that_was_late_lengthens_one_interval_and_shortens_the_next() -> None:
    late_ns = [0] * 100
    late_ns[50] = 10_000_000

    assert interval_sd_ms(late_ns, 5) == pytest.approx((2 * 10**2 / 19) ** 0.5)
    assert interval_sd_ms([1_000_000] * 100, 5) == 0  # always as late is in time for everyone who listens
    assert interval_sd_ms([], 5) == 0


async def test_a_host_that_stops_the_senders_for_a_while_is_found_out() -> None:
    async with HostPace() as quiet:
        await asyncio.sleep(0.5)
    async with HostPace() as stalled:
        await asyncio.sleep(0.2)
        os.kill(sender().pid, signal.SIGSTOP)
        await asyncio.sleep(0.1)
        os.kill(sender().pid, signal.SIGCONT)
        await asyncio.sleep(0.2)

    assert stalled.interval_sd_ms(20) > 10
    assert quiet.interval_sd_ms(20) < stalled.interval_sd_ms(20)


async def test_a_sender_that_died_is_no_quiet_host() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        async with HostPace():
            sender().kill()


def test_only_addresses_of_this_host_are_shared() -> None:
    assert shares_this_host("127.0.0.1")
    assert not shares_this_host("192.0.2.7")  # RFC 5737: never anyone's own
