"""The registrar of one slot: answers REGISTER, keeps bindings and a record of every one. Does no IO.

Takes a received REGISTER, gives the bytes of the answer; whoever owns the socket sends them. The bench chooses the
expiry it grants, which may be shorter than the one asked for (RFC 3261, 10.3, step 7).
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sipmessage import Address

from agents.instruments.arrivals import Arrivals
from agents.instruments.digest import Account, Algorithm, Challenger, DigestVerdict
from agents.instruments.packets import Peer
from agents.instruments.sip_answers import answer_to
from agents.instruments.sip_message import MalformedMessage, Request
from agents.instruments.sip_transport import Received
from agents.instruments.sip_values import call_id, contacts, cseq, parameter
from lab_inventory.clock import Clock, boottime_ns

RECORDS_MAX = 10_000
CONTACTS_MAX = 8
EXPIRES_DEFAULT_S = 3600
_SECONDS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Where a phone can be reached: the URI of its Contact, who sent it, what it calls itself, until when it holds."""

    uri: str
    instance: str | None
    peer: Peer
    user_agent: str
    registered_ns: int
    expires_ns: int


@dataclass(frozen=True, kw_only=True)
class RegisterRecord:
    """One REGISTER and how it was answered; what the phone did not send is None.

    ``contact`` is the header as sent, ``instance`` the value of its ``+sip.instance``; ``expires_granted_s`` is None
    unless the answer was 200, and 0 when a binding was taken away.
    """

    at_ns: int
    peer: Peer
    call_id: str
    cseq: int
    contact: str | None
    instance: str | None
    user_agent: str
    expires_asked_s: int | None
    expires_granted_s: int | None
    verdict: DigestVerdict
    reason: str
    nonce: str | None
    nonce_count: int | None
    status: int
    algorithm: Algorithm | None = None

    @property
    def removes(self) -> bool:
        """Whether this REGISTER took a binding away (RFC 3261, 10.2.2)."""
        return self.expires_granted_s == 0

    @property
    def binds(self) -> bool:
        """Whether this REGISTER made or refreshed a binding."""
        return bool(self.expires_granted_s)


