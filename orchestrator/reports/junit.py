"""A judgement as JUnit XML, as build servers read it: a suite for each level, a case for each requirement. Pure.

A device's fail is a failure, what the lab has to answer for is an error, what does not apply is skipped. The first case
of each suite is the level itself, and says exactly whether it is met, also where a requirement passes only unstably or
too near to its limit. A requirement that is waived stays the failure or the error that it is, with the waiver in its
words: a build that is to go on with it must know that it does.
"""

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lab_inventory.programme import Programme
from orchestrator.lifecycle.batch import Submission
from orchestrator.lifecycle.verdict import Judgement, LevelVerdict, RequirementVerdict, Verdict
from orchestrator.pipeline.certify import DEMONSTRATION_NOTICE

_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "error",
    Verdict.NOT_RUN: "error",
    Verdict.NOT_APPLICABLE: "skipped",
}
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (5th edition, 2.2) cannot hold."""


def junit(judgement: Judgement, content: Submission, programme: Programme) -> bytes:
    """The whole judgement of a submission under the programme it was judged by."""
    root = Element("testsuites", name=_text(content.title))
    for level in judgement.levels:
        _suite(root, level, judgement, content, programme)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: Element, level: LevelVerdict, judgement: Judgement, content: Submission, programme: Programme) -> None:
    of = f"{judgement.programme}.{level.level}"
    suite = SubElement(root, "testsuite", name=of)
    properties = SubElement(suite, "properties")
    for name, value in _said_of_all(judgement, content, programme):
        SubElement(properties, "property", name=name, value=_text(value))
    itself = SubElement(suite, "testcase", classname=of, name=_text(f"level {level.title}"))
    if not level.met:
        SubElement(itself, "failure", type="not-met", message=_text(level.words))
    elif any(requirement.waiver for requirement in level.requirements):
        SubElement(itself, "system-out").text = _text(level.words)
    for requirement in level.requirements:
        _case(suite, of, requirement)
    suite.set("tests", str(len(suite.findall("testcase"))))
    for count, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{element}"))))


def _case(suite: Element, of: str, requirement: RequirementVerdict) -> None:
    case = SubElement(suite, "testcase", classname=of, name=_text(f"{requirement.requirement} {requirement.title}"))
    element = _ELEMENTS.get(requirement.verdict)
    if element is not None:
        SubElement(case, element, type=requirement.verdict.value, message=_text(requirement.words))
    grounds = [f"{ground.verdict}: {ground.words}" for ground in requirement.grounds]
    flags = [f"flags: {' '.join(requirement.flags)}"] if requirement.flags else []
    waiver = [requirement.waiver.words] if requirement.waiver else []
    if grounds or flags:
        SubElement(case, "system-out").text = _text("\n".join(flags + waiver + grounds))


def _said_of_all(judgement: Judgement, content: Submission, programme: Programme) -> list[tuple[str, str]]:
    product = content.product
    profile = programme.profile(judgement.profile)
    said = [("notice", DEMONSTRATION_NOTICE)] if programme.demonstration else []
    said += [
        ("submission", judgement.submission),
        ("vendor", content.vendor),
        ("product", f"{product.maker} {product.model}"),
        ("firmware", product.firmware),
        ("hardware revision", content.hardware_revision),
        ("mode", content.mode),
        ("programme", f"{judgement.programme} {judgement.programme_version}"),
        ("programme digest", judgement.programme_digest),
        ("profile", judgement.profile),
        ("does not cover", profile.does_not_cover if profile else ""),
        ("level earned", judgement.earned or "none"),
        ("evidence digest", judgement.evidence_digest),
        ("runs", " ".join(judgement.runs)),
    ]
    return said


def _text(given: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", given)
