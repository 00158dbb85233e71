"""Registration: with a digest, and refreshed in time. Both look at the registrar's record; nothing is pressed."""

import asyncio
from itertools import pairwise

from agents.instruments.digest import DigestVerdict
from agents.instruments.registrar import RegisterRecord
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

REGISTERS_WITHIN_S = 15.0
_BAD = frozenset({DigestVerdict.WRONG, DigestVerdict.MALFORMED, DigestVerdict.REPLAYED})


@procedure("digest-registration", measures={"digest_valid": Unit.BOOL, "binding_present": Unit.BOOL})
async def digest_registration(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone answers a challenge rightly, every time, and is bound after it."""
    await bench.registrar.records.first(lambda record: record.binds, timeout_s=REGISTERS_WITHIN_S)
    records = bench.registrar.records.all()
    bad = [f"{record.verdict}: {record.reason}" for record in records if record.verdict in _BAD]
    bad += nonce_count_faults(records)
    right = [record for record in records if record.verdict is DigestVerdict.CORRECT]
    challenged = [record for record in records if record.status == 401]
    note = f"{len(records)} REGISTER, {len(challenged)} challenged, {len(right)} answered rightly"
    if bad:
        note += f"; {'; '.join(bad)}"
    bench.measure("digest_valid", bool(right and challenged and not bad), note)
    bindings = bench.registrar.bindings(boottime_ns())
    bench.measure("binding_present", bool(bindings), bindings[0].uri if bindings else "no binding")


def nonce_count_faults(records: tuple[RegisterRecord, ...]) -> list[str]:
    """Where the count of a nonce does not go 1, 2, 3 ... (RFC 7616, 3.4; RFC 3261, 22.4)."""
    faults: list[str] = []
    last: dict[str, int] = {}
    for record in records:
        if record.verdict is not DigestVerdict.CORRECT or record.nonce is None or record.nonce_count is None:
            continue
        due = last.get(record.nonce, 0) + 1
        if record.nonce_count != due:
            faults.append(f"nonce count {record.nonce_count} where {due} was due")
        last[record.nonce] = record.nonce_count
    return faults


@procedure("registration-refresh", measures={"refresh_ratio_max": Unit.RATIO, "refresh_ratio_min": Unit.RATIO})
async def registration_refresh(bench: PhoneBench, recorder: Recorder) -> None:
    """From each grant to the next REGISTER, as a share of the granted expiry, over the whole run.

    Fewer cycles than asked for are enough only where one of them already shows a gap.
    """
    cycles, expiry_s = int(bench.parameter("cycles")), float(bench.parameter("expiry_s"))
    records = bench.registrar.records
    until_ns = boottime_ns() + int(cycles * expiry_s * 1.2e9)
    ratios = refresh_ratios(records.all())
    while not (enough := _enough(ratios, cycles)) and boottime_ns() < until_ns and not _broken(records.all()):
        await asyncio.sleep(0.25)
        ratios = refresh_ratios(records.all())
    note = f"{len(ratios)} refreshes of {expiry_s:g} s"
    stall: float | None = None
    if enough:
        stall = _stall_share(bench, records.all())
    else:
        note += f"; {cycles} were to be seen"
    bench.measure("refresh_ratio_max", max(ratios) if enough else None, note, bench_stall=stall)
    bench.measure("refresh_ratio_min", min(ratios) if enough else None, note, bench_stall=stall)


def refresh_ratios(records: tuple[RegisterRecord, ...]) -> list[float]:
    """For each grant that was followed by another REGISTER: the time between, as a share of what was granted."""
    return [
        (later.at_ns - earlier.at_ns) / 1e9 / earlier.expires_granted_s
        for earlier, later in pairwise(records)
        if earlier.expires_granted_s
    ]


def _enough(ratios: list[float], cycles: int) -> bool:
    """Whether as many cycles as asked for were seen, or one of them shows a gap: then more tell nothing new."""
    return len(ratios) >= cycles or any(ratio > 1 for ratio in ratios)


def _broken(records: tuple[RegisterRecord, ...]) -> bool:
    """Whether the last registration has been gone for so long that no more waiting tells anything."""
    granted = [record for record in records if record.binds]
    if not granted or granted[-1].expires_granted_s is None:
        return False
    return boottime_ns() > granted[-1].at_ns + 5 * granted[-1].expires_granted_s * 1_000_000_000


def _stall_share(bench: PhoneBench, records: tuple[RegisterRecord, ...]) -> float:
    """The bench's lateness around each refresh, as a share of the expiry. Arrival times are the kernel's."""
    late_ms = [
        bench.lateness_ms(later.at_ns - 50_000_000, later.at_ns + 50_000_000) / 1000 / earlier.expires_granted_s
        for earlier, later in pairwise(records)
        if earlier.expires_granted_s
    ]
    return max(late_ms, default=0.0)
