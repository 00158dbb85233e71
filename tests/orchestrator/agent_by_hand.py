"""What an agent does to speak with a server, by hand: it joins with a key of its own and proves that it has it."""

import base64
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab_inventory.messages import proof_text


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class KeyByHand:
    """A key, and what came of joining with it."""

    def __init__(self, host: str = "host-1") -> None:
        self.host = host
        self.audience = ""
        self.private = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        return text(self.private.public_key().public_bytes_raw())

    def asking(self, token: str) -> dict[str, Any]:
        return {"token": token, "host": self.host, "agent_version": "1", "public_key": self.public}

    async def join(self, client: httpx.AsyncClient, token: str) -> httpx.Response:
        answer = await client.post("/v1/agents/join", json=self.asking(token))
        if answer.is_success:
            self.audience = answer.json()["audience"]
        return answer

    async def challenge(self, client: httpx.AsyncClient) -> str:
        return str((await client.post("/v1/agents/challenge", json={"host": self.host})).json()["challenge"])

    def proof(self, challenge: str, **change: str) -> dict[str, Any]:
        """The proof for a challenge; ``change``: audience or host that is signed in place of the right one."""
        signed = proof_text(change.get("audience", self.audience), change.get("host", self.host), challenge)
        return {"host": self.host, "challenge": challenge, "signature": text(self.private.sign(signed))}

    async def prove(self, client: httpx.AsyncClient, challenge: str | None = None) -> httpx.Response:
        challenge = challenge or await self.challenge(client)
        return await client.post("/v1/agents/credential", json=self.proof(challenge))


async def joined(operator: httpx.AsyncClient, client: httpx.AsyncClient, host: str = "host-1") -> tuple[KeyByHand, str]:
    """A host that has joined, and a credential of it."""
    key = KeyByHand(host)
    token = (await operator.post(f"/v1/hosts/{host}/join-token")).json()["token"]
    answer = await key.join(client, token)
    assert answer.status_code == 200, answer.text
    return key, str((await key.prove(client)).json()["credential"])
