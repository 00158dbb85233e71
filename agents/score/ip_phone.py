"""The score of the suite for IP phones: its phones, their defects, and the requirement that must find each. Data."""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from agents.score.one_run import Asked
from agents.score.scoring import Phone, goldens_of
from agents.score.seeded import PROFILE, FoundBy, Subject, subjects
from agents.score.verdicts import requirements_in
from agents.simulated.defects import DEFECTS
from agents.simulated.impairments import IMPAIRMENTS
from agents.simulated.reference_phone.defects import DEFECTS as REFERENCE_DEFECTS
from agents.simulated.reference_phone.tones import LEVEL_DBFS
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.ics import AnswerKind, Answers
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Unit
from lab_inventory.programme import Programme, TestCase
from lab_inventory.shipped import shipped_programmes

PROGRAMME = "skype-for-business.ip-phone"
ENDURANCE = "endurance"
HANDSET = "handset"
DELAY_MS = 105
"""From mouth to ear of the healthy phone: 21 ms in sending, in receiving its buffer of 60 ms and up to a tick."""
REFERENCE = "reference"
THIRD_PARTY = "baresip"
INSTRUMENT = Instrument(
    name="sip-endpoint",
    kind="sip-rtp",
    calibration=Calibration(method="checks itself in a loop before each run"),
    uncertainty={Unit.MILLISECOND: 0.5, Unit.PERCENT: 0.1, Unit.RATIO: 0.001, Unit.DECIBEL: 1.0},
)

SHORTENED: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "TC-LIF-01": (90.0, {"calls": 60, "spread_s": 60}),
    "TC-MED-10": (70.0, {"window_s": 60, "call_s": 30}),
}
"""How long these are in a scoring, by case: seconds, and the parameters that make them so."""

BY_PROXY: Mapping[str, FoundBy] = {
    "ringing-never": FoundBy(requirement="IP-SIP-02"),
    "ringing-late": FoundBy(requirement="IP-SIP-02"),
    "answer-codec-not-offered": FoundBy(requirement="IP-SIP-02"),
    "hold-as-sendrecv": FoundBy(requirement="IP-SIP-07"),
    "resume-no-media": FoundBy(requirement="IP-SIP-07"),
    "dtmf-digit-lost": FoundBy(requirement="IP-MED-02"),
    "dtmf-end-missing": FoundBy(requirement="IP-MED-02"),
    "options-unanswered": FoundBy(requirement="IP-SIP-14"),
    "bye-unanswered": FoundBy(requirement="IP-SIP-13"),
    "cancel-no-487": FoundBy(requirement="IP-SIP-05"),
    "rtp-jitter": FoundBy(requirement="IP-MED-03"),
    "invite-no-retransmission": FoundBy(requirement="IP-SIP-01"),
    "register-wrong-digest": FoundBy(requirement="IP-REG-01"),
    "register-refresh-late": FoundBy(requirement="IP-REG-02"),
    "codec-g722-silent": FoundBy(requirement="IP-MED-01"),
    "network-loses": FoundBy(requirement="IP-MED-11", size=2),
    "network-duplicates": FoundBy(requirement="IP-MED-11", size=2),
    "network-reorders": FoundBy(requirement="IP-MED-11", size=2),
    "network-jitters": FoundBy(requirement="IP-MED-03", quantity="interval_sd_ms", slope=1 / math.sqrt(6)),
    "network-stalls": FoundBy(requirement="IP-MED-11", quantity="gap_ms", healthy=20),
}
"""What the proxy before a third-party phone does wrong."""


def share_for_loss(loss_db: float) -> float:
    """The percentage of a signal that comes back with so much loss."""
    return float(100 * 10 ** (-loss_db / 20))


def cut_for_harmonics(percent: float) -> float:
    """How far below full scale a tone of 1 kHz at -20 dBFS is to be cut, so that its second and third harmonic come to
    so much of it: by halving, over one period at 16 kHz.
    """
    period = np.sin(2 * np.pi * np.arange(16) / 16)
    low, high = 0.0, 20.0
    for _ in range(40):
        cut = (low + high) / 2
        most = 10 ** (-cut / 20)
        spectrum = np.abs(np.fft.rfft(np.clip(period, -most, most)))
        more = 100 * np.hypot(spectrum[2], spectrum[3]) / spectrum[1] > percent
        low, high = (low, cut) if more else (cut, high)
    return low - 20 * math.log10(math.sqrt(2) * 10 ** (LEVEL_DBFS / 20))


