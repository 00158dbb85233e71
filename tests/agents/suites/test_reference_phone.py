"""The suite against the reference phone: what it judges right must be right in a phone of another make as well."""

from pathlib import Path

import pytest
from reference_bench import CASES, reference_on_bench, values_of


@pytest.mark.alone
async def test_the_reference_phone_is_seen_as_healthy_in_every_short_case(tmp_path: Path) -> None:
    expected = {
        "TC-REG-01": {"digest_valid": True, "binding_present": True, "instance_present": True},
        "TC-SIP-01": {"answer_valid": True, "audio_from_phone": True},
        "TC-SIP-02": {"invite_valid": True, "audio_from_phone": True},
        "TC-SIP-03": {
            "hold_offer_valid": True,
            "held_answer_valid": True,
            "held_inactive_answer_valid": True,
            "held_media_stops": True,
        },
        "TC-SIP-05": {"bye_answered": True, "bye_sent": True, "media_stops": True},
        "TC-SIP-06": {"cancel_answered": True, "invite_ended_487": True},
        "TC-SIP-07": {"options_answered": True, "options_in_dialog_answered": True, "allow_present": True},
        "TC-MED-01": {"codec_pcmu": True, "codec_pcma": True, "codec_g722": True},
        "TC-MED-02": {
            "digits_correct": True,
            "timestamp_constant": True,
            "event_fields_valid": True,
            "audio_without_tones": True,
            "end_packets_min": 3,
        },
    }
    timed = {"ringing_ms", "answer_delay_ms", "post_dial_delay_ms", "resume_media_ms", "duration_error_ms"}
    async with reference_on_bench(tmp_path) as suite:
        seen = {case: await values_of(suite, CASES[case], tmp_path) for case in expected}

    times_ms = [value for found in seen.values() for quantity, value in found.items() if quantity in timed]
    assert {case: {q: v for q, v in found.items() if q not in timed} for case, found in seen.items()} == expected
    assert all(isinstance(value, float) and 0 <= value < 1000 for value in times_ms)
