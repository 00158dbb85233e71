"""Transfers: Refer-To, Replaces and the NOTIFYs of a referral (RFC 3515, RFC 3891, RFC 5589).

The values are pure; ``tell_progress`` sends what the referred side owes the one that referred it.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from agents.instruments.dialog import Dialog
from agents.instruments.sip_answers import REASONS
from agents.instruments.sip_message import MalformedMessage, Request
from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.sip_values import header

_FRAG = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9]{2})\b")


@dataclass(frozen=True, kw_only=True)
class Replaces:
    """A dialog as its name stands in Replaces: the tags are those of who is asked to replace it (RFC 3891, 3)."""

    call_id: str
    to_tag: str
    from_tag: str

    def value(self) -> str:
        """The header's value."""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}"


@dataclass(frozen=True, kw_only=True)
class ReferTo:
    """Where a call is sent: the URI without its headers, and the dialog that it takes over."""

    uri: str
    replaces: Replaces | None


def refer_to(request: Request) -> ReferTo:
    """Refer-To of a REFER. Raises MalformedMessage where there is not exactly one, or its Replaces cannot be read."""
    if len(request.get_all("Refer-To")) != 1:
        raise MalformedMessage(
            f"REFER has {len(request.get_all('Refer-To'))} Refer-To, exactly one is due (RFC 3515, 2.4.1)"
        )
    value = header(request, "Refer-To")
    bracketed = re.search(r"<([^>]*)>", value)
    uri, _, query = (bracketed[1] if bracketed else value.split(";")[0].strip()).partition("?")
    fields = (field.partition("=") for field in query.split("&") if field)
    named = {unquote(name).lower(): unquote(text) for name, _, text in fields}
    return ReferTo(uri=uri, replaces=parse_replaces(named["replaces"]) if "replaces" in named else None)


def parse_replaces(value: str) -> Replaces:
    """Read a Replaces value. Raises MalformedMessage."""
    leg, *parameters = (part.strip() for part in value.split(";"))
    tags = {name.strip().lower(): text.strip() for name, _, text in (part.partition("=") for part in parameters)}
    if not leg or not tags.get("to-tag") or not tags.get("from-tag"):
        raise MalformedMessage("Replaces is not a Call-ID with to-tag and from-tag (RFC 3891, 6.1)")
    return Replaces(call_id=leg, to_tag=tags["to-tag"], from_tag=tags["from-tag"])


def refer_to_value(uri: str, replaces: Replaces | None = None) -> str:
    """The value of a Refer-To header."""
    return f"<{uri}?Replaces={quote(replaces.value(), safe='')}>" if replaces else f"<{uri}>"


def progress_of(notify: Request) -> int | None:
    """The status in the message/sipfrag of a NOTIFY (RFC 3515, 2.4.5); None where there is none."""
    match = _FRAG.match(notify.body)
    return int(match[1]) if match else None


def tell_progress(dialog: Dialog, status: int) -> ClientTransaction:
    """NOTIFY the phone that referred us how the new call goes; a final status ends the subscription."""
    state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
    headers = [
        ("Contact", dialog.contact),
        ("Event", "refer"),
        ("Subscription-State", state),
        ("Content-Type", "message/sipfrag;version=2.0"),
    ]
    return dialog.send("NOTIFY", headers, f"SIP/2.0 {status} {REASONS[status]}\r\n".encode())
