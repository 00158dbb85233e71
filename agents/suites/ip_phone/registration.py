"""Registration: with a digest, and refreshed in time. Both look at the registrar's record; nothing is pressed."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from agents.instruments.digest import Algorithm, DigestVerdict
from agents.instruments.registrar import RegisterRecord
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.clock import boottime_ns
from lab_inventory.measurement import Unit

REGISTERS_WITHIN_S = 15.0
CREDENTIALS_WITHIN_S = 3.0
BACK_WITHIN_S = 75.0
"""A first wait after a registration that failed is at most 60 s (RFC 5626, 4.5)."""
_BAD = frozenset({DigestVerdict.WRONG, DigestVerdict.MALFORMED, DigestVerdict.REPLAYED})


@procedure(
    "digest-registration",
    measures={"digest_valid": Unit.BOOL, "binding_present": Unit.BOOL, "instance_present": Unit.BOOL},
)
async def digest_registration(bench: PhoneBench, recorder: Recorder) -> None:
    """The phone answers a challenge rightly, every time, and is bound after it."""
    await bench.registrar.records.first(lambda record: record.binds, timeout_s=REGISTERS_WITHIN_S)
    records = bench.registrar.records.all()
    bad = credential_faults(records) + nonce_count_faults(records)
    right = [record for record in records if record.verdict is DigestVerdict.CORRECT]
    challenged = [record for record in records if record.status == 401]
    note = f"{len(records)} REGISTER, {len(challenged)} challenged, {len(right)} answered rightly"
    if bad:
        note += f"; {'; '.join(bad)}"
    bench.measure("digest_valid", bool(right and challenged and not bad), note)
    bindings = bench.registrar.bindings(boottime_ns())
    bench.measure("binding_present", bool(bindings), bindings[0].uri if bindings else "no binding")
    instance = bindings[0].instance if bindings else None
    bench.measure("instance_present", bool(instance), instance or "no +sip.instance in the Contact (RFC 5626, 4.1)")


def credential_faults(records: tuple[RegisterRecord, ...]) -> list[str]:
    """What is wrong with the answers to challenges; a nonce that the registrar took back is nobody's fault."""
    return [f"{record.verdict}: {record.reason}" for record in records if record.verdict in _BAD]


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


@procedure(
    "registration-refresh",
    measures={"refresh_ratio_max": Unit.RATIO, "refresh_ratio_min": Unit.RATIO, "credentials_right": Unit.BOOL},
)
async def registration_refresh(bench: PhoneBench, recorder: Recorder) -> None:
    """From each grant to the next REGISTER, as a share of the granted expiry, over the whole run.

    Fewer cycles than asked for are enough only where one of them already shows a gap.
    """
    cycles, expiry_s = int(bench.parameter("cycles")), float(bench.parameter("expiry_s"))
    records, disturbed = bench.registrar.records, bench.registrar.disturbed
    until_ns = boottime_ns() + int(cycles * expiry_s * 1.2e9)
    ratios = refresh_ratios(records.all(), disturbed)
    while not (enough := _enough(ratios, cycles)) and boottime_ns() < until_ns and not _broken(records.all()):
        await asyncio.sleep(0.25)
        ratios = refresh_ratios(records.all(), disturbed)
    note = f"{len(ratios)} refreshes of {expiry_s:g} s"
    stall: float | None = None
    if enough:
        stall = _stall_share(bench, records.all())
    else:
        note += f"; {cycles} were to be seen"
    bench.measure("refresh_ratio_max", max(ratios) if enough else None, note, bench_stall=stall)
    bench.measure("refresh_ratio_min", min(ratios) if enough else None, note, bench_stall=stall)
    # Over a whole run a count may be left out, of what the bench did not answer; used twice it is refused as replayed.
    bad = credential_faults(records.all())
    bench.measure(
        "credentials_right", not bad, "; ".join(dict.fromkeys(bad)) or f"{len(records)} REGISTER were looked at"
    )


def refresh_ratios(
    records: tuple[RegisterRecord, ...], disturbed: Sequence[tuple[int, int | None]] = ()
) -> list[float]:
    """For each grant that was followed by another REGISTER: the time between, as a share of what was granted.

    A time that a window of ``disturbed`` falls into is left out: there the registrar itself was not as it usually is.
    """
    return [
        (later.at_ns - earlier.at_ns) / 1e9 / (earlier.expires_granted_s or 1)
        for earlier, later in _refreshes(records, disturbed)
    ]


def _refreshes(
    records: tuple[RegisterRecord, ...], disturbed: Sequence[tuple[int, int | None]]
) -> list[tuple[RegisterRecord, RegisterRecord]]:
    """Each grant with the REGISTER after it, in undisturbed times."""
    return [
        (earlier, later)
        for earlier, later in pairwise(records)
        if earlier.expires_granted_s
        and not any(began <= later.at_ns and (ended is None or earlier.at_ns <= ended) for began, ended in disturbed)
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
        bench.lateness_ms(later.at_ns - 50_000_000, later.at_ns + 50_000_000) / 1000 / (earlier.expires_granted_s or 1)
        for earlier, later in _refreshes(records, bench.registrar.disturbed)
    ]
    return max(late_ms, default=0.0)


@procedure("digest-sha-256", measures={"sha256_preferred": Unit.BOOL, "offered_order_kept": Unit.BOOL})
async def digest_sha_256(bench: PhoneBench, recorder: Recorder) -> None:
    """The registrar asks anew, once with SHA-256 before MD5 and once the other way about (RFC 8760, 2.4)."""
    chosen, words = await _chosen(bench, (Algorithm.SHA_256, Algorithm.MD5))
    bench.measure("sha256_preferred", chosen is Algorithm.SHA_256, words)
    if chosen is None:  # it is not registered any more, and would not come to another challenge
        bench.measure("offered_order_kept", False, words)
        await _comes_back(bench)
        return
    second, second_words = await _chosen(bench, (Algorithm.MD5, Algorithm.SHA_256))
    kept = (chosen, second) == (Algorithm.SHA_256, Algorithm.MD5)
    bench.measure("offered_order_kept", kept, f"{words}; {second_words}")
    if second is None:
        await _comes_back(bench)


async def _comes_back(bench: PhoneBench) -> None:
    """Wait until the phone is registered again as usual, so that no later case finds it gone."""
    records = bench.registrar.records
    await records.first(lambda record: record.binds, timeout_s=BACK_WITHIN_S, skip=len(records))


async def _chosen(bench: PhoneBench, offered: tuple[Algorithm, ...]) -> tuple[Algorithm | None, str]:
    """What the phone answers rightly when these are offered in this order, and in words what came."""
    registrar = bench.registrar
    known = len(registrar.records)
    with registrar.offering(offered):
        challenged = await registrar.records.first(
            lambda record: record.status == 401, timeout_s=REGISTERS_WITHIN_S, skip=known
        )
        # Where no credentials come at once, they do not come: a phone has them.
        answered = challenged and await registrar.records.first(
            lambda record: record.status != 401, timeout_s=CREDENTIALS_WITHIN_S, skip=known
        )
    order = ", then ".join(offered)
    if challenged is None:
        return None, f"no REGISTER came within {REGISTERS_WITHIN_S:g} s"
    if answered is None:
        return None, f"{order} were offered and no credentials came (RFC 8760, 2.4; RFC 7616, 3.3)"
    right = answered.verdict is DigestVerdict.CORRECT
    came = f"{answered.algorithm or 'an unknown algorithm'} was answered {'rightly' if right else answered.reason}"
    return answered.algorithm if right else None, f"{order} were offered; {came} (RFC 8760, 2.4)"
