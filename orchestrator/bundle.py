"""The bundle of a certificate: a zip by which a third party verifies it without this software. Pure.

certificate.json     the signed certificate
link-001.json …      what became of it, each signed
status-list.json     what holds now of every certificate of the issuer, signed
issuer.json          the issuer's public key; to be compared with what the issuer publishes
key-link-001.json …  each change of that key, signed with the key before it; none where there was only ever one
judgement.json       every verdict with its grounds: what the certificate's judgement_digest is of
evidence.json        every file that the judgement rests on: its digest, and what it is
VERIFY.md            how, step by step
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from lab_inventory.canonical import canonical_bytes
from lab_inventory.measurement import Evidence
from lab_inventory.messages import CaseEnded, RunReport

_WRITTEN = (2000, 1, 1, 0, 0, 0)
"""The same content gives the same bytes: the members of the zip carry no time."""


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """What goes into a bundle. ``reports``: all of the submission; ``evidence``: what the certificate names;
    ``by_hand``: the files that people added to what they measured, each with its requirement.
    """

    certificate: str
    links: Sequence[str]
    status_list: str
    issuer: str
    key_links: Sequence[str]
    judgement: bytes
    reports: Sequence[RunReport]
    evidence: Sequence[str]
    by_hand: Sequence[tuple[str, Evidence]] = ()


def bundle(given: Bundled) -> bytes:
    """The zip."""
    members = {
        "certificate.json": given.certificate.encode(),
        **{f"link-{number:03}.json": link.encode() for number, link in enumerate(given.links, start=1)},
        "status-list.json": given.status_list.encode(),
        "issuer.json": given.issuer.encode(),
        **{f"key-link-{number:03}.json": link.encode() for number, link in enumerate(given.key_links, start=1)},
        "judgement.json": given.judgement,
        "evidence.json": canonical_bytes(_evidence(given)),
        "VERIFY.md": (resources.files("orchestrator") / "VERIFY.md").read_bytes(),
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _WRITTEN), data, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _evidence(given: Bundled) -> list[dict[str, str | int]]:
    """Each file that the certificate names, in its order, with what the reports and people say of it."""
    said: dict[str, dict[str, str | int]] = {}
    for report in given.reports:
        if isinstance(report.body, CaseEnded):
            for file in report.body.evidence:
                said[file.digest] = {
                    "case": report.body.case,
                    "name": file.name,
                    "media_type": file.media_type,
                    "size_bytes": file.size_bytes,
                }
    for requirement, file in given.by_hand:
        said[file.digest] = {
            "requirement": requirement,
            "name": file.name,
            "media_type": file.media_type,
            "size_bytes": file.size_bytes,
        }
    return [{"digest": address, **said.get(address, {})} for address in given.evidence]
