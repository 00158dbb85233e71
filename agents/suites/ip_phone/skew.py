"""How fast the phone's audio clock runs, over a long window (3GPP TS 26.131: at least ten minutes)."""

import asyncio

from agents.instruments.clock_skew import Skew, clock_skew
from agents.instruments.host_pace import shares_this_host
from agents.instruments.steered_clock import clock_state, rate_uncertainty_ppm
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

SETTLE_S = 0.5


@procedure("clock-skew", measures={"clock_skew_ppm": Unit.PPM})
async def skew(bench: PhoneBench, recorder: Recorder) -> None:
    """The slope of the time stamps of audio against the kernel's times of arrival, without its sign."""
    call = await bench.established_call()
    codec = call.codec if call else None
    if call is None or codec is None:
        bench.measure("clock_skew_ppm", None, "the phone did not take the call")
        return
    await call.first_packet(boottime_ns(), 2.0)
    await asyncio.sleep(SETTLE_S)
    before, since_ns = clock_state(), boottime_ns()
    window_s = float(bench.parameter("window_s"))
    await asyncio.sleep(window_s)
    found = clock_skew(call.packets(since_ns), codec.payload_type, clock_hz=codec.clock_hz)
    if found is None or found.window_s < 0.9 * window_s:
        bench.measure("clock_skew_ppm", None, f"no audio came in a steady stream over {window_s:g} s")
        return
    own_ppm: float | None = 0.0
    if not shares_this_host(bench.registered().peer[0]):
        own_ppm = rate_uncertainty_ppm(before, clock_state(), window_s)
    if own_ppm is None:
        bench.leave_unmeasured(
            "clock_skew_ppm", "no time server steers the bench's clock, so its own rate is not known"
        )
        return
    uncertainty = found.uncertainty_ppm + own_ppm
    bench.measure("clock_skew_ppm", abs(found.ppm), _words(found, own_ppm), uncertainty=uncertainty)


def _words(found: Skew, own_ppm: float) -> str:
    way = "fast" if found.ppm > 0 else "slow"
    bench = f"the bench's clock adds {own_ppm:.2g} ppm" if own_ppm else "phone and bench are of one host and one clock"
    return (
        f"{way}; {found.packets} packets in {found.window_s:.1f} s, scatter {found.scatter_us:.0f} us, "
        f"uncertainty of the line {found.uncertainty_ppm:.2g} ppm (k = 3); {bench}"
    )
