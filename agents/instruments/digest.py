"""Digest authentication with qop=auth, by MD5 or SHA-256: challenge, check, answer (RFC 3261, 22; RFC 7616; RFC 8760).

Takes header values, gives header values and verdicts. Pure but for the nonces it remembers.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from agents.instruments.sip_message import MalformedMessage
from agents.instruments.sip_values import credentials
from lab_inventory.clock import Clock

NONCES_MAX = 512
_NONCE_COUNT = re.compile(r"[0-9a-fA-F]{8}")


class Algorithm(StrEnum):
    """A hash as it is named on the wire (RFC 8760, 2)."""

    MD5 = "MD5"
    SHA_256 = "SHA-256"

    def of(self, text: str) -> str:
        """The hash of a text, in lower-case hexadecimal."""
        raw = text.encode("utf-8", "surrogateescape")
        if self is Algorithm.SHA_256:
            return hashlib.sha256(raw).hexdigest()
        return hashlib.md5(raw, usedforsecurity=False).hexdigest()


_ALGORITHMS = {algorithm.upper(): algorithm for algorithm in Algorithm}


@dataclass(frozen=True, kw_only=True)
class Account:
    """The credentials of one slot."""

    username: str
    password: str
    realm: str


class DigestVerdict(StrEnum):
    """What the check of one Authorization header found."""

    ABSENT = "absent"
    CORRECT = "correct"
    WRONG = "wrong"
    STALE = "stale"
    REPLAYED = "replayed"
    MALFORMED = "malformed"


@dataclass(frozen=True, kw_only=True)
class DigestCheck:
    """A verdict, why in words, and what the phone sent: nonce, nonce count and algorithm (None where it sent none)."""

    verdict: DigestVerdict
    reason: str
    nonce: str | None = None
    nonce_count: int | None = None
    algorithm: Algorithm | None = None


@dataclass(frozen=True, kw_only=True)
class DigestAnswer:
    """The parameters of one Authorization header, in clear."""

    username: str
    realm: str
    nonce: str
    uri: str
    nonce_count: str
    client_nonce: str
    algorithm: Algorithm = Algorithm.MD5

    def response(self, method: str, password: str) -> str:
        """The response with qop=auth, in lower-case hexadecimal (RFC 7616, 3.4.1)."""
        hashed = self.algorithm.of
        secret = hashed(f"{self.username}:{self.realm}:{password}")
        what = hashed(f"{method}:{self.uri}")
        return hashed(f"{secret}:{self.nonce}:{self.nonce_count}:{self.client_nonce}:auth:{what}")

    def header(self, method: str, password: str) -> str:
        """The value of the Authorization header."""
        return (
            f'Digest username="{self.username}", realm="{self.realm}", nonce="{self.nonce}", uri="{self.uri}", '
            f'response="{self.response(method, password)}", algorithm={self.algorithm}, '
            f'cnonce="{self.client_nonce}", qop=auth, nc={self.nonce_count}'
        )


class Challenger:
    """Makes challenges for one account and checks what comes back; remembers the last nonce count of each nonce."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._last_count: OrderedDict[str, int] = OrderedDict()
        self._asked: dict[str, Algorithm] = {}

    def challenge(self, *, stale: bool = False, algorithm: Algorithm = Algorithm.MD5) -> str:
        """The value of a WWW-Authenticate header with a fresh nonce. Of many nonces the oldest become stale."""
        nonce = self._clock.token("")
        self._last_count[nonce], self._asked[nonce] = 0, algorithm
        if len(self._last_count) > NONCES_MAX:
            oldest, _ = self._last_count.popitem(last=False)
            del self._asked[oldest]
        return (
            f'Digest realm="{self._account.realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"'
            f"{', stale=true' if stale else ''}"
        )

    def forget(self) -> None:
        """Every nonce that was given out is stale from now on."""
        self._last_count.clear()
        self._asked.clear()

    def check(self, authorization: str | None, method: str) -> DigestCheck:
        """Check one Authorization header of a request of this method. The digest URI is taken as the phone gave it."""
        if authorization is None:
            return DigestCheck(verdict=DigestVerdict.ABSENT, reason="no Authorization header")
        try:
            sent = credentials(authorization)
        except MalformedMessage as error:
            return DigestCheck(verdict=DigestVerdict.MALFORMED, reason=error.detail)
        nonce, count = sent.get("nonce", ""), sent.get("nc", "")
        verdict, reason = self._judge(sent, method)
        if verdict is DigestVerdict.CORRECT:
            self._last_count[nonce] = int(count, 16)
        return DigestCheck(
            verdict=verdict,
            reason=reason,
            nonce=nonce or None,
            nonce_count=int(count, 16) if _NONCE_COUNT.fullmatch(count) else None,
            algorithm=_ALGORITHMS.get(sent.get("algorithm", "MD5").upper()),
        )

    def _judge(self, sent: dict[str, str], method: str) -> tuple[DigestVerdict, str]:
        missing = {"username", "realm", "nonce", "uri", "response", "qop", "nc", "cnonce"} - sent.keys()
        if missing:
            return DigestVerdict.MALFORMED, f"missing in Authorization: {', '.join(sorted(missing))}"
        if not _NONCE_COUNT.fullmatch(sent["nc"]):
            return DigestVerdict.MALFORMED, "nc is not eight hexadecimal digits"
        algorithm = _ALGORITHMS.get(sent.get("algorithm", "MD5").upper())
        if sent["qop"] != "auth" or algorithm is None or self._asked.get(sent["nonce"], algorithm) is not algorithm:
            return DigestVerdict.MALFORMED, "qop or algorithm is not the one of the challenge"
        answer = DigestAnswer(
            username=sent["username"],
            realm=sent["realm"],
            nonce=sent["nonce"],
            uri=sent["uri"],
            nonce_count=sent["nc"],
            client_nonce=sent["cnonce"],
            algorithm=algorithm,
        )
        if (answer.username, answer.realm) != (self._account.username, self._account.realm):
            return DigestVerdict.WRONG, "username or realm is not the slot's"
        expected = answer.response(method, self._account.password)
        if not hmac.compare_digest(expected.encode(), sent["response"].lower().encode("utf-8", "surrogateescape")):
            return DigestVerdict.WRONG, "the response does not fit username, password, nonce and URI"
        if answer.nonce not in self._last_count:
            return DigestVerdict.STALE, "the nonce is none of this registrar's, or too old"
        if int(answer.nonce_count, 16) <= self._last_count[answer.nonce]:
            return DigestVerdict.REPLAYED, "the nonce count did not grow"
        return DigestVerdict.CORRECT, "the response fits"


def answer_challenge(challenge: str, *, account: Account, method: str, uri: str, client_nonce: str) -> str:
    """The Authorization header for the first use of a challenge. Raises MalformedMessage."""
    asked = credentials(challenge)
    if "nonce" not in asked or "realm" not in asked:
        raise MalformedMessage("the challenge has no nonce or no realm")
    algorithm = _ALGORITHMS.get(asked.get("algorithm", "MD5").upper())
    if algorithm is None:
        raise MalformedMessage(f"the challenge asks for algorithm {asked['algorithm']}, which is not known here")
    answer = DigestAnswer(
        username=account.username,
        realm=asked["realm"],
        nonce=asked["nonce"],
        uri=uri,
        nonce_count="00000001",
        client_nonce=client_nonce,
        algorithm=algorithm,
    )
    return answer.header(method, account.password)
