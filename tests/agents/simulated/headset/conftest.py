"""One virtual headset in this process, and a host that has taken it."""

from collections.abc import AsyncIterator

import pytest

from agents.simulated.headset.program import Addresses, VirtualHeadset
from tests.agents.simulated.headset.usbip_host import Host, attach

LOCAL = ("127.0.0.1", 0)


@pytest.fixture
async def headset() -> AsyncIterator[VirtualHeadset]:
    one = VirtualHeadset("VH0001")
    yield one
    await one.close()


@pytest.fixture
async def addresses(headset: VirtualHeadset) -> Addresses:
    return await headset.open(LOCAL, LOCAL, None)


@pytest.fixture
async def host(addresses: Addresses) -> AsyncIterator[Host]:
    status, _, one = await attach(addresses.usbip)
    assert status == 0
    yield one
    await one.disconnect()
