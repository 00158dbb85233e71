"""What a phone's RTP stream and its RTCP look like in one call (RFC 3550, RFC 3551, RFC 4733)."""

import asyncio

from agents.instruments.host_pace import HostPace, shares_this_host
from agents.instruments.reference_stream import ReferenceStream
from agents.instruments.rtcp_analysis import count_differences, intervals_s, loss_errors_percent
from agents.instruments.rtcp_reporter import RtcpReporter
from agents.instruments.rtp_analysis import (
    disorder,
    jitter_ticks,
    longest_gap_ms,
    main_source,
    misplaced_markers,
    missing,
    timestamp_faults,
)
from agents.measure import LabError, Recorder, procedure
from agents.punctual import processors_awake
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

SETTLE_S = 0.5
KEY = "1"
KEY_TIMEOUT_S = 2.0
KEY_ENDS_S = 0.4
REPORT_UNCERTAINTY_PERCENT = 0.4
"""A fraction lost is told in 256ths (RFC 3550, 6.4.1)."""


@procedure(
    "rtp-stream",
    measures={
        "packets_missing": Unit.COUNT,
        "jitter_ms": Unit.MILLISECOND,
        "gap_ms": Unit.MILLISECOND,
        "ssrc_constant": Unit.BOOL,
        "sequence_orderly": Unit.BOOL,
        "timestamp_steps_wrong": Unit.COUNT,
        "markers_misplaced": Unit.COUNT,
        "events_in_sequence": Unit.BOOL,
        "rtcp_first_s": Unit.SECOND,
        "rtcp_interval_s": Unit.SECOND,
        "rtcp_source_right": Unit.BOOL,
        "rtcp_packets_difference": Unit.COUNT,
        "rtcp_loss_error_percent": Unit.PERCENT,
    },
)
async def rtp_stream(bench: PhoneBench, recorder: Recorder) -> None:
    """A quiet call in which the bench leaves out packets of its own and reports; at its end a key is pressed."""
    call = await bench.established_call()
    media = call.media if call else None
    if call is None or call.codec is None or media is None or media.report_destination is None:
        bench.measure_rest(rtp_stream, "the phone did not take the call")
        return
    call.port.leave_out_every = _one_of(float(bench.parameter("loss_percent")))
    with RtcpReporter(call.port, media.report_destination, clock=bench.clock):
        if await call.first_packet(boottime_ns(), 2.0) is None:
            bench.measure_rest(rtp_stream, "no audio packets came")
            return
        await asyncio.sleep(SETTLE_S)
        await _measure_pace(bench, call, call.codec.payload_type)
        await _press_a_key(bench, call)
    _measure_stream(bench, call, call.codec.payload_type)
    _measure_reports(bench, call)


def _one_of(loss_percent: float) -> int:
    """Of how many packets one is left out. Raises LabError for a share that cannot be made that way."""
    if not 0 < loss_percent <= 50:
        raise LabError(f"the programme asks for a loss of {loss_percent:g} %; expected more than 0 and at most 50")
    return round(100 / loss_percent)


async def _measure_pace(bench: PhoneBench, call: Call, payload_type: int) -> None:
    """Jitter and gaps over the window; what the bench's host does to a perfect sender meanwhile is its stall."""
    with processors_awake():
        async with HostPace() as host:
            since_ns = boottime_ns()
            with ReferenceStream() as reference:
                await asyncio.sleep(float(bench.parameter("window_s")))
            until_ns = boottime_ns()
    packets = call.packets(since_ns, until_ns)
    estimates_ms = [ticks / 8 for ticks in jitter_ticks(packets, payload_type)]
    on_this_host = shares_this_host(bench.registered().peer[0])
    own_ms = reference.spread_ms
    if estimates_ms:
        note = f"the highest of {len(estimates_ms)}, the last is {estimates_ms[-1]:.2f} ms"
        stall = max(own_ms, host.interval_sd_ms(20.0)) if on_this_host else own_ms
        bench.measure("jitter_ms", max(estimates_ms), note, bench_stall=stall, uncertainty=2 * own_ms)
    else:
        bench.measure("jitter_ms", None, "no audio packets came")
    gap_ms = longest_gap_ms(packets, since_ns, until_ns)
    stall_ms = host.latest_ms() if on_this_host else None
    bench.measure("gap_ms", gap_ms, f"{len(packets)} packets", bench_stall=stall_ms, uncertainty=2 * own_ms)


