"""The score of the suite for IP phones: its phones, their defects, and the requirement that must find each. Data."""

from collections.abc import Collection, Mapping
from pathlib import Path

from agents.score.one_run import Asked
from agents.score.scoring import Phone, golden_of
from agents.score.seeded import FoundBy, Subject, subjects
from agents.score.verdicts import requirements_in
from agents.simulated.defects import DEFECTS
from agents.simulated.reference_phone.defects import DEFECTS as REFERENCE_DEFECTS
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from lab_inventory.ics import AnswerKind, Answers
from lab_inventory.lab import Calibration, Instrument
from lab_inventory.measurement import Unit
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes

PROGRAMME = "skype-for-business.ip-phone"
PROFILE = "digital"
REFERENCE = "reference"
THIRD_PARTY = "baresip"
INSTRUMENT = Instrument(
    name="sip-endpoint",
    kind="sip-rtp",
    calibration=Calibration(method="checks itself in a loop before each run"),
    uncertainty={Unit.MILLISECOND: 0.5, Unit.PERCENT: 0.1, Unit.RATIO: 0.001},
)

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
}
"""What the proxy before a third-party phone does wrong."""


BY_REFERENCE: Mapping[str, FoundBy] = {}
"""What the reference phone does wrong."""

REFERENCE_LACKS: frozenset[str] = frozenset({"codec.opus"})


def programme() -> Programme:
    """The programme that the suite is scored by."""
    return next(one for one in shipped_programmes() if one.id == PROGRAMME)


def asked(of: Programme) -> Asked:
    """Every case of the profile that a requirement with a procedure asks for."""
    wanted = {requirement.case for requirement in requirements_in(of, PROFILE)}
    (suite,) = [suite for suite in of.suites if any(case.id in wanted for case in suite.cases)]
    cases = tuple(case for case in suite.cases if case.id in wanted)
    return Asked(programme=of, profile=PROFILE, cases=cases, suite=suite.id, instrument=INSTRUMENT)


def reference(of: Programme) -> Phone:
    """The reference phone of our own."""
    return Phone(
        name=REFERENCE,
        directory=Path(),
        ics=everything(of, lacks=REFERENCE_LACKS),
        found_by=BY_REFERENCE,
        wrong={slug: one.wrong for slug, one in REFERENCE_DEFECTS.items()},
        golden=golden_of("ip-phone", REFERENCE),
    )


def third_party(directory: Path, of: Programme) -> Phone:
    """A third party's phone program behind the proxy, by its directory of configuration."""
    if not (directory / "accounts").is_file():
        raise BadInput(f"{directory} is no directory of a phone program: it has no file accounts")
    lacks = {"rel100", "codec.opus"}
    clock = SystemClock()
    return Phone(
        name=THIRD_PARTY,
        directory=directory,
        ics=everything(of, lacks=lacks),
        found_by=BY_PROXY,
        wrong={slug: kind(clock).wrong for slug, kind in DEFECTS.items()},
        golden=golden_of("ip-phone", THIRD_PARTY),
    )


def everything(of: Programme, *, lacks: Collection[str]) -> Answers:
    """ICS answers of a phone that has everything that is asked, but for what it lacks."""
    return {
        feature.id: feature.id not in lacks if feature.kind is AnswerKind.YES_NO else feature.choices[0]
        for feature in of.proforma.features
    }


def all_subjects(phones: Mapping[str, Phone], of: Programme, *, healthy: int) -> tuple[Subject, ...]:
    """Every phone with each of its defects, and ``healthy`` times without."""
    return tuple(
        subject
        for phone in phones.values()
        for subject in (
            *subjects(phone.name, phone.found_by, of, INSTRUMENT),
            *[Subject(phone=phone.name)] * healthy,
        )
    )
