"""Digest credentials (RFC 3261, 22.4; RFC 7616; RFC 8760). Takes challenges, gives a header value. Counts nonces."""

import hashlib
from dataclasses import dataclass, field

from agents.simulated.reference_phone.addresses import challenge
from agents.simulated.reference_phone.behaviour import Behaviour
from agents.simulated.reference_phone.message import Message, Unreadable
from lab_inventory.clock import Clock

_KNOWN = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(kw_only=True)
class Credentials:
    """The account, and for each realm the challenge that is in use with the count of its nonce."""

    user: str
    password: str
    behaviour: Behaviour
    clock: Clock
    _current: dict[str, dict[str, str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _wrong_next: bool = True

    def take(self, response: Message) -> str | None:
        """Note the challenge of a 401 or 407: the name of the header that answers it, None where none is known."""
        proxy = response.status == 407
        known: list[dict[str, str]] = []
        for value in response.all("Proxy-Authenticate" if proxy else "WWW-Authenticate"):
            try:
                scheme, found = challenge(value)
            except Unreadable:
                continue
            qops = {word.strip() for word in found.get("qop", "auth").split(",")}
            if scheme == "digest" and found.get("algorithm", "MD5").upper() in self._algorithms() and "auth" in qops:
                known.append(found)
        if not known:
            return None
        if self.behaviour.prefers_md5:
            known.sort(key=lambda found: found.get("algorithm", "MD5").upper() != "MD5")
        header = "Proxy-Authorization" if proxy else "Authorization"
        self._current[header] = known[0]
        return header

    def _algorithms(self) -> frozenset[str]:
        return frozenset(_KNOWN) if self.behaviour.knows_sha256 else frozenset({"MD5"})

    def headers(self, method: str, uri: str) -> list[tuple[str, str]]:
        """The headers for a request, for every challenge that is in use."""
        return [(name, self._value(found, method, uri)) for name, found in self._current.items()]

    def _value(self, found: dict[str, str], method: str, uri: str) -> str:
        algorithm = found.get("algorithm", "MD5")
        realm, nonce = found.get("realm", ""), found.get("nonce", "")
        secret = _hash(algorithm, f"{self.user}:{realm}:{self.password}")
        what = _hash(algorithm, f"{method}:{uri}")
        words = [f'username="{self.user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"']
        if "qop" in found:
            count = 1 if self.behaviour.nonce_count_stuck else self._counts.get(nonce, 0) + 1
            self._counts = {nonce: count}
            own = self.clock.new_id("c")
            answer = _hash(algorithm, f"{secret}:{nonce}:{count:08x}:{own}:auth:{what}")
            words += [f'cnonce="{own}"', "qop=auth", f"nc={count:08x}"]
        else:
            answer = _hash(algorithm, f"{secret}:{nonce}:{what}")
        if self.behaviour.wrong_digest_first and method == "REGISTER":
            answer, self._wrong_next = ("0" * len(answer) if self._wrong_next else answer), not self._wrong_next
        words += [f'response="{answer}"', f"algorithm={algorithm}"]
        if "opaque" in found:
            words.append(f'opaque="{found["opaque"]}"')
        return "Digest " + ", ".join(words)


def _hash(algorithm: str, text: str) -> str:
    return hashlib.new(_KNOWN[algorithm.upper()], text.encode(), usedforsecurity=False).hexdigest()