def _plainly(requirement: str, *defects: str) -> dict[str, FoundBy]:
    return {defect: FoundBy(requirement=requirement) for defect in defects}


def _at_handset(
    requirement: str,
    quantity: str | None,
    *defects: str,
    healthy: float = 0.0,
    size_of: Callable[[float], float] | None = None,
) -> dict[str, FoundBy]:
    by = FoundBy(requirement=requirement, quantity=quantity, healthy=healthy, size_of=size_of, profile=HANDSET)
    return dict.fromkeys(defects, by)


BY_REFERENCE: Mapping[str, FoundBy] = {
    **_plainly("IP-REG-01", "register-wrong-digest"),
    **_plainly("IP-REG-07", "register-nonce-count-stuck"),
    "register-refresh-late": FoundBy(requirement="IP-REG-02", quantity="refresh_ratio_max", healthy=0.7),
    "register-refresh-eager": FoundBy(requirement="IP-REG-02", size=0.4),
    **{
        defect: FoundBy(requirement="IP-REG-03", profile=ENDURANCE)
        for defect in ("register-no-return", "register-no-back-off")
    },
    **_plainly("IP-REG-05", "register-sha256-ignored", "register-prefers-md5"),
    **_plainly("IP-REG-06", "register-no-instance"),
    **_plainly(
        "IP-SIP-02",
        "to-tag-missing",
        "from-tag-changed",
        "contact-missing",
        "ringing-never",
        "answer-codec-not-offered",
        "answer-lines-missing",
    ),
    "ringing-late": FoundBy(requirement="IP-SIP-02", quantity="ringing_ms"),
    "answer-late": FoundBy(requirement="IP-SIP-02", quantity="answer_delay_ms"),
    "microphone-dead": FoundBy(requirement="IP-SIP-02"),
    **_plainly("IP-SIP-03", "max-forwards-missing", "branch-without-cookie", "ack-never", "ack-invite-branch"),
    "dial-late": FoundBy(requirement="IP-SIP-03", quantity="post_dial_delay_ms"),
    **_plainly("IP-SIP-13", "bye-unanswered", "bye-not-sent", "bye-other-call-id"),
    "media-after-bye": FoundBy(requirement="IP-SIP-13", size=1000),
    **_plainly("IP-SIP-02-D", "cseq-not-incremented", "require-ignored"),
    **_plainly("IP-SIP-11", "content-length-ignored", "scheme-ignored", "crash-on-bad-message"),
    **_plainly("IP-SIP-14", "options-unanswered", "options-in-dialog-481", "allow-missing"),
    **_plainly("IP-SIP-01", "invite-not-repeated"),
    "invite-repeated-slowly": FoundBy(requirement="IP-SIP-01", quantity="interval_deviation_percent"),
    "gives-up-late": FoundBy(requirement="IP-SIP-01", size=5),
    **_plainly("IP-SIP-02-R", "ok-not-repeated", "repeated-invite-rings-again"),
    **_plainly("IP-SIP-15", "state-leaks"),
    "crash-after-calls": FoundBy(requirement="IP-SIP-15", size=50),
    **_plainly("IP-SIP-05", "cancel-no-487", "cancel-unanswered"),
    **_plainly("IP-SIP-16", "cancel-race-leaves-call"),
    **_plainly("IP-SIP-16-G", "glare-gives-up"),
    "glare-too-soon": FoundBy(requirement="IP-SIP-16-G", size=60),
    **_plainly("IP-SIP-07", "hold-as-sendrecv", "held-media-continues", "inactive-as-sendrecv", "resume-silent"),
    "resume-slow": FoundBy(requirement="IP-SIP-07", quantity="resume_media_ms"),
    **_plainly("IP-SIP-06", "prack-missing", "prack-wrong-rack", "ringing-unreliable"),
    **_plainly("IP-SIP-09", "session-timer-ignored", "session-timer-no-retry"),
    **_plainly("IP-SIP-09-R", "session-timer-no-refresh", "session-timer-no-bye"),
    "session-timer-refresh-late": FoundBy(requirement="IP-SIP-09-R", quantity="refresh_s", healthy=45),
    **_plainly("IP-SIP-08-P", "transfer-no-notify", "transfer-result-missing"),
    **_plainly("IP-SIP-08-A", "replaces-ignored"),
    **_plainly("IP-SIP-08", "transfer-failure-drops-call"),
    **_plainly("IP-SIP-10-W", "message-summary-481"),
    **_plainly("IP-SEC-01", "tls-any-certificate", "tls-expired", "tls-wrong-host"),
    **_plainly("IP-SEC-02", "srtp-sent-clear", "srtp-not-mandatory", "srtp-old-key-kept"),
    **_plainly(
        "IP-SEC-02-D", "dtls-fingerprint-unchecked", "dtls-fingerprint-wrong", "dtls-sent-clear", "dtls-unfinished"
    ),
    **_plainly("IP-MED-11", "rtp-marker-always"),
    "rtp-source-changes": FoundBy(requirement="IP-MED-11", size=100),
    "rtp-timestamp-steps": FoundBy(requirement="IP-MED-11", size=8),
    "microphone-quiet": FoundBy(requirement="IP-MED-13", quantity="send_level_error_db"),
    "microphone-loud": FoundBy(requirement="IP-MED-13", quantity="send_level_error_db"),
    "microphone-noisy": FoundBy(requirement="IP-MED-13", quantity="send_noise_percent"),
    "microphone-clips": FoundBy(requirement="IP-MED-13", quantity="send_harmonics_percent", size_of=cut_for_harmonics),
    "microphone-drops": FoundBy(requirement="IP-MED-13", quantity="send_interruption_ms"),
    "echo": FoundBy(requirement="IP-MED-14", quantity="echo_loss_db", size_of=share_for_loss),
    **_at_handset("IP-MED-05", "delay_sum_ms", "microphone-late", "playout-late", healthy=DELAY_MS),
    **_at_handset("IP-MED-16", "receive_level_error_db", "earpiece-quiet"),
    **_at_handset("IP-MED-16", "receive_noise_percent", "earpiece-noisy"),
    **_at_handset("IP-MED-16", "receive_interruption_ms", "earpiece-drops"),
    **_at_handset("IP-MED-16", "receive_harmonics_percent", "earpiece-clips", size_of=cut_for_harmonics),
    **_at_handset("IP-MED-15", None, "playout-silent-after-hold"),
    **_at_handset("IP-MED-18", None, "playout-buffer-short", "playout-gaps"),
    **_at_handset("IP-MED-17", None, "microphone-narrow", "earpiece-narrow"),
    **dict.fromkeys(("microphone-gated", "earpiece-gated"), FoundBy(requirement="IP-MED-06", size=30, profile=HANDSET)),
    **_at_handset("IP-MED-07", None, "playout-crackles"),
    "rtp-sequence-jumps": FoundBy(requirement="IP-MED-11", size=50),
    "rtp-pauses": FoundBy(requirement="IP-MED-11", quantity="gap_ms", healthy=20),
    **_plainly("IP-MED-12", "rtcp-absent", "rtcp-loss-untold", "rtcp-too-often"),
    "rtcp-count-wrong": FoundBy(requirement="IP-MED-12", quantity="rtcp_packets_difference"),
    **_plainly("IP-NET-01", "media-unmarked", "signalling-unmarked"),
    **_plainly("IP-MED-01", "g722-silent"),
    **_plainly("IP-MED-08", "opus-silent", "opus-clock-8000"),
    **_plainly(
        "IP-MED-02",
        "dtmf-digit-lost",
        "dtmf-digit-doubled",
        "dtmf-end-once",
        "dtmf-timestamp-moves",
        "dtmf-marker-missing",
        "dtmf-volume-moves",
        "dtmf-in-band",
    ),
    "dtmf-duration": FoundBy(requirement="IP-MED-02", quantity="duration_error_ms", healthy=-20),
    # Two delays that are evenly spread up to s lie between two packets: their difference spreads by s / sqrt(6).
    "rtp-jitter": FoundBy(requirement="IP-MED-03", quantity="interval_sd_ms", slope=1 / math.sqrt(6)),
    "rtp-loss": FoundBy(requirement="IP-MED-03", size=5),
    "dial-fails-at-times": FoundBy(requirement="IP-LIF-01", size=20, profile=ENDURANCE),
    "rtp-rarely-late": FoundBy(requirement="IP-MED-10", quantity="interval_max_ms", healthy=20, profile=ENDURANCE),
    "audio-clock-slow": FoundBy(requirement="IP-MED-04", quantity="clock_skew_ppm", profile=ENDURANCE),
    "rtp-slow": FoundBy(requirement="IP-MED-03", quantity="interval_mean_deviation_percent"),
}
"""What the reference phone does wrong."""