class Registrar:
    """Registrar for one account; a binding lasts at most ``expires_s`` seconds, whatever the phone asks for.

    ``disturbed``: the windows (ns of CLOCK_BOOTTIME) in which it was silent or asked for another digest than usual, the
    open one last; what came in them is no measure of how a phone refreshes. ``unanswered``: what came in silence.
    """

    def __init__(self, account: Account, *, expires_s: int, clock: Clock) -> None:
        self.account = account
        self.expires_s = expires_s
        self._challenger = Challenger(account, clock)
        self._clock = clock
        self._bindings: dict[str, Binding] = {}
        self._offered: tuple[Algorithm, ...] = (Algorithm.MD5,)
        self.records: Arrivals[RegisterRecord] = Arrivals(most=RECORDS_MAX)
        self.silent = False
        self.unanswered: Arrivals[Received[Request]] = Arrivals(most=RECORDS_MAX)
        self.disturbed: list[tuple[int, int | None]] = []

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """While this is open, no REGISTER is answered; the endpoint puts each aside into ``unanswered``."""
        with self._disturbance():
            self.silent = True
            try:
                yield
            finally:
                self.silent = False

    @contextlib.contextmanager
    def offering(self, algorithms: tuple[Algorithm, ...]) -> Iterator[None]:
        """While this is open, every nonce given out before is stale and each challenge offers these, in this order."""
        with self._disturbance():
            usual, self._offered = self._offered, algorithms
            self._challenger.forget()
            try:
                yield
            finally:
                self._offered = usual
                self._challenger.forget()

    @contextlib.contextmanager
    def _disturbance(self) -> Iterator[None]:
        began_ns = boottime_ns()
        self.disturbed.append((began_ns, None))
        try:
            yield
        finally:
            self.disturbed[-1] = (began_ns, boottime_ns())

    def bindings(self, now_ns: int) -> tuple[Binding, ...]:
        """The bindings that hold at ``now_ns`` (CLOCK_BOOTTIME), the newest first."""
        live = (binding for binding in self._bindings.values() if binding.expires_ns > now_ns)
        return tuple(sorted(live, key=lambda binding: -binding.registered_ns))

    def forget(self, gone: Callable[[Binding], bool]) -> None:
        """Take away the bindings that lead nowhere any more."""
        self._bindings = {uri: binding for uri, binding in self._bindings.items() if not gone(binding)}

    def answer(self, received: Received[Request]) -> tuple[int, bytes]:
        """Status and bytes of the response to one REGISTER, recorded. Repeats must be kept away from here."""
        request = received.message
        check = self._challenger.check(request.get("Authorization"), "REGISTER")
        record = _record(received)
        record = replace(
            record,
            verdict=check.verdict,
            reason=check.reason,
            nonce=check.nonce,
            nonce_count=check.nonce_count,
            algorithm=check.algorithm,
        )
        headers: list[tuple[str, str]] = []
        match check.verdict:
            case DigestVerdict.ABSENT:
                record, headers = replace(record, status=401), self._challenges(stale=False)
            case DigestVerdict.STALE | DigestVerdict.REPLAYED:
                record, headers = replace(record, status=401), self._challenges(stale=True)
            case DigestVerdict.WRONG:
                record = replace(record, status=403)
            case DigestVerdict.MALFORMED:
                record = replace(record, status=400)
            case DigestVerdict.CORRECT:
                record = self._bind(received, record)
                if record.status == 200:
                    headers = self._contacts_bound(received.at_ns)
        self.records.add(record)
        return record.status, answer_to(received, record.status, to_tag=self._clock.new_id("r"), headers=headers)

    def _challenges(self, *, stale: bool) -> list[tuple[str, str]]:
        """A challenge for each algorithm, the preferred one first (RFC 8760, 2.3)."""
        return [
            ("WWW-Authenticate", self._challenger.challenge(stale=stale, algorithm=algorithm))
            for algorithm in self._offered
        ]

    def _bind(self, received: Received[Request], record: RegisterRecord) -> RegisterRecord:
        """Change the bindings as asked (RFC 3261, 10.3, steps 6 and 7); a Contact that cannot be read changes none."""
        request = received.message
        try:
            wanted = contacts(request)
        except MalformedMessage as error:
            return replace(record, status=400, reason=error.detail)
        if request.get("Contact") == "*":
            if record.expires_asked_s != 0:
                return replace(record, status=400, reason="Contact * without Expires 0 (RFC 3261, 10.2.2)")
            self._bindings.clear()
            return replace(record, status=200, expires_granted_s=0)
        if len(wanted) > CONTACTS_MAX:
            return replace(record, status=400, reason=f"more than {CONTACTS_MAX} contacts")
        granted_s: int | None = None
        for contact in wanted:
            asked_s = _expires_asked_s(contact, request)
            granted_s = min(EXPIRES_DEFAULT_S if asked_s is None else asked_s, self.expires_s)
            self._set_binding(str(contact.uri), granted_s, received, record)
        return replace(record, status=200, expires_granted_s=granted_s)

    def _set_binding(self, uri: str, granted_s: int, received: Received[Request], record: RegisterRecord) -> None:
        self._bindings.pop(uri, None)
        if granted_s == 0:
            return
        if len(self._bindings) >= CONTACTS_MAX:  # a slot holds one phone: the oldest is a Contact of its past
            del self._bindings[next(iter(self._bindings))]
        self._bindings[uri] = Binding(
            uri=uri,
            instance=record.instance,
            peer=received.peer,
            user_agent=record.user_agent,
            registered_ns=received.at_ns,
            expires_ns=received.at_ns + granted_s * 1_000_000_000,
        )

    def _contacts_bound(self, now_ns: int) -> list[tuple[str, str]]:
        """All bindings with the expiry that is left to each, as a 200 must list them (RFC 3261, 10.3, step 8)."""
        return [
            ("Contact", f"<{binding.uri}>;expires={-(-(binding.expires_ns - now_ns) // 1_000_000_000)}")
            for binding in self.bindings(now_ns)
        ]


def _record(received: Received[Request]) -> RegisterRecord:
    """What the request itself says, not yet answered."""
    request = received.message
    try:
        contact = next(iter(contacts(request)), None)
    except MalformedMessage:
        contact = None
    instance = None if contact is None else parameter(contact.parameters, "+sip.instance")
    return RegisterRecord(
        at_ns=received.at_ns,
        peer=received.peer,
        call_id=call_id(request),
        cseq=cseq(request).sequence,
        contact=request.get("Contact"),
        instance=instance,
        user_agent=request.get("User-Agent") or "",
        expires_asked_s=_expires_asked_s(contact, request),
        expires_granted_s=None,
        verdict=DigestVerdict.ABSENT,
        reason="",
        nonce=None,
        nonce_count=None,
        status=0,
    )


def _expires_asked_s(contact: Address | None, request: Request) -> int | None:
    """Of the Contact's own parameter, else of the Expires header; a value that is no number counts as none."""
    own = None if contact is None else parameter(contact.parameters, "expires")
    value = request.get("Expires") if own is None else own
    return int(value) if value is not None and _SECONDS.fullmatch(value) else None
