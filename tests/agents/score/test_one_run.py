"""A run of a scoring that does not come about says why."""

from collections import Counter
from pathlib import Path

import pytest

from agents.bench_ca import make_ca
from agents.measure import LabError
from agents.score import ip_phone
from agents.score.one_run import BENCH_CA, HOST, Wanted, run_once
from agents.score.seeded import PROFILE
from lab_inventory.clock import SystemClock


async def test_a_phone_program_that_ends_is_told_with_its_own_words_and_at_once(tmp_path: Path) -> None:
    of, clock = ip_phone.programme(), SystemClock()
    phone = tmp_path / "phone"
    phone.mkdir()
    make_ca(tmp_path / BENCH_CA, HOST, clock.now())
    wanted = Wanted(number=1, phone=phone, kind="baresip", defects=())
    with pytest.raises(LabError, match=r"ended before it registered: bench_phones: .*/accounts: cannot be read"):
        await run_once(wanted, ip_phone.asked(of)[PROFILE], {}, tmp_path, clock)


def test_the_reference_phone_is_run_healthy_in_every_profile_and_once_in_the_long_one() -> None:
    of = ip_phone.programme()
    drawn = ip_phone.all_subjects({ip_phone.REFERENCE: ip_phone.reference(of)}, of, healthy=3)
    healthy = Counter(one.profile for one in drawn if one.defect is None)
    assert healthy == {PROFILE: 3, ip_phone.HANDSET: 3, ip_phone.ENDURANCE: 1}
