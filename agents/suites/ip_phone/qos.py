"""The marks for quality of service on what the phone sends (DSCP; RFC 2474, RFC 4594)."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence

from agents.instruments.sip_streams import Flow
from agents.instruments.sip_transport import Direction
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

NAMES = {0: "CS0", 8: "CS1", 16: "CS2", 24: "CS3", 26: "AF31", 32: "CS4", 34: "AF41", 40: "CS5", 46: "EF", 48: "CS6"}
"""Code points that phones are set to, by value (RFC 2474, 4.2.2; RFC 2597, 6; RFC 3246, 2.7)."""
CODE_POINTS = {name: value for value, name in NAMES.items()}
BYE_TIMEOUT_S = 1.0


@procedure("qos-marks", measures={"media_marked_percent": Unit.PERCENT, "signalling_marked_percent": Unit.PERCENT})
async def qos_marks(bench: PhoneBench, recorder: Recorder) -> None:
    """The marks of every packet of audio and of signalling in one call, as they arrive.

    Audio and events are looked at alike. Signalling is what came by UDP at the slot's address from this phone.
    """
    since_ns = boottime_ns()
    window_s = float(bench.parameter("window_s"))
    host = bench.registered().peer[0]
    call = await bench.established_call()
    if call is not None and await call.first_packet(boottime_ns(), 2.0) is not None:
        await asyncio.sleep(window_s)
    media = [packet.dscp for packet in call.port.packets()] if call is not None else []
    if call is not None:
        await call.dialog.bye().final(timeout_s=BYE_TIMEOUT_S)
    _measure(bench, "media_marked_percent", media, code_points(str(bench.parameter("media"))), "audio")
    if isinstance(bench.registered().peer, Flow):
        why = "the phone signals over a connection, whose marks the bench's sockets do not tell"
        bench.leave_unmeasured("signalling_marked_percent", why)
        return
    came = [
        entry.dscp
        for entry in bench.endpoint.transport.trace.entries(since_ns=since_ns)
        if entry.direction is Direction.IN and entry.peer[0] == host and not isinstance(entry.peer, Flow)
    ]
    _measure(bench, "signalling_marked_percent", came, code_points(str(bench.parameter("signalling"))), "signalling")


def code_points(text: str) -> frozenset[int]:
    """The values of code points by name, as in ``CS3 CS5 AF31``. Raises LabError for a name that is not known."""
    unknown = [name for name in text.split() if name not in CODE_POINTS]
    if unknown or not text.split():
        known = ", ".join(CODE_POINTS)
        raise LabError(f"the programme names the mark {' '.join(unknown) or '(none)'}; expected some of {known}")
    return frozenset(CODE_POINTS[name] for name in text.split())


def marked_percent(marks: Sequence[int], wanted: Collection[int]) -> tuple[float, str]:
    """The share of packets with a wanted mark, in %, and how many had which; of at least one packet."""
    seen = Counter(marks)
    share = 100 * sum(seen[mark] for mark in wanted) / len(marks)
    words = ", ".join(f"{number} x {NAMES.get(mark, 'DSCP')} ({mark})" for mark, number in seen.most_common())
    return share, words


def _measure(bench: PhoneBench, quantity: str, marks: Sequence[int | None], wanted: Collection[int], what: str) -> None:
    told = [mark for mark in marks if mark is not None]
    if len(told) < len(marks):
        raise LabError(f"the kernel did not tell the marks of {len(marks) - len(told)} packets of {what}")
    if not told:
        bench.measure(quantity, None, f"no packets of {what} came")
        return
    share, words = marked_percent(told, wanted)
    # Packets are counted and none is lost to the count (else the case is an error), so the share has no uncertainty.
    bench.measure(quantity, share, words, uncertainty=0.0)