NOT_SCORED: Mapping[str, str] = {
    "register-no-removal": "shows only when the phone is switched off, and a scoring has no switch for its power",
    **dict.fromkeys(
        ("ring-lamp-dark", "ring-lamp-late", "message-lamp-dark", "message-lamp-late"),
        "shows only to a light program, and the profile that is scored needs none",
    ),
}
"""Defects of the reference phone that no requirement of these profiles can find, and why."""

REFERENCE_LACKS: frozenset[str] = frozenset()


def programme() -> Programme:
    """The programme that the suite is scored by."""
    return next(one for one in shipped_programmes() if one.id == PROGRAMME)


def asked(of: Programme) -> dict[str, Asked]:
    """By profile: every case that one of its requirements with a procedure asks for."""
    return {profile: _asked(of, profile) for profile in (PROFILE, HANDSET, ENDURANCE)}


def _asked(of: Programme, profile: str) -> Asked:
    wanted = {requirement.case for requirement in requirements_in(of, profile)}
    (suite,) = [suite for suite in of.suites if any(case.id in wanted for case in suite.cases)]
    cases = tuple(_shortened(case) for case in suite.cases if case.id in wanted)
    return Asked(programme=of, profile=profile, cases=cases, suite=suite.id, instrument=INSTRUMENT)


