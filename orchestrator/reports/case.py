"""A case for those who look at one: its limits as they came out, its ladder, and its reproduction pack. Pure.

The limits are held against this very repeat, so that what stands here may be less than the verdict of its requirement,
which is that of the worst repeat of the last attempt.
"""

from collections.abc import Iterator, Mapping

from lab_inventory.errors import BadInput
from lab_inventory.evidence.ladder import Ladder, ladder
from lab_inventory.evidence.ladder_svg import ladder_svg
from lab_inventory.evidence.ladder_text import ladder_text
from lab_inventory.evidence.lines import RTP_PACKETS, SIP_MESSAGES, Lines, RtpStream, read_rtp, read_sip
from lab_inventory.evidence.pack import NOTICE, HeldAgainst, Reproduction, evidence_path, write_pack
from lab_inventory.evidence.rtp_time_line import TimeLine, read_rtp_packets, time_lines
from lab_inventory.evidence.sound_pictures import SOUNDS_DRAWN_MAX, pictures
from lab_inventory.evidence.wav import MEDIA_TYPE as WAV
from lab_inventory.measurement import Evidence, Limit, Measurement
from lab_inventory.messages import CaseEnded, CaseStatus
from lab_inventory.outcome import limit_in_words, outcome, stall_budget, value_in_words
from lab_inventory.programme import Check, DecisionRule, Requirement
from orchestrator.lifecycle.recorded_case import CaseView

DRAWN_BYTES_MAX = 20_000_000
"""A file of lines that is larger is not drawn; it can be downloaded."""
SOUND_BYTES_MAX = 6_000_000
"""A minute at 48 kHz; a longer recording is neither drawn nor played in the page; it can be downloaded."""

ENDINGS = {"application/jsonl": "jsonl", "application/x-pcapng": "pcapng", WAV: "wav", "text/plain": "txt"}


def held_against(view: CaseView) -> tuple[HeldAgainst, ...]:
    """Every limit of every level that this repeat's measurements are held against, in the programme's order."""
    if view.ended.status is not CaseStatus.MEASURED:
        return ()
    measured = {one.quantity: one for one in view.ended.measurements}
    rules = {level.id: level.rule for level in view.programme.levels}
    return tuple(
        one
        for requirement in view.programme.requirements
        if requirement.case == view.ended.case
        for check in requirement.checks
        if check.quantity in measured
        for one in _of_check(requirement, check, measured[check.quantity], rules)
    )


def _of_check(
    requirement: Requirement, check: Check, measurement: Measurement, rules: Mapping[str, DecisionRule]
) -> Iterator[HeldAgainst]:
    for level, limit in check.limits.items():
        came = outcome(measurement, check, limit, rules[level])
        yield HeldAgainst(
            requirement=requirement.id,
            title=requirement.title,
            level=level,
            rule=rules[level].value,
            quantity=check.quantity,
            unit=check.unit,
            limit=Limit(min=limit.min, max=limit.max, equals=limit.equals),
            source=limit.source.text,
            verdict=came.verdict.value,
            words=came.words[:8000],
        )


def case_ladder(view: CaseView, files: Mapping[str, bytes]) -> Ladder | None:
    """The ladder of the case; ``files``: what was kept, by digest. None where no messages were kept or can be drawn."""
    sip = _kept(view.ended, SIP_MESSAGES, files)
    if not sip:
        return None
    messages = read_sip(sip)
    rtp = _kept(view.ended, RTP_PACKETS, files)
    streams = read_rtp(rtp) if rtp else Lines[RtpStream](lines=())
    title = f"{view.ended.case} of {view.run}, repeat {view.ended.repeat}"
    return ladder(title, messages.lines, streams.lines, messages.unreadable + streams.unreadable)


def to_be_drawn(ended: CaseEnded) -> tuple[Evidence, ...]:
    """The files that a ladder is made of."""
    ends = (SIP_MESSAGES, RTP_PACKETS)
    return tuple(one for one in ended.evidence if one.name.endswith(ends) and one.size_bytes <= DRAWN_BYTES_MAX)


def case_time_lines(view: CaseView, files: Mapping[str, bytes]) -> tuple[TimeLine, ...]:
    """When the packets of each source came; ``files``: what was kept, by digest."""
    rtp = _kept(view.ended, RTP_PACKETS, files)
    return time_lines(read_rtp_packets(rtp).lines) if rtp else ()


def sounds(ended: CaseEnded) -> tuple[Evidence, ...]:
    """The recordings of the case that are drawn and played."""
    found = [one for one in ended.evidence if one.media_type == WAV and one.size_bytes <= SOUND_BYTES_MAX]
    return tuple(found[:SOUNDS_DRAWN_MAX])


