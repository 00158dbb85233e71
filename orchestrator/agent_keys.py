"""How agents prove themselves (docs/decisions/0013): a host joins with the public half of a key that its agent made,
and gets credentials of an hour for a signature over a challenge. Times are those of the servers' clocks alone.

A challenge carries its own mark, so asking for one writes nothing; only one that was answered well is written down.
"""

import base64
import hashlib
import hmac
from datetime import timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lab_inventory.clock import Clock
from lab_inventory.errors import BadInput, Conflict, Unauthorised
from lab_inventory.messages import (
    ChallengeReply,
    ChallengeRequest,
    CredentialReply,
    CredentialRequest,
    JoinReply,
    JoinRequest,
    proof_text,
)
from orchestrator.people import digest_of
from orchestrator.security import PREFIXES
from orchestrator.store import agent_keys as kept
from orchestrator.store import keeping
from orchestrator.store.agent_keys import AgentKey, Authority
from orchestrator.store.keeping import Token, TokenKind
from orchestrator.store.store import Reading, Store

CHALLENGE_S = 60.0
CREDENTIAL_S = 3600.0
OLD_CREDENTIAL_ENDS = timedelta(days=1)
"""So long a credential from before there were keys stays good once its host has a key: a rollout may still go back."""


class AgentKeys:
    """The keys of a lab's hosts; the state is in the database, so every server on it answers alike."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._authority = self._found_authority()

    def _found_authority(self) -> Authority:
        with self._store.administering() as connection:
            found = kept.authority(connection)
            if found is None:
                found = Authority(audience=self._clock.new_id("lab"), secret=self._clock.token(""))
                kept.keep_authority(connection, found)
        return found

    def join(self, request: JoinRequest) -> JoinReply:
        """Take the key of a host for its join token; an earlier key of the host, and all it got, ends with that.

        Raises Unauthorised.
        """
        now = self._clock.now()
        _public(request.public_key)
        with self._store.administering() as connection:
            token = keeping.find_token(connection, digest_of(request.token))
            if token is None or token.subject != request.host or token.revoked_at is not None:
                raise Unauthorised("this join token is unknown or is for another host; ask an operator for a new one")
            if token.kind is TokenKind.JOIN:
                self._use_up(connection, token)
                keeping.revoke_tokens(connection, TokenKind.AGENT, request.host, now)
            elif not self._brings_a_key_for_the_first_time(connection, token, request):
                return self._joined(request.host)
            kept.keep_key(connection, AgentKey(host=request.host, public_key=request.public_key, joined_at=now))
        return self._joined(request.host)

    def _joined(self, host: str) -> JoinReply:
        return JoinReply(agent=f"agent-{host}"[:64], host=host, audience=self._authority.audience)

    def _use_up(self, connection: Reading, token: Token) -> None:
        now = self._clock.now()
        if token.expires_at is None or token.expires_at < now:
            raise Unauthorised("this join token has expired; ask an operator for a new one")
        if not keeping.use_token(connection, token.digest, now):
            raise Unauthorised("this join token was used before; ask an operator for a new one")

    def _brings_a_key_for_the_first_time(self, connection: Reading, token: Token, request: JoinRequest) -> bool:
        """A host changes from the credential that it once was given to a key of its own; nobody needs to be asked.

        False where that very key is there already: the answer was lost. Raises Unauthorised for any other.
        """
        there = kept.find_key(connection, request.host)
        if there is not None and there.public_key == request.public_key:
            return False
        if token.kind is not TokenKind.AGENT or token.expires_at is not None or there is not None:
            raise Unauthorised("this is no join token; ask an operator for one")
        kept.end_old_credentials(connection, request.host, self._clock.now() + OLD_CREDENTIAL_ENDS)
        return True

    def challenge(self, request: ChallengeRequest) -> ChallengeReply:
        """Something to sign, of this moment and for this host. Nothing is written down, so asking costs little."""
        issued_ms = round(self._clock.now().timestamp() * 1000)
        body = f"{issued_ms}.{self._clock.token('')}"
        return ChallengeReply(challenge=f"{body}.{self._mark(request.host, body)}")

    def credential(self, request: CredentialRequest) -> CredentialReply:
        """A credential of an hour for a good signature. Raises Unauthorised, which says what is wrong."""
        now = self._clock.now()
        self._require_fresh(request)
        with self._store.administering() as connection:
            key = kept.find_key(connection, request.host)
            if key is None or not self._signed(key, request):
                raise Unauthorised(
                    f"this was not signed with the key with which {request.host} joined last; where it is to be this "
                    "agent, ask an operator for a join token"
                )
            if key.revoked_at is not None:
                because = f": {key.reason}" if key.reason else ""
                raise Unauthorised(
                    f"the key of {request.host} was revoked by {key.revoked_by}{because}; "
                    "ask an operator for a join token"
                )
            if not kept.use_challenge(connection, digest_of(request.challenge), now):
                raise Unauthorised("this challenge was answered before; ask for a new one")
            credential = self._clock.token(PREFIXES[TokenKind.AGENT])
            expires_at = now + timedelta(seconds=CREDENTIAL_S)
            kept.keep_credential(connection, request.host, digest_of(credential), now=now, expires_at=expires_at)
        return CredentialReply(credential=credential, lives_s=CREDENTIAL_S)

    def revoke(self, host: str, by: str, reason: str) -> None:
        """End the key of a host with its credentials and unused join tokens: they are dead on the next request.

        Raises Conflict where no agent of that host ever joined.
        """
        now = self._clock.now()
        with self._store.administering() as connection:
            old = keeping.revoke_tokens(connection, TokenKind.AGENT, host, now)
            unused = keeping.revoke_tokens(connection, TokenKind.JOIN, host, now)
            if kept.find_key(connection, host) is None and not old and not unused:
                raise Conflict(f"no agent of {host} has joined: there is nothing to revoke")
            kept.revoke_key(connection, host, by=by, reason=reason, now=now)

    def _require_fresh(self, request: CredentialRequest) -> None:
        body, _, mark = request.challenge.rpartition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(request.host, body).encode()):
            raise Unauthorised(f"this challenge was not made here for {request.host}; ask for a new one")
        age_s = self._clock.now().timestamp() - int(body.partition(".")[0]) / 1000
        # A challenge of another server on this database may be ahead by what their clocks differ.
        if abs(age_s) > CHALLENGE_S:
            raise Unauthorised(f"this challenge is {age_s:.0f} s old and was good for {CHALLENGE_S:g} s; ask for a new")

    def _signed(self, key: AgentKey, request: CredentialRequest) -> bool:
        text = proof_text(self._authority.audience, request.host, request.challenge)
        try:
            _public(key.public_key).verify(_bytes(request.signature), text)
        except InvalidSignature:
            return False
        return True

    def _mark(self, host: str, body: str) -> str:
        told = f"challenge\n{host}\n{body}".encode()
        made = hmac.new(self._authority.secret.encode(), told, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _public(text: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_bytes(text))
    except ValueError as error:
        raise BadInput("public_key is no Ed25519 public key") from error
