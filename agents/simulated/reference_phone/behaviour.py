"""What the phone does at its points of decision. The defaults are right; a defect (see ``defects``) changes one.

The code asks a :class:`Behaviour` at the place where the decision falls and knows of no defect. Times in seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The answers of one phone. Every field is named for what is done, with the right answer as its default."""

    # Registration (RFC 3261, 10 and 22)
    wrong_digest_first: bool = False
    nonce_count_stuck: bool = False
    knows_sha256: bool = True
    prefers_md5: bool = False
    refresh_share: float = 0.7
    registers_again_after_failure: bool = True
    retry_wait_s: tuple[float, float] = (1.0, 16.0)
    """The first wait after a failed registration, and the longest."""
    names_instance: bool = True
    deregisters: bool = True
    # Messages
    to_tag_in_answers: bool = True
    echoes_from_tag: bool = True
    contact_in_200: bool = True
    max_forwards: bool = True
    branch_cookie: str = "z9hG4bK"
    bye_call_id_right: bool = True
    cseq_step: int = 1
    checks_content_length: bool = True
    checks_scheme: bool = True
    checks_require: bool = True
    tells_allow: bool = True
    # Transactions (RFC 3261, 17)
    retransmits_invite: bool = True
    retransmission_stretch: float = 0.0
    """By how much each wait before an INVITE is repeated is longer than it should be, as a share."""
    give_up_delay_s: float = 0.0
    repeats_200: bool = True
    knows_repeated_invite: bool = True
    acknowledges: bool = True
    ack_has_own_branch: bool = True
    # Calls
    rings: bool = True
    ringing_delay_s: float = 0.0
    dial_delay_s: float = 0.0
    answer_delay_s: float = 0.0
    answers_call: int = 0
    """0: every call is answered; n: each n-th is not."""
    dials_call: float = 0
    """0: every call that is dialled is made; n: each n-th is not."""
    ends_after_calls: float = 0
    """The process ends when it has served so many calls; 0: never."""
    ends_on_bad_message: bool = False
    ends_cancelled_invite: bool = True
    answers_cancel: bool = True
    answers_bye: bool = True
    sends_bye: bool = True
    answers_options: bool = True
    knows_options_in_dialog: bool = True
    ends_call_answered_after_cancel: bool = True
    backs_off_after_491: bool = True
    glare_wait_share: float = 1.0
    # Offers and answers (RFC 3264)
    answers_with_offered_only: bool = True
    answers_every_section: bool = True
    hold_direction: bool = True
    answers_inactive: bool = True
    silent_when_held: bool = True
    sends_after_resume: bool = True
    resume_delay_s: float = 0.0
    # Extensions
    acknowledges_provisionals: bool = True
    rack_step: int = 0
    rings_reliably: bool = True
    session_timer: bool = True
    retries_after_422: bool = True
    refreshes_session: bool = True
    refresh_delay_s: float = 0.0
    ends_expired_session: bool = True
    notifies_transfer: bool = True
    notifies_transfer_result: bool = True
    obeys_replaces: bool = True
    returns_to_held_call: bool = True
    takes_message_summary: bool = True
    # Lamps
    lights_ring_lamp: bool = True
    ring_lamp_delay_s: float = 0.0
    lights_message_lamp: bool = True
    message_lamp_delay_s: float = 0.0
    # Media
    g722_sent: bool = True
    opus_sent: bool = True
    opus_clock_hz: int = 48_000
    """By which its time stamps count (RFC 7587, 4.1)."""
    media_after_bye_s: float = 0.0
    jitter_s: float = 0.0
    loss_share: float = 0.0
    rarely_late_s: float = 0.0
    """One packet in a thousand is late by so much."""
    pace_stretch: float = 0.0
    """By how much each interval between packets is longer than 20 ms, as a share."""
    sequence_jump_every: float = 0
    """0: sequence numbers go up one by one; n: after each n packets a number is left out."""
    pause_s: float = 0.0
    """For so long nothing is sent, once in two seconds."""
    # Sound: shares are of -20 dBFS, clipping is below full scale
    microphone_loss_db: float = 0.0
    microphone_clip_db: float = 0.0
    microphone_noise_share: float = 0.0
    microphone_drop_s: float = 0.0
    """For so long of each second the microphone is dead."""
    microphone_delay_s: float = 0.0
    microphone_narrow: bool = False
    microphone_gate_db: float = 0.0
    """A noise suppressor that cuts: every 20 ms that are softer than so far above -62 dBFS; 0: it has none."""
    echo_share: float = 0.0
    """The share of what the earpiece plays that comes back by the microphone."""
    buffer_s: float = 0.06
    """How long the first packet waits for those after it."""
    bears_late_s: float = 60.0
    """What came later than the soonest of the last half second by more than this is thrown away."""
    conceals: bool = True
    crackles: bool = False
    plays_after_hold: bool = True
    earpiece_loss_db: float = 0.0
    earpiece_clip_db: float = 0.0
    earpiece_noise_share: float = 0.0
    earpiece_drop_s: float = 0.0
    earpiece_narrow: bool = False
    earpiece_gate_db: float = 0.0
    lost_key: str = ""
    doubled_key: str = ""
    event_ends: int = 3
    event_timestamp_moves: bool = False
    event_marked: bool = True
    event_volume_moves: bool = False
    event_in_band: bool = False
    event_extra_s: float = 0.0
    source_kept_packets: float = 0
    """0: the SSRC stays; n: another one after so many packets."""
    timestamp_extra_ticks: float = 0.0
    """By how much each packet's time stamp is further on than the packet before was long."""
    marks_every_packet: bool = False
    sends_reports: bool = True
    report_interval_share: float = 1.0
    report_count_extra: float = 0
    """How many packets more than were sent the reports tell of."""
    reports_loss: bool = True
    media_mark: int = 46
    """The mark of audio (DSCP), EF (RFC 4594, 4.1)."""
    signalling_mark: int = 24
    """The mark of SIP over UDP, CS3."""
    # Security (RFC 5922, RFC 4568)
    checks_certificate: bool = True
    checks_expiry: bool = True
    checks_host: bool = True
    encrypts_audio: bool = True
    takes_new_key: bool = True
    """Whether what comes is looked at under the last key that was told."""
    checks_fingerprint: bool = True
    tells_own_fingerprint: bool = True
    encrypts_dtls_audio: bool = True
    finishes_handshake: bool = True
    refuses_clear_audio: bool = True
    """Where the account is told to secure its audio."""


HEALTHY = Behaviour()