def file_name(view: CaseView, evidence: Evidence) -> str:
    """A name for a download, of letters, digits and ``. _ -``; the ending says what opens it."""
    words = f"{view.run} {evidence.name} {view.ended.repeat}"
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in words)
    return f"{plain}.{ENDINGS.get(evidence.media_type, 'bin')}"


def pack(view: CaseView, files: Mapping[str, bytes]) -> bytes:
    """The reproduction pack; ``files``: the evidence that is here, by digest. Raises BadInput, TooLarge."""
    case = view.programme.case(view.ended.case)
    if case is None or view.ended.status is not CaseStatus.MEASURED:
        status = view.ended.status.value
        raise BadInput(f"{view.ended.case} of {view.run} came out as {status}; expected a case that was measured")
    programme, content, unit = view.programme, view.content, view.registration
    made = Reproduction(
        run=view.run,
        attempt=view.attempt,
        submission=view.submission,
        repeat=view.ended.repeat,
        programme=programme.id,
        programme_version=programme.version,
        programme_digest=programme.digest,
        profile=content.profile,
        category=programme.category,
        suite=view.suite,
        suite_version=view.suite_version or "unknown",
        case=case,
        opened_with=tuple(one for name in view.cases if (one := programme.case(name)) is not None),
        stall_budget=stall_budget(programme).get(case.id, {}),
        product=content.product,
        hardware_revision=content.hardware_revision,
        mode=content.mode,
        user_agent=view.user_agent,
        driver=unit.driver if unit else None,
        ics=content.ics,
        ixit=programme.proforma.with_defaults(content.ixit),
        ended=view.ended,
        limits=held_against(view),
    )
    inside = {evidence_path(one): files[one.digest] for one in view.ended.evidence if one.digest in files}
    drawn = case_ladder(view, files)
    if drawn is not None:
        inside |= {"ladder.txt": ladder_text(drawn).encode(), "ladder.svg": ladder_svg(drawn, alone=True).encode()}
    recorded = {one.name: files[one.digest] for one in sounds(view.ended) if one.digest in files}
    inside |= pictures(recorded, _kept(view.ended, RTP_PACKETS, files))
    missing = [one for one in view.ended.evidence if one.digest not in files]
    return write_pack(made, {"README.md": _readme(made, missing).encode(), **inside})


def _kept(ended: CaseEnded, ending: str, files: Mapping[str, bytes]) -> bytes:
    named = (one.digest for one in to_be_drawn(ended) if one.name.endswith(ending))
    return next((files[digest] for digest in named if digest in files), b"")


def _readme(made: Reproduction, missing: list[Evidence]) -> str:
    measured = [_value(measurement) for measurement in made.ended.measurements]
    limits = [
        f"- {one.requirement}, level {one.level}: {one.quantity} {limit_in_words(one.limit, one.unit)} "
        f"({one.source}): {one.verdict}"
        for one in made.limits
    ]
    files = [f"- {evidence_path(one)}: {one.name}, {one.media_type}, {one.digest}" for one in made.ended.evidence]
    lacks = [f"- {one.name} ({one.digest}) is not in the lab's store any more" for one in missing]
    return "\n".join(
        [
            f"# {NOTICE}",
            "",
            f"{made.case.id} ({made.case.title}), repeat {made.repeat} of run {made.run}, attempt {made.attempt}, "
            f"as it was measured on {made.product.maker} {made.product.model} {made.product.firmware}, "
            f"hardware {made.hardware_revision}.",
            f"Programme {made.programme} {made.programme_version} ({made.programme_digest}), profile {made.profile}, "
            f"suite version {made.suite_version}, procedure {made.case.procedure} "
            f"(method version {made.case.method_version}).",
            "",
            "This file is for finding a fault. Whatever comes of it is no verdict, and nobody is certified by it.",
            "Passwords and keys are not in it: credentials in messages are masked with as many bytes.",
            "",
            "## Do it again",
            "",
            "With the agent of Assay on a machine that the phone can reach, let the phone register there and run",
            "",
            "    assay-agent repro PACK.zip --registrar HOST:PORT --user USER --driver DRIVER --control HOST:PORT",
            "",
            "The phone's SIP password is read from standard input, or from ASSAY_REPRO_PASSWORD.",
            "",
            "## What the lab measured",
            "",
            *measured,
            "",
            "## What it was held against",
            "",
            *limits,
            "",
            "## Evidence",
            "",
            *files,
            *lacks,
            "",
        ]
    )


def _value(measurement: Measurement) -> str:
    words = "no value" if measurement.value is None else value_in_words(measurement.value, measurement.unit)
    return f"- {measurement.quantity}: {words}" + (f" ({measurement.note})" if measurement.note else "")
