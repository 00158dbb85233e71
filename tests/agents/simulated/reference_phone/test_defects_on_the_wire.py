"""Every defect of the reference phone is on the wire, and without it the phone does what is right there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import reference_probes as look
from reference_wire import AtWire, reference_at_wire

from agents.simulated.reference_phone.defects import DEFECTS
from lab_inventory.clock import SystemClock

Look = Callable[[AtWire], Awaitable[Any]]
BOTH = {"prepare": look.offers_both_algorithms, "registers": False}
FAILING = {"expires_s": 1, "prepare": look.fails_after_the_first}
SHORT = {"expires_s": 1}
TIMED = {"min_se_s": 1}

PLAIN: list[tuple[str, Look, Any, Any, dict[str, Any]]] = [
    ("register-wrong-digest", look.wrong_digests, 0, 1, {}),
    ("register-nonce-count-stuck", look.second_nonce_count, "00000002", "00000001", SHORT),
    ("register-no-return", look.tries_after_failure, 2, 1, FAILING),
    ("register-sha256-ignored", look.algorithm_chosen, "SHA-256", "MD5", BOTH),
    ("register-prefers-md5", look.algorithm_chosen, "SHA-256", "MD5", BOTH),
    ("register-no-instance", look.names_instance, True, False, {}),
    ("register-no-removal", look.removes_binding, True, False, {}),
    ("to-tag-missing", look.to_has_tag, True, False, {}),
    ("from-tag-changed", look.from_tag_kept, True, False, {}),
    ("contact-missing", look.contact_of_200, True, False, {}),
    ("max-forwards-missing", look.max_forwards, "70", "", {}),
    ("branch-without-cookie", look.branch_cookie, True, False, {}),
    ("bye-other-call-id", look.bye_of_the_call, True, False, {}),
    ("cseq-not-incremented", look.cseq_step, 1, 0, {}),
    ("content-length-ignored", look.short_body, b"400", b"200", {}),
    ("scheme-ignored", look.unknown_scheme, b"416", b"200", {}),
    ("require-ignored", look.unknown_extension, b"420", b"200", {}),
    ("allow-missing", look.allow_told, True, False, {}),
    ("crash-on-bad-message", look.crashes_on_bad_message, 0, 1, {}),
    ("invite-not-repeated", look.invites_sent, 3, 1, {}),
    ("ok-not-repeated", look.repeats_of_200, True, False, {}),
    ("repeated-invite-rings-again", look.rings_for_repeated_invite, 1, 2, {}),
    ("ack-never", look.acknowledged, True, False, {}),
    ("ack-invite-branch", look.ack_branch_own, True, False, {}),
    ("state-leaks", look.third_call_answered, True, False, {}),
    ("cancel-no-487", look.cancelled, (True, True), (True, False), {}),
    ("cancel-unanswered", look.cancelled, (True, True), (False, True), {}),
    ("cancel-race-leaves-call", look.ended_after_cancel_race, True, False, {}),
    ("bye-unanswered", look.bye_answered, True, False, {}),
    ("bye-not-sent", look.bye_sent, True, False, {}),
    ("options-unanswered", look.options_answered, b"200", b"", {}),
    ("options-in-dialog-481", look.options_in_dialog, b"200", b"481", {}),
    ("glare-gives-up", look.called_side_tries_after_491, True, False, {}),
    ("answer-codec-not-offered", look.answered_formats, "0 101", "0 101 18", {}),
    ("answer-lines-missing", look.answered_sections, 1, 0, {}),
    ("hold-as-sendrecv", look.hold_offered, "sendonly", "sendrecv", {}),
    ("held-media-continues", look.held_answer_and_packets, ("recvonly", False), ("recvonly", True), {}),
    ("inactive-as-sendrecv", look.inactive_answer, "inactive", "sendrecv", {}),
    ("prack-missing", look.prack, "7 1 INVITE", "", {}),
    ("prack-wrong-rack", look.prack, "7 1 INVITE", "8 1 INVITE", {}),
    ("ringing-unreliable", look.ringing_is_reliable, True, False, {}),
    ("session-timer-ignored", look.timer_answered, "90;refresher=uac", "", {}),
    ("session-timer-no-retry", look.tried_after_422, "3000", "", {}),
    ("session-timer-no-bye", look.expired_session_ended, True, False, TIMED),
    ("transfer-no-notify", look.transfer_told, (b"100", b"200"), (), {}),
    ("transfer-result-missing", look.transfer_told, (b"100", b"200"), (b"100",), {}),
    ("replaces-ignored", look.replaced_at_once, True, False, {}),
    ("transfer-failure-drops-call", look.after_failed_transfer, b"INVITE", b"BYE", {}),
    ("message-summary-481", look.message_summary, b"200", b"481", {}),
    ("g722-silent", look.g722_heard, True, False, {}),
    ("rtcp-absent", look.reported, (65_537, 1), None, {}),
    ("dtmf-digit-lost", look.keys_57, [5, 7], [7], {}),
    ("dtmf-digit-doubled", look.keys_57, [5, 7], [5, 7, 7], {}),
    ("dtmf-in-band", look.keys_heard_as_audio, False, True, {}),
    ("dtmf-end-once", look.event_ends, 3, 1, {}),
    ("dtmf-marker-missing", look.event_marked, True, False, {}),
]
NEVER = [  # what never comes is -1 instead of a small number of seconds
    ("ringing-never", look.rang_after_s, {}),
    ("resume-silent", look.resumed_after_s, {}),
    ("session-timer-no-refresh", look.refreshed_after_s, TIMED),
]
MORE = [  # more than without the defect
    ("register-no-back-off", 0, look.tries_after_failure, 5, FAILING),
    ("gives-up-late", 1, look.invites_before_give_up, 1, {"t1_s": 0.005}),
    ("dial-fails-at-times", 1, look.undialled, 1, {}),
    ("crash-after-calls", 2, look.crashes_after_two_calls, 1, {}),
    ("media-after-bye", 300, look.packets_after_bye, 8, {}),
    ("rtp-jitter", 60, look.spread_ms, 5, {"clock": SystemClock()}),
    ("rtp-loss", 20, look.lost, 3, {}),
    ("rtp-sequence-jumps", 5, look.lost, 3, {}),
    ("rtp-pauses", 400, look.longest_gap_ms, 200, {}),
    ("dtmf-timestamp-moves", 0, look.event_timestamps, 4, {}),
    ("dtmf-volume-moves", 0, look.event_volumes, 3, {}),
]
SIZED = [  # by how much the size moves what is seen, and how far off that may be on a busy machine
    ("register-refresh-late", 0.5, look.refreshes_after_s, 0.5, 0.2, SHORT),
    ("register-refresh-eager", 0.5, look.refreshes_after_s, -0.5, 0.2, SHORT),
    ("invite-repeated-slowly", 200, look.first_repeat_after_s, 0.1, 0.04, {}),
    ("ringing-late", 200, look.rang_after_s, 0.2, 0.1, {}),
    ("dial-late", 200, look.dialled_after_s, 0.2, 0.1, {}),
    ("answer-late", 200, look.answered_after_s, 0.2, 0.1, {}),
    ("resume-slow", 200, look.resumed_after_s, 0.2, 0.1, {}),
    ("session-timer-refresh-late", 0.5, look.refreshed_after_s, 0.5, 0.2, TIMED),
    ("rtp-slow", 20, look.interval_ms, 4, 1, {}),
    ("dtmf-duration", 55, look.event_duration_ms, 55, 0, {}),
]


async def _both(slug: str, size: float, seen: Look, settings: dict[str, Any]) -> tuple[Any, Any]:
    """What is seen without the defect and with it, at the same time."""

    async def one(defects: dict[str, float]) -> Any:
        async with reference_at_wire(defects, **settings) as at:
            return await seen(at)

    right, wrong = await asyncio.gather(one({}), one({slug: size}))
    return right, wrong


@pytest.mark.parametrize(("slug", "seen", "right", "wrong", "settings"), PLAIN, ids=[case[0] for case in PLAIN])
async def test_a_defect_changes_what_is_right(
    slug: str, seen: Look, right: Any, wrong: Any, settings: dict[str, Any]
) -> None:
    assert await _both(slug, 0, seen, settings) == (right, wrong)


@pytest.mark.parametrize(("slug", "seen", "settings"), NEVER, ids=[case[0] for case in NEVER])
async def test_a_defect_takes_away_what_comes_in_time(slug: str, seen: Look, settings: dict[str, Any]) -> None:
    right, wrong = await _both(slug, 0, seen, settings)
    assert 0 <= right < 1.5
    assert wrong == -1


@pytest.mark.parametrize(("slug", "size", "seen", "more", "settings"), MORE, ids=[case[0] for case in MORE])
async def test_a_defect_adds_to_what_is_right(
    slug: str, size: float, seen: Look, more: float, settings: dict[str, Any]
) -> None:
    right, wrong = await _both(slug, size, seen, settings)
    assert wrong - right >= more


@pytest.mark.alone
@pytest.mark.parametrize(("slug", "size", "seen", "moved", "off", "settings"), SIZED, ids=[case[0] for case in SIZED])
async def test_a_size_moves_what_is_seen_by_as_much(
    slug: str, size: float, seen: Look, moved: float, off: float, settings: dict[str, Any]
) -> None:
    right, wrong = await _both(slug, size, seen, settings)
    assert wrong - right == pytest.approx(moved, abs=off)


async def test_the_back_off_after_a_glare_can_be_too_short() -> None:
    assert await _both("glare-too-soon", 100, look.caller_waits_after_491, {}) == (True, False)


async def test_a_quiet_microphone_lowers_the_level_by_the_size() -> None:
    right, wrong = await _both("microphone-quiet", 6.02, look.peak, {})
    assert wrong / right == pytest.approx(0.5, abs=0.05)


def test_every_defect_has_a_test() -> None:
    tested = [case[0] for case in (*PLAIN, *NEVER, *MORE, *SIZED)] + ["glare-too-soon", "microphone-quiet"]
    tested += [slug for slug in DEFECTS if "-lamp-" in slug]  # in suites/test_lamps
    tested += [slug for slug in DEFECTS if slug.startswith(("tls-", "srtp-"))]  # in test_security
    tested += [slug for slug in DEFECTS if slug.startswith(("opus-", "dtls-"))]  # in suites/test_opus, test_dtls
    tested += [  # in suites/test_reference_media
        "media-unmarked", "signalling-unmarked", "audio-clock-slow", "rtp-source-changes", "rtp-timestamp-steps",
        "rtp-marker-always", "rtcp-count-wrong", "rtcp-loss-untold", "rtcp-too-often",
        "rtp-rarely-late",
    ]  # fmt: skip
    tested += [  # in test_sound
        "microphone-loud", "microphone-dead", "microphone-clips", "microphone-noisy", "microphone-drops",
        "microphone-late", "microphone-narrow", "echo", "earpiece-quiet", "earpiece-clips", "earpiece-narrow",
        "earpiece-noisy", "earpiece-drops", "playout-late", "playout-buffer-short", "playout-gaps",
        "playout-silent-after-hold", "microphone-gated", "earpiece-gated", "playout-crackles",
    ]  # fmt: skip
    assert sorted(tested) == sorted(DEFECTS)