def _shortened(case: TestCase) -> TestCase:
    """The cases whose length is a parameter, as long as a seeded defect takes to show."""
    if case.id not in SHORTENED:
        return case
    seconds, parameters = SHORTENED[case.id]
    return case.model_copy(update={"duration_s": seconds, "parameters": {**case.parameters, **parameters}})


def reference(of: Programme) -> Phone:
    """The reference phone of our own."""
    return Phone(
        name=REFERENCE,
        directory=Path(),
        ics=everything(of, lacks=REFERENCE_LACKS),
        found_by=BY_REFERENCE,
        wrong={slug: one.wrong for slug, one in REFERENCE_DEFECTS.items()},
        goldens=goldens_of("ip-phone", REFERENCE, HANDSET, ENDURANCE),
    )


def third_party(directory: Path, of: Programme) -> Phone:
    """A third party's phone program behind the proxy, by its directory of configuration."""
    if not (directory / "accounts").is_file():
        raise BadInput(f"{directory} is no directory of a phone program: it has no file accounts")
    lacks = {"rel100", "codec.opus", "transfer.attended", "dialog-events"}
    clock = SystemClock()
    return Phone(
        name=THIRD_PARTY,
        directory=directory,
        ics=everything(of, lacks=lacks),
        found_by=BY_PROXY,
        wrong={slug: kind(clock).wrong for slug, kind in DEFECTS.items()}
        | {slug: kind.wrong for slug, kind in IMPAIRMENTS.items()},
        goldens=goldens_of("ip-phone", THIRD_PARTY),
    )


def everything(of: Programme, *, lacks: Collection[str]) -> Answers:
    """ICS answers of a phone that has everything that is asked, but for what it lacks."""
    return {
        feature.id: feature.id not in lacks if feature.kind is AnswerKind.YES_NO else feature.choices[0]
        for feature in of.proforma.features
    }


def all_subjects(phones: Mapping[str, Phone], of: Programme, *, healthy: int) -> tuple[Subject, ...]:
    """Every phone with each of its defects, and ``healthy`` times without in each profile of its golden verdicts.

    In profile ``endurance`` once: it takes twenty minutes.
    """
    return tuple(
        subject
        for phone in phones.values()
        for subject in (
            *subjects(phone.name, phone.found_by, of, INSTRUMENT),
            *[
                Subject(phone=phone.name, profile=profile)
                for profile in phone.goldens
                for _ in range(min(healthy, 1) if profile == ENDURANCE else healthy)
            ],
        )
    )
