"""What can be wrong with the reference phone: each defect changes one point of its :class:`Behaviour`. Pure.

A defect with a size is linear in it, and nothing is wrong at size 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from agents.simulated.reference_phone.behaviour import HEALTHY, Behaviour
from lab_inventory.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class ReferenceDefect:
    """One defect: ``wrong`` is a sentence with its clause; ``size_unit`` None: it has no size."""

    slug: str
    wrong: str
    change: Callable[[Behaviour, float], Behaviour]
    size_unit: str | None = None
    size_usual: float = 1.0
    """A size that shows it clearly, where none is chosen."""


def _plain(slug: str, wrong: str, **changes: object) -> ReferenceDefect:
    return ReferenceDefect(slug=slug, wrong=wrong, change=lambda behaviour, _: replace(behaviour, **changes))  # type: ignore[arg-type]


def _sized(slug: str, unit: str, usual: float, wrong: str, field: str, slope: float) -> ReferenceDefect:
    """``field`` grows from its right value by ``slope`` for each unit of the size."""

    def change(behaviour: Behaviour, size: float) -> Behaviour:
        return replace(behaviour, **{field: getattr(HEALTHY, field) + slope * size})

    return ReferenceDefect(slug=slug, wrong=wrong, change=change, size_unit=unit, size_usual=usual)


_LAMPS = (
    _plain("ring-lamp-dark", "no lamp shows that the phone rings", lights_ring_lamp=False),
    _sized("ring-lamp-late", "ms", 2000, "the lamp shows so late that it rings", "ring_lamp_delay_s", 0.001),
    _plain("message-lamp-dark", "no lamp shows that messages wait (RFC 3842)", lights_message_lamp=False),
    _sized("message-lamp-late", "ms", 2500, "the lamp shows so late that messages wait", "message_lamp_delay_s", 0.001),
)
_REGISTRATION = (
    _plain(
        "register-wrong-digest",
        "each registration is first tried with a wrong digest (RFC 3261, 22.4)",
        wrong_digest_first=True,
    ),
    _plain(
        "register-nonce-count-stuck", "nc stays 1 when a nonce is used again (RFC 7616, 3.4)", nonce_count_stuck=True
    ),
    _sized(
        "register-refresh-late",
        "ratio",
        0.5,
        "the registration is refreshed later in its expiry, by the size as "
        "a share of it; from 0.3 on after it has expired (RFC 3261, 10.2.4)",
        "refresh_share",
        1.0,
    ),
    _sized(
        "register-refresh-eager",
        "ratio",
        0.5,
        "the registration is refreshed earlier in its expiry than needed, "
        "by the size as a share of it (RFC 3261, 10.2.4)",
        "refresh_share",
        -1.0,
    ),
    _plain(
        "register-no-return",
        "after a registration that fails none is tried any more (RFC 3261, 10.2.7)",
        registers_again_after_failure=False,
    ),
    _plain(
        "register-no-back-off",
        "a registration that fails is tried again at once, and forever (RFC 5626, 4.5)",
        retry_wait_s=(0.02, 0.02),
    ),
    _plain("register-sha256-ignored", "a challenge with SHA-256 is not answered (RFC 8760, 2.3)", knows_sha256=False),
    _plain("register-prefers-md5", "MD5 is chosen though SHA-256 stands first (RFC 8760, 2.4)", prefers_md5=True),
    _plain("register-no-instance", "Contact has no +sip.instance (RFC 5626, 4.1)", names_instance=False),
    _plain(
        "register-no-removal",
        "the phone is switched off without taking its binding away (RFC 3261, 10.2.2)",
        deregisters=False,
    ),
)
_MESSAGES = (
    _plain("to-tag-missing", "To has no tag in answers that make a dialog (RFC 3261, 12.1.1)", to_tag_in_answers=False),
    _plain(
        "from-tag-changed",
        "From comes back in final answers with another tag (RFC 3261, 8.2.6.2)",
        echoes_from_tag=False,
    ),
    _plain("contact-missing", "answers to INVITE have no Contact (RFC 3261, 12.1.1)", contact_in_200=False),
    _plain("max-forwards-missing", "requests have no Max-Forwards (RFC 3261, 8.1.1.6)", max_forwards=False),
    _plain("branch-without-cookie", "branches do not begin with z9hG4bK (RFC 3261, 8.1.1.7)", branch_cookie="x"),
    _plain("bye-other-call-id", "BYE has another Call-ID than its call (RFC 3261, 12.2.1.1)", bye_call_id_right=False),
    _plain("cseq-not-incremented", "two requests of a dialog have the same CSeq (RFC 3261, 12.2.1.1)", cseq_step=0),
    _plain(
        "content-length-ignored",
        "a body shorter than its Content-Length is taken (RFC 3261, 18.3)",
        checks_content_length=False,
    ),
    _plain("scheme-ignored", "a Request-URI of an unknown scheme is taken (RFC 3261, 8.2.2.1)", checks_scheme=False),
    _plain("require-ignored", "an unknown option in Require is taken (RFC 3261, 8.2.2.3)", checks_require=False),
    _plain("allow-missing", "no message has Allow (RFC 3261, 11.2)", tells_allow=False),
    _plain("crash-on-bad-message", "a malformed message ends the phone (RFC 4475)", ends_on_bad_message=True),
)
_TRANSACTIONS = (
    _plain(
        "invite-not-repeated",
        "an INVITE that is not answered is not repeated (RFC 3261, 17.1.1.2)",
        retransmits_invite=False,
    ),
    _sized(
        "invite-repeated-slowly",
        "percent",
        50,
        "the first wait before an INVITE is repeated is longer than T1 (RFC 3261, 17.1.1.2)",
        "retransmission_stretch",
        0.01,
    ),
    _sized(
        "gives-up-late",
        "s",
        10,
        "an INVITE that is not answered is given up later than 64 T1 (RFC 3261, 17.1.1.2)",
        "give_up_delay_s",
        1.0,
    ),
    _plain("ok-not-repeated", "a 200 that is not acknowledged is not repeated (RFC 3261, 13.3.1.4)", repeats_200=False),
    _plain(
        "repeated-invite-rings-again",
        "an INVITE that is repeated starts a second call (RFC 3261, 17.2.3)",
        knows_repeated_invite=False,
    ),
    _plain(
        "ack-never",
        "a final answer to INVITE is not acknowledged (RFC 3261, 13.2.2.4 and 17.1.1.3)",
        acknowledges=False,
    ),
    _plain(
        "ack-invite-branch",
        "the ACK for a 200 has the branch of its INVITE (RFC 3261, 13.2.2.4)",
        ack_has_own_branch=False,
    ),
)
_CALLS = (
    _plain("ringing-never", "180 is never sent (RFC 3261, 13.3.1.1)", rings=False),
    _sized("ringing-late", "ms", 2000, "180 comes late (RFC 3261, 13.3.1.1)", "ringing_delay_s", 0.001),
    _sized(
        "dial-late",
        "ms",
        2000,
        "INVITE leaves late after the key (ITU-T E.721, post-selection delay)",
        "dial_delay_s",
        0.001,
    ),
    _sized("answer-late", "ms", 1000, "200 leaves late after the key (RFC 3261, 13.3.1.4)", "answer_delay_s", 0.001),
    _plain(
        "state-leaks",
        "every third call that comes is not answered, whatever is pressed (RFC 3261, 13.3.1.4)",
        answers_call=3,
    ),
    _sized(
        "dial-fails-at-times",
        "calls",
        20,
        "each so many-th call that is dialled is not made (RFC 3261, 13.2.1)",
        "dials_call",
        1.0,
    ),
    _sized("crash-after-calls", "count", 5, "the phone ends after so many calls", "ends_after_calls", 1.0),
    _plain(
        "cancel-no-487", "an INVITE that is cancelled is never answered (RFC 3261, 9.2)", ends_cancelled_invite=False
    ),
    _plain("cancel-unanswered", "CANCEL is not answered (RFC 3261, 9.2)", answers_cancel=False),
    _plain(
        "cancel-race-leaves-call",
        "a call that is answered while it is cancelled is left up (RFC 3261, 9.1)",
        ends_call_answered_after_cancel=False,
    ),
    _plain("bye-unanswered", "BYE is not answered (RFC 3261, 15.1.2)", answers_bye=False),
    _plain("bye-not-sent", "the hang-up key sends no BYE (RFC 3261, 15.1.1)", sends_bye=False),
    _sized(
        "media-after-bye",
        "ms",
        1000,
        "audio goes on after the end of a call (RFC 3261, 15)",
        "media_after_bye_s",
        0.001,
    ),
    _plain("options-unanswered", "OPTIONS is not answered (RFC 3261, 11.2)", answers_options=False),
    _plain(
        "options-in-dialog-481", "OPTIONS within a call is answered 481 (RFC 3261, 11.2)", knows_options_in_dialog=False
    ),
    _plain("glare-gives-up", "after 491 a re-INVITE is not tried again (RFC 3261, 14.1)", backs_off_after_491=False),
    _sized(
        "glare-too-soon",
        "percent",
        100,
        "after 491 the next try comes sooner than it may, by the size as a share of the wait (RFC 3261, 14.1)",
        "glare_wait_share",
        -0.01,
    ),
)
_OFFERS = (
    _plain(
        "answer-codec-not-offered",
        "the answer names a codec that was not offered (RFC 3264, 6.1)",
        answers_with_offered_only=False,
    ),
    _plain(
        "answer-lines-missing",
        "the answer lacks the first m= line of the offer (RFC 3264, 6)",
        answers_every_section=False,
    ),
    _plain("hold-as-sendrecv", "hold is offered and answered as sendrecv (RFC 3264, 8.4)", hold_direction=False),
    _plain("held-media-continues", "audio goes on when the other side holds (RFC 3264, 8.4)", silent_when_held=False),
    _plain("inactive-as-sendrecv", "inactive is answered sendrecv (RFC 3264, 6.1)", answers_inactive=False),
    _plain("resume-silent", "after resume no audio comes any more (RFC 3264, 8.4)", sends_after_resume=False),
    _sized("resume-slow", "ms", 2000, "resume takes long after its key (RFC 3264, 8.4)", "resume_delay_s", 0.001),
)
_EXTENSIONS = (
    _plain(
        "prack-missing",
        "a reliable provisional response is not acknowledged (RFC 3262, 4)",
        acknowledges_provisionals=False,
    ),
    _plain("prack-wrong-rack", "RAck names another number than RSeq (RFC 3262, 7.2)", rack_step=1),
    _plain("ringing-unreliable", "180 is not reliable though that is required (RFC 3262, 3)", rings_reliably=False),
    _plain(
        "session-timer-ignored",
        "Session-Expires is neither offered nor answered (RFC 4028, 7 and 9)",
        session_timer=False,
    ),
    _plain("session-timer-no-retry", "after 422 the call is not tried again (RFC 4028, 7.3)", retries_after_422=False),
    _plain(
        "session-timer-no-refresh",
        "the phone does not refresh though it is the refresher (RFC 4028, 10)",
        refreshes_session=False,
    ),
    _sized(
        "session-timer-refresh-late",
        "s",
        30,
        "the session is refreshed later than half the interval (RFC 4028, 10)",
        "refresh_delay_s",
        1.0,
    ),
    _plain(
        "session-timer-no-bye",
        "a session that is not refreshed is not ended (RFC 4028, 10)",
        ends_expired_session=False,
    ),
    _plain("transfer-no-notify", "a REFER is followed without NOTIFY (RFC 3515, 2.4.4)", notifies_transfer=False),
    _plain(
        "transfer-result-missing",
        "NOTIFY says 100 and then nothing more (RFC 3515, 2.4.5)",
        notifies_transfer_result=False,
    ),
    _plain("replaces-ignored", "an INVITE with Replaces rings like any other (RFC 3891, 3)", obeys_replaces=False),
    _plain(
        "transfer-failure-drops-call",
        "when a transfer fails the held call is ended (RFC 5589, 6.1)",
        returns_to_held_call=False,
    ),
    _plain(
        "message-summary-481", "NOTIFY of waiting messages is answered 481 (RFC 3842, 4.1)", takes_message_summary=False
    ),
)
_MEDIA = (
    _plain("g722-silent", "G.722 is agreed on and then not sent (RFC 3264, 6.1)", g722_sent=False),
    _plain("opus-silent", "Opus is agreed on and then not sent (RFC 3264, 6.1)", opus_sent=False),
    _plain("opus-clock-8000", "time stamps of Opus count at 8 kHz and not 48 kHz (RFC 7587, 4.1)", opus_clock_hz=8_000),
    _sized("rtp-jitter", "ms", 30, "packets leave late, evenly spread up to the size (RFC 3550, 6.4.1)", "jitter_s",
           0.001),
    _sized("rtp-loss", "percent", 5, "a share of all packets is not sent though it is counted (RFC 3550, 5.1)",
           "loss_share", 0.01),
    _sized("rtp-slow", "percent", 2, "packets leave further apart than 20 ms (RFC 3551, 4.2)", "pace_stretch", 0.01),
    _sized("audio-clock-slow", "ppm", 200, "the clock of the audio is slow (3GPP TS 26.131, 6.13)", "pace_stretch",
           1e-6),
    _sized("rtp-rarely-late", "ms", 100, "one packet in a thousand is late by so much (RFC 3550, 6.4.1)",
           "rarely_late_s", 0.001),
    _sized("rtp-pauses", "ms", 200, "once in two seconds nothing is sent for so long (RFC 3551, 4.1)", "pause_s",
           0.001),
    _sized("rtp-sequence-jumps", "packets", 50, "a sequence number is left out after so many packets (RFC 3550, 5.1)",
           "sequence_jump_every", 1.0),
    _plain("media-unmarked", "audio leaves with the mark of best effort and not EF (RFC 4594, 4.1)", media_mark=0),
    _plain("signalling-unmarked", "SIP leaves with the mark of best effort (RFC 4594, 4.2)", signalling_mark=0),
    _sized("rtp-source-changes", "packets", 100, "another SSRC is sent under after so many packets (RFC 3550, 8)",
           "source_kept_packets", 1.0),
    _sized("rtp-timestamp-steps", "ticks", 8, "time stamps go further on than the packets are long (RFC 3550, 5.1)",
           "timestamp_extra_ticks", 1.0),
    _plain("rtp-marker-always", "every packet has the marker (RFC 3551, 4.1)", marks_every_packet=True),
    _sized("rtcp-count-wrong", "packets", 50, "reports tell of more packets than were sent (RFC 3550, 6.4.1)",
           "report_count_extra", 1.0),
    _plain("rtcp-loss-untold", "reports tell of no loss, whatever is lost (RFC 3550, 6.4.1)", reports_loss=False),
    _plain("rtcp-too-often", "reports come five times as often as they may (RFC 3550, 6.3.1)",
           report_interval_share=0.2),
    _plain("rtcp-absent", "no report is sent on what is heard (RFC 3550, 6.1)", sends_reports=False),
    _plain("dtmf-digit-lost", "the key 5 sends nothing (RFC 4733, 2.5.1)", lost_key="5"),
    _plain("dtmf-digit-doubled", "the key 7 is sent twice (RFC 4733, 2.5.1)", doubled_key="7"),
    _plain("dtmf-end-once", "the end of an event is sent once and not three times (RFC 4733, 2.5.1.4)", event_ends=1),
    _plain("dtmf-timestamp-moves", "the time stamp moves within an event (RFC 4733, 2.5.1.2)",
           event_timestamp_moves=True),
    _plain("dtmf-marker-missing", "the first packet of an event has no marker (RFC 4733, 2.5.1.1)",
           event_marked=False),
    _plain("dtmf-volume-moves", "the volume changes within an event (RFC 4733, 2.3.4)", event_volume_moves=True),
    _sized("dtmf-duration", "ms", 100, "an event's end tells more than the time that passed (RFC 4733, 2.5.1.2)",
           "event_extra_s", 0.001),
)  # fmt: skip
_SOUND = (
    _plain("microphone-dead", "nothing of what is spoken is sent (ITU-T G.711)", microphone_loss_db=200.0),
    _sized("microphone-quiet", "dB", 12, "the audio is quieter than it was spoken (ITU-T G.711, digital level)",
           "microphone_loss_db", 1.0),
    _sized("microphone-loud", "dB", 12, "the audio is louder than it was spoken (ITU-T G.711, digital level)",
           "microphone_loss_db", -1.0),
    _sized("microphone-clips", "dB", 24, "what is spoken is cut so far below full scale (3GPP TS 26.131, distortion)",
           "microphone_clip_db", 1.0),
    _sized("microphone-noisy", "percent", 10, "noise is sent, as a share of -20 dBFS (3GPP TS 26.131, noise)",
           "microphone_noise_share", 0.01),
    _sized("microphone-drops", "ms", 100, "once a second the microphone is dead for so long", "microphone_drop_s",
           0.001),
    _sized("microphone-late", "ms", 200, "what is spoken is sent late (3GPP TS 26.131, delay)", "microphone_delay_s",
           0.001),
    _plain("microphone-narrow", "over G.722 only the narrow band is sent (ITU-T G.722; 3GPP TS 26.131, response)",
           microphone_narrow=True),
    _sized("microphone-gated", "dB", 30, "what is spoken more softly than so far above -62 dBFS is cut out "
           "(ITU-T P.863, clipped ends of words)", "microphone_gate_db", 1.0),
    _sized("echo", "percent", 10, "a share of what is heard is sent back (3GPP TS 26.131, acoustic echo control)",
           "echo_share", 0.01),
    _sized("earpiece-quiet", "dB", 12, "what is heard is quieter than it was sent", "earpiece_loss_db", 1.0),
    _sized("earpiece-clips", "dB", 24, "what is heard is cut so far below full scale (3GPP TS 26.131, distortion)",
           "earpiece_clip_db", 1.0),
    _sized("earpiece-noisy", "percent", 10, "noise is heard, as a share of -20 dBFS (3GPP TS 26.131, noise)",
           "earpiece_noise_share", 0.01),
    _sized("earpiece-drops", "ms", 100, "once a second the earpiece is dead for so long", "earpiece_drop_s", 0.001),
    _plain("earpiece-narrow", "over G.722 only the narrow band is heard (ITU-T G.722; 3GPP TS 26.131, response)",
           earpiece_narrow=True),
    _sized("earpiece-gated", "dB", 30, "what comes more softly than so far above -62 dBFS is cut out "
           "(ITU-T P.863, clipped ends of words)", "earpiece_gate_db", 1.0),
    _sized("playout-late", "ms", 200, "what comes waits longer before it is heard (3GPP TS 26.131, delay)", "buffer_s",
           0.001),
    _plain("playout-buffer-short", "what comes more than 10 ms late is thrown away, as by a buffer that is too short "
           "(RFC 3550, 6.4.1)", bears_late_s=0.01),
    _plain("playout-gaps", "where a packet is lost there is silence (ITU-T G.711, appendix I)", conceals=False),
    _plain("playout-crackles", "from where a packet is lost there are 300 ms of noise (ITU-T G.711, appendix I)",
           crackles=True),
    _plain("playout-silent-after-hold", "after a hold nothing is heard any more (RFC 3264, 8.4)",
           plays_after_hold=False),
    _plain("dtmf-in-band", "the tones of a key are sent as audio beside its event (RFC 4733, 2.4)", event_in_band=True),
)  # fmt: skip
_SECURITY = (
    _plain(
        "tls-any-certificate",
        "any certificate of a server is taken (RFC 5922, 7.3; RFC 5280, 6)",
        checks_certificate=False,
    ),
    _plain("tls-expired", "an expired certificate is taken (RFC 5280, 4.1.2.5)", checks_expiry=False),
    _plain("tls-wrong-host", "a certificate of another host is taken (RFC 5922, 7.3)", checks_host=False),
    _plain(
        "srtp-sent-clear",
        "keys are agreed on and the audio is sent in clear (RFC 3711, 3.3; RFC 4568, 5.1.2)",
        encrypts_audio=False,
    ),
    _plain(
        "srtp-old-key-kept",
        "another key of the other side is not taken, and its audio not heard any more (RFC 4568, 7.1.4)",
        takes_new_key=False,
    ),
    _plain(
        "dtls-fingerprint-unchecked",
        "any certificate is taken in the handshake for audio (RFC 5763, 5; RFC 8122, 6.2)",
        checks_fingerprint=False,
    ),
    _plain(
        "dtls-fingerprint-wrong",
        "the fingerprint that is told is not that of the phone's certificate (RFC 5763, 5)",
        tells_own_fingerprint=False,
    ),
    _plain(
        "dtls-sent-clear",
        "the handshake gives keys and the audio is sent in clear (RFC 5764, 3)",
        encrypts_dtls_audio=False,
    ),
    _plain(
        "dtls-unfinished",
        "the handshake for audio is begun and not gone on with (RFC 5764, 3)",
        finishes_handshake=False,
    ),
    _plain(
        "srtp-not-mandatory",
        "audio in clear is taken though the account is to secure it (RFC 4568, 5.1.2)",
        refuses_clear_audio=False,
    ),
)
_ALL = (
    *_REGISTRATION, *_MESSAGES, *_TRANSACTIONS, *_CALLS, *_OFFERS, *_EXTENSIONS, *_MEDIA, *_SOUND, *_SECURITY, *_LAMPS,
)  # fmt: skip
DEFECTS: dict[str, ReferenceDefect] = {defect.slug: defect for defect in _ALL}


def parse_defect(text: str) -> tuple[str, float]:
    """``SLUG`` or ``SLUG=SIZE``. Raises BadInput in words."""
    slug, equals, size = text.partition("=")
    defect = DEFECTS.get(slug)
    if defect is None:
        near = get_close_matches(slug, DEFECTS, n=3)
        raise BadInput(f"there is no defect {slug}" + (f": {' or '.join(near)}?" if near else ""))
    if bool(equals) != (defect.size_unit is not None):
        needs = f"needs a size in {defect.size_unit}, as {slug}=SIZE" if defect.size_unit else "has no size"
        raise BadInput(f"the defect {slug} {needs}")
    try:
        return slug, float(size) if equals else 0.0
    except ValueError:
        raise BadInput(f"the size of {slug} is no number: {size}") from None


def behaviour_with(chosen: Mapping[str, float]) -> Behaviour:
    """The behaviour of a phone with these defects, each with its size (any number where it has none)."""
    behaviour = HEALTHY
    for slug, size in chosen.items():
        behaviour = DEFECTS[slug].change(behaviour, size)
    return behaviour