async def _press_a_key(bench: PhoneBench, call: Call) -> None:
    """Press a key, and wait until its event has come and gone."""
    event, since_ns, source = call.event_format, boottime_ns(), {packet.ssrc for packet in call.packets()}
    if event is None:
        bench.measure("events_in_sequence", None, "telephone events were not agreed on")
        return
    await bench.driver.press_keys(KEY)
    await call.port.heard.first(lambda packet: packet.payload_type == event.payload_type, timeout_s=KEY_TIMEOUT_S)
    await asyncio.sleep(KEY_ENDS_S)
    events = [packet for packet in call.port.packets() if packet.payload_type == event.payload_type]
    others = sum(packet.ssrc not in source for packet in events)
    taken = {packet.sequence for packet in call.packets(since_ns) if packet.payload_type != event.payload_type}
    twice = len(taken & {packet.sequence for packet in events})
    lost = missing(call.packets(since_ns))
    words = (
        f"{len(events)} packets of events; {others} under another SSRC, {twice} with a number of audio, {lost} missing"
    )
    bench.measure("events_in_sequence", not (others or twice or lost) if events else None, words)


def _measure_stream(bench: PhoneBench, call: Call, payload_type: int) -> None:
    """What the numbers in the headers say, over the whole call and all payload types."""
    everything = call.port.packets()
    packets = main_source(everything)
    sources = len({packet.ssrc for packet in everything})
    bench.measure("packets_missing", missing(packets), f"of {len(packets)} that came, over all payload types")
    bench.measure("ssrc_constant", sources == 1, f"{sources} synchronisation sources")
    late, twice = disorder(packets)
    bench.measure("sequence_orderly", not (late or twice), f"{late} came late, {twice} came twice")
    faults = timestamp_faults(packets, payload_type)
    bench.measure("timestamp_steps_wrong", len(faults), f"the first: {faults[0]}" if faults else "")
    bench.measure("markers_misplaced", misplaced_markers(packets, payload_type))


def _measure_reports(bench: PhoneBench, call: Call) -> None:
    """What the phone reports, against what was seen and done."""
    until_ns = boottime_ns()
    packets, reports = call.port.packets(), call.port.rtcp.all()
    if not reports:
        bench.measure_rest(rtp_stream, f"no report came in {(until_ns - packets[0].at_ns) / 1e9:.1f} s of audio")
        return
    bench.measure("rtcp_first_s", max(0.0, (reports[0].at_ns - packets[0].at_ns) / 1e9), "after the first audio packet")
    between = intervals_s(reports)
    alone_s = (until_ns - reports[-1].at_ns) / 1e9
    note = f"the shortest of {len(between)}" if between else "one report came; the next had not come by then"
    bench.measure("rtcp_interval_s", min(between, default=alone_s), note)
    sources = {report.source for report in reports}
    heard = {packet.ssrc for packet in packets}
    words = f"reports of {_hex(sources)}, audio of {_hex(heard)}"
    bench.measure("rtcp_source_right", sources <= heard, words)
    differences = count_differences(reports, packets)
    if differences:
        worst = max(differences, key=abs)
        note = f"{len(differences)} sender reports, the worst says {worst:+d} packets"
        bench.measure("rtcp_packets_difference", abs(worst), note)
    else:
        bench.measure("rtcp_packets_difference", None, "the phone sends audio, and no sender report came")
    _measure_loss(bench, call)


def _measure_loss(bench: PhoneBench, call: Call) -> None:
    port = call.port
    blocks = [block for block in port.reports.all() if block.source == port.source]
    first_sent = min(port.sent_ns, key=port.sent_ns.__getitem__, default=0)
    errors = loss_errors_percent(blocks, first_sent=first_sent, left_out=port.left_out)
    if not errors:
        bench.measure("rtcp_loss_error_percent", None, "no report tells of the bench's audio")
        return
    told = ", ".join(f"{block.fraction_lost:.1%}" for block in blocks)
    note = f"told {told}; {len(port.left_out)} packets were left out, one of {port.leave_out_every}"
    bench.measure("rtcp_loss_error_percent", max(errors), note, uncertainty=REPORT_UNCERTAINTY_PERCENT)


def _hex(sources: set[int]) -> str:
    return ", ".join(f"{source:08x}" for source in sorted(sources))
