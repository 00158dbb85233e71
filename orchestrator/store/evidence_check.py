"""That the evidence of every certificate that can still hold is there as it was certified. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from lab_inventory.messages import CaseEnded
from orchestrator.pipeline.certificate_life import ENDED
from orchestrator.store import certificate_views, views
from orchestrator.store import tables as t
from orchestrator.store.artifacts import Artifacts


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A file of a certificate that is ``missing``, or else has another content; ``names``: what reports call it."""

    certificate: str
    address: str
    names: tuple[str, ...]
    missing: bool


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A certificate, how many files it names, and those that are not as they were."""

    certificate: str
    files: int
    lacks: tuple[Lack, ...]


def checked(connection: Connection, artifacts: Artifacts) -> Iterator[Checked]:
    """Each certificate that is not withdrawn or revoked for ever, by name; every file of it is read to its end."""
    c = t.certificates.c
    for name in connection.execute(select(c.certificate).where(c.state.not_in(sorted(ENDED))).order_by(c.certificate)):
        view = certificate_views.certificate(connection, name.certificate)
        if view is not None:
            named = _names(connection, view.certificate.submission)
            lacks = tuple(
                Lack(
                    certificate=name.certificate,
                    address=address,
                    names=tuple(sorted(named.get(address, ()))),
                    missing=not artifacts.has(address),
                )
                for address in view.certificate.evidence
                if not artifacts.is_whole(address)
            )
            yield Checked(certificate=name.certificate, files=len(view.certificate.evidence), lacks=lacks)


def _names(connection: Connection, submission: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    recorded = views.submission(connection, submission)
    for report in recorded.reports if recorded else ():
        body = report.report.body
        if isinstance(body, CaseEnded):
            for file in body.evidence:
                found.setdefault(file.digest, set()).add(f"{file.name} of {body.case}")
    return found
