"""One dialog (RFC 3261, 12): its identity, the numbers of its requests, and where they go. Builds, sends nothing."""

from dataclasses import dataclass, field

from agents.simulated.reference_phone.addresses import address, addresses, cseq, sip_uri, tag
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.message import Message, request


@dataclass(kw_only=True)
class Dialog:
    """Local and remote side of one call. ``local`` and ``remote`` are From and To as the phone sends them."""

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    target: str
    behaviour: Behaviour
    user_agent: str
    contact: str
    caller: bool
    routes: tuple[str, ...] = ()
    local_number: int = 0
    remote_number: int = field(default=-1)

    def request(self, method: str, *headers: tuple[str, str], body: bytes = b"", number: int | None = None) -> Message:
        """The next request of this side; ``number`` for an ACK or a CANCEL."""
        if number is None:
            self.local_number += self.behaviour.cseq_step if self.local_number else 1
        call_id = self.call_id
        if method == "BYE" and not self.behaviour.bye_call_id_right:
            call_id = f"x{call_id}"
        own = [("Max-Forwards", "70")] if self.behaviour.max_forwards else []
        own += [("Route", route) for route in self.routes]
        own += [("From", self.local), ("To", self.remote), ("Call-ID", call_id)]
        own += [("CSeq", f"{self.local_number if number is None else number} {method}")]
        if method in {"INVITE", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE"}:
            own.append(("Contact", self.contact))
        own.append(("User-Agent", self.user_agent))
        return request(method, self.target, [*own, *headers], body)

    @property
    def next_uri(self) -> str:
        """Whom a request goes to: the first route, else the target (12.2.1.1, loose routers only)."""
        return addresses(self.routes)[0].uri if self.routes else self.target

    def learn(self, message: Message) -> None:
        """Take tag, target and route of an answer to the phone's INVITE; raises Unreadable."""
        self.remote, self.remote_tag = message.get("To"), tag(message, "To")
        self.routes = tuple(reversed(message.all("Record-Route")))
        self.refresh_target(message)

    def refresh_target(self, message: Message) -> None:
        """A Contact in an INVITE, an UPDATE or their answers moves the target (12.2.1.2); raises Unreadable."""
        if message.has("Contact"):
            uri = address(message, "Contact").uri
            sip_uri(uri)
            self.target = uri

    def is_in_order(self, message: Message) -> bool:
        """Whether a request of the other side has a higher number than those before (12.2.2); raises Unreadable."""
        number, _ = cseq(message)
        if number <= self.remote_number:
            return False
        self.remote_number = number
        return True

    def fits(self, message: Message) -> bool:
        """Whether a request belongs here; raises Unreadable."""
        theirs = (message.get("Call-ID"), tag(message, "To"), tag(message, "From"))
        return theirs == (self.call_id, self.local_tag, self.remote_tag)
