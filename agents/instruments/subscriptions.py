"""Subscriptions of a phone: takes its SUBSCRIBE, answers it, and notifies it (RFC 6665).

Gives each subscription, on which a procedure sends the NOTIFY that it wants to see answered. It knows the packages that
an office phone asks for: waiting messages (RFC 3842), dialogs (RFC 4235) and presence (RFC 3856).
"""

import re
from collections.abc import Sequence

from agents.instruments.arrivals import Arrivals
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_endpoint import ALLOW, SipEndpoint
from agents.instruments.sip_message import MalformedMessage
from agents.instruments.sip_transactions import ClientTransaction, ServerTransaction
from agents.instruments.sip_values import address, call_id

SUBSCRIPTIONS_MAX = 256
EXPIRES_S_MAX = 3600
PACKAGES = ("message-summary", "dialog", "presence")
_SECONDS = re.compile(r"[0-9]{1,9}")


def event_package(value: str | None) -> str:
    """The package in an Event header, without its parameters; empty where there is none."""
    return (value or "").split(";")[0].strip().lower()


class Subscription:
    """One subscription of the phone. ``expires_s`` is what was granted last; 0 says that the phone has ended it."""

    def __init__(self, endpoint: SipEndpoint, first: ServerTransaction) -> None:
        request = first.request
        self._endpoint = endpoint
        self._peer = first.received.peer
        try:
            self._target = str(address(request, "Contact").uri)
        except MalformedMessage:  # judged by who looks at the SUBSCRIBE; it is answered so that it can be
            self._target = str(address(request, "From").uri)
        self._tag = endpoint.clock.new_id("s")
        self._local = f"{request.get('To')};tag={self._tag}"
        self._remote = request.get("From") or ""
        self._event = request.get("Event") or ""
        self._call_id = call_id(request)
        self._number = 0
        self.package = event_package(self._event)
        self.expires_s = 0
        self.requests: Arrivals[ServerTransaction] = Arrivals(most=SUBSCRIPTIONS_MAX)
        self.on_request(first)

    def on_request(self, transaction: ServerTransaction) -> None:
        """A SUBSCRIBE begins, refreshes or ends it; each is followed by a NOTIFY (RFC 6665, 4.2.1.2)."""
        self.requests.add(transaction)
        if transaction.request.method != "SUBSCRIBE":
            self._answer(transaction, 405, [("Allow", ALLOW)])
            return
        if self.package not in PACKAGES:
            self._answer(transaction, 489, [("Allow-Events", ", ".join(PACKAGES))])
            return
        asked = transaction.request.get("Expires") or ""
        self.expires_s = min(int(asked), EXPIRES_S_MAX) if _SECONDS.fullmatch(asked) else EXPIRES_S_MAX
        host, port = self._endpoint.address
        headers = [("Contact", f"<sip:bench@{host}:{port}>"), ("Expires", str(self.expires_s))]
        self._answer(transaction, 200, headers)
        if self.package == "message-summary":
            self.notify(*message_summary(waiting=0))
        else:
            self.notify("", b"")

    def notify(self, content_type: str, body: bytes) -> ClientTransaction:
        """Send a NOTIFY with this state."""
        host, port = self._endpoint.address
        self._number += 1
        state = f"active;expires={self.expires_s}" if self.expires_s else "terminated;reason=timeout"
        headers = [
            ("Via", self._endpoint.via()),
            ("Max-Forwards", "70"),
            ("From", self._local),
            ("To", self._remote),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} NOTIFY"),
            ("Contact", f"<sip:bench@{host}:{port}>"),
            ("Event", self._event),
            ("Subscription-State", state),
            *([("Content-Type", content_type)] if body else []),
        ]
        return self._endpoint.send_request("NOTIFY", self._target, headers, peer=self._peer, body=body)

    def _answer(self, transaction: ServerTransaction, status: int, headers: Sequence[tuple[str, str]]) -> None:
        transaction.respond(status, answer_to(transaction.received, status, to_tag=self._tag, headers=headers))


class Notifier:
    """Takes every new subscription at an endpoint; ``subscriptions`` are those that came, the refused ones too."""

    def __init__(self, endpoint: SipEndpoint) -> None:
        self._endpoint = endpoint
        self.subscriptions: Arrivals[Subscription] = Arrivals(most=SUBSCRIPTIONS_MAX)
        endpoint.on_subscribe = self.take

    def take(self, transaction: ServerTransaction) -> Subscription:
        """Begin the subscription that this SUBSCRIBE asks for."""
        subscription = Subscription(self._endpoint, transaction)
        self.subscriptions.add(subscription)
        return subscription

    def live(self, package: str) -> Subscription | None:
        """The newest subscription to a package that the phone has not ended."""
        found = [one for one in self.subscriptions.all() if one.package == package and one.expires_s]
        return found[-1] if found else None


def message_summary(*, waiting: int) -> tuple[str, bytes]:
    """Content type and body that say how many new voice messages wait (RFC 3842, 5.2)."""
    lines = (f"Messages-Waiting: {'yes' if waiting else 'no'}", f"Voice-Message: {waiting}/0 (0/0)")
    return "application/simple-message-summary", "".join(f"{line}\r\n" for line in lines).encode()
