"""``assay verify``: needs no server and no network."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from lab_inventory.canonical import canonical_bytes, sha256
from lab_inventory.clock import SystemClock
from lab_inventory.errors import BadInput
from orchestrator.cli.client import Client, Output
from orchestrator.lifecycle.certificate import Certificate, WaivedRequirement
from orchestrator.signing import read_issuer, read_trust
from orchestrator.verifying import CERTIFICATE_BYTES_MAX, Verification, with_status
from orchestrator.verifying import verify as verify_document


def verify(
    file: Annotated[Path, typer.Argument(help="A certificate file.")],
    issuer: Annotated[Path | None, typer.Option(help="The issuer file of whom you trust.")] = None,
    trust: Annotated[Path | None, typer.Option(help="The trust file.", envvar="ASSAY_TRUST")] = None,
    status_list: Annotated[
        str | None, typer.Option(help="A status list: a file, or https://SERVER/v1/status-list to fetch it.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the issuer changed its key: key links, or https://SERVER/v1/keys; files or addresses."
        ),
    ] = None,
    output: Output = "table",
) -> None:
    """Verify a certificate, and with a status list that it is in force.

    Status 0: valid; 1: changed or forged; 2: not readable; 3: intact, issuer unknown; 4: not in force; 5: whether it is
    in force cannot be told.
    """
    try:
        with file.open("rb") as source:
            data = source.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
    links = [link for where in keys or () for link in _key_links(where, _document(where))]
    named = read_issuer(issuer) if issuer else None
    found = verify_document(data, named=named, trusted=read_trust(trust or _trust_file()), links=links)
    if status_list is not None:
        found = with_status(found, sha256(data), _document(status_list), SystemClock().now())
    if output == "json":
        content = found.certificate.model_dump(mode="json") if found.certificate else None
        typer.echo(json.dumps({"finding": found.finding.name, "words": found.words, "certificate": content}, indent=2))
    else:
        typer.echo("\n".join(_words(found, checked=status_list is not None)))
    raise typer.Exit(int(found.finding))


def _words(found: Verification, *, checked: bool) -> list[str]:
    certificate = found.certificate
    lines: list[str] = []
    if certificate and certificate.notice:
        lines.append(certificate.notice)
    lines += found.words
    if certificate:
        product = certificate.product
        lines += [
            f"It says: {product.maker} {product.model} {product.firmware}, hardware {certificate.hardware_revision}, "
            f"mode {certificate.mode}",
            f"  meets the level {certificate.level_title} of {certificate.programme} {certificate.programme_version}, "
            f"profile {certificate.profile}",
            f"  covers: {certificate.profile_covers}",
            f"  does not cover: {certificate.profile_does_not_cover}",
            *(f"  without {_waived(one)}" for one in certificate.waived),
            f"  granted {certificate.granted_at:%Y-%m-%d %H:%M:%S} UTC by {certificate.issuer}, "
            f"decided: {certificate.decided_by}",
            *_provisionally(certificate),
            "Not checked here: the evidence behind its digests"
            + ("." if checked else ", and whether it is in force (--status-list)."),
        ]
    return lines


def _waived(one: WaivedRequirement) -> str:
    came_to = " ".join([one.verdict, *one.flags])
    of = f"{one.requirement} {one.title} at {one.level} ({came_to})"
    return f"{of}, waived by {one.waiver} until {one.ends_on}: {one.reason}"


def _provisionally(certificate: Certificate) -> list[str]:
    given = certificate.provisional
    if given is None:
        return []
    return [f"  granted PROVISIONALLY, up to and including {given.ends_on}; open then: {given.conditions}"]


def _key_links(where: str, data: bytes) -> list[bytes]:
    """The key links of a file that is one, or of a list of keys."""
    try:
        document = json.loads(data)
        if "key_link" in document:
            return [data]
        return [canonical_bytes(key["link"]) for key in document["keys"] if key["link"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(f"{where}: is neither a key link nor a list of keys of Assay") from error


def _document(where: str) -> bytes:
    if "://" not in where:
        try:
            return Path(where).read_bytes()
        except OSError as error:
            raise BadInput(f"{where}: cannot be read: {error.strerror}") from error
    address, _, path = where.partition("/v1/")
    return Client(address, token="").document(f"/v1/{path}")


def _trust_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "assay" / "trust.json"
