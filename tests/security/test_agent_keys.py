"""The agent's own key against hostile inputs, as docs/how-to/tls.md tells them: each with its answer in words."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from agent_by_hand import KeyByHand, joined
from lab_server import LabServer, serving
from lab_world import lab
from sqlalchemy import event, insert, select

from lab_inventory.clock import ManualClock, SystemClock
from lab_inventory.errors import Unauthorised
from lab_inventory.lab import Host
from lab_inventory.messages import ChallengeRequest, CredentialRequest, JoinRequest
from orchestrator.agent_keys import CREDENTIAL_S, AgentKeys
from orchestrator.api.admission import FAILURES_MAX
from orchestrator.people import People, digest_of
from orchestrator.security import Security
from orchestrator.store import keeping
from orchestrator.store import tables as t
from orchestrator.store.keeping import Token, TokenKind
from orchestrator.store.store import Store

RENEWALS = "/v1/agents/renewals"
NONE = {"renewals": []}
(HOST_1,) = lab(1).hosts
HOST_2 = Host.model_validate_json(re.sub(r"(host|bench|slot)-1", r"\1-2", HOST_1.model_dump_json()))
TWO_HOSTS = lab(1).model_copy(update={"hosts": (HOST_1, HOST_2)})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LabServer]:
    async with serving(tmp_path / "data") as running:
        await running.join(TWO_HOSTS)
        yield running


def refused(answer: httpx.Response, words: str) -> bool:
    assert answer.status_code == 401, answer.text
    return words in answer.json()["detail"]


async def test_the_server_holds_only_the_public_half_and_the_digest_of_what_it_gave(
    server: LabServer, tmp_path: Path
) -> None:
    store = Store(f"sqlite:///{tmp_path}/data/assay.sqlite", SystemClock(), upgrade=False)
    with store.reading() as connection:
        (row,) = connection.execute(select(t.agent_keys))
        kept = {token.digest for token in connection.execute(select(t.tokens))}
    store.close()
    assert row.public_key == server.key.public
    credential = server.agent.headers["Authorization"].removeprefix("Bearer ")
    assert (digest_of(credential) in kept, credential in kept) == (True, False)


async def test_a_replayed_join_token_is_refused(server: LabServer) -> None:
    token = (await server.operator.post("/v1/hosts/host-1/join-token")).json()["token"]
    assert (await KeyByHand().join(server.agent, token)).status_code == 200
    assert refused(await KeyByHand().join(server.agent, token), "this join token was used before")


async def test_a_join_token_of_another_host_or_lab_is_refused(server: LabServer, tmp_path: Path) -> None:
    token = (await server.operator.post("/v1/hosts/host-1/join-token")).json()["token"]
    assert refused(await KeyByHand("host-2").join(server.agent, token), "is unknown or is for another host")
    async with serving(tmp_path / "other") as other:
        assert refused(await KeyByHand().join(other.agent, token), "is unknown or is for another host")


async def test_a_replayed_challenge_is_refused(server: LabServer) -> None:
    challenge = await server.key.challenge(server.agent)
    proof = server.key.proof(challenge)
    assert (await server.agent.post("/v1/agents/credential", json=proof)).status_code == 200
    assert refused(await server.agent.post("/v1/agents/credential", json=proof), "was answered before")


async def test_of_many_who_answer_the_same_challenge_at_once_one_gets_a_credential(server: LabServer) -> None:
    challenge = await server.key.challenge(server.agent)
    answers = await asyncio.gather(*(server.key.prove(server.agent, challenge) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 7]


@pytest.mark.parametrize("change", [{"audience": "lab-another"}, {"host": "host-2"}])
async def test_what_was_signed_for_another_lab_or_host_is_refused(server: LabServer, change: dict[str, str]) -> None:
    proof = server.key.proof(await server.key.challenge(server.agent), **change)
    assert refused(await server.agent.post("/v1/agents/credential", json=proof), "was not signed with the key with")


async def test_the_key_of_another_host_is_refused(server: LabServer) -> None:
    stranger, _ = await joined(server.operator, server.agent, "host-2")
    stranger.host = "host-1"
    assert refused(await stranger.prove(server.agent), "was not signed with the key with which host-1 joined")


async def test_a_challenge_of_another_host_or_one_that_was_made_up_is_refused(server: LabServer) -> None:
    other = await KeyByHand("host-2").challenge(server.agent)
    for challenge in (other, f"{other[:-1]}_", "made up", "1.2.3"):
        assert refused(await server.key.prove(server.agent, challenge), "was not made here for host-1")


async def test_a_host_that_never_joined_learns_no_more_than_one_with_a_wrong_key(server: LabServer) -> None:
    answer = await KeyByHand("host-2").prove(server.agent)
    assert refused(answer, "was not signed with the key with which host-2 joined")


@pytest.mark.parametrize("change", [{"public_key": "A" * 42}, {"public_key": "+" * 43}, {"credential": "x"}])
async def test_a_public_key_of_another_form_is_bad_input(server: LabServer, change: dict[str, str]) -> None:
    answer = await server.agent.post("/v1/agents/join", json=KeyByHand().asking("t") | change)
    assert answer.status_code == 422


async def test_joining_anew_ends_the_earlier_key_and_what_it_got(server: LabServer) -> None:
    first, was = server.key, dict(server.agent.headers)
    await server.join(TWO_HOSTS)
    assert (await server.agent.post(RENEWALS, json=NONE, headers=was)).status_code == 401
    assert refused(await first.prove(server.agent), "was not signed with the key with which host-1 joined last")


async def test_a_revoked_key_is_dead_on_the_next_request_with_all_that_it_got(server: LabServer) -> None:
    unused = (await server.operator.post("/v1/hosts/host-1/join-token")).json()["token"]
    assert (await server.agent.post(RENEWALS, json=NONE)).status_code == 200
    answer = await server.operator.post("/v1/hosts/host-1/revoke", json={"reason": "the machine was stolen"})
    assert answer.status_code == 204
    assert (await server.agent.post(RENEWALS, json=NONE)).status_code == 401
    words = "the key of host-1 was revoked by operator: the machine was stolen"
    assert refused(await server.key.prove(server.agent), words)
    assert refused(await KeyByHand().join(server.agent, unused), "is unknown")
    await server.join(TWO_HOSTS)
    assert (await server.agent.post(RENEWALS, json=NONE)).status_code == 200


async def test_revoking_what_is_not_there_is_said_and_an_agent_may_not_revoke(server: LabServer) -> None:
    assert (await server.operator.post("/v1/hosts/nowhere/revoke", json={})).status_code == 404
    never = await server.operator.post("/v1/hosts/host-2/revoke", json={})
    assert (never.status_code, "nothing to revoke" in never.json()["detail"]) == (409, True)
    assert (await server.agent.post("/v1/hosts/host-1/revoke", json={})).status_code == 403


async def test_who_fails_too_often_is_told_to_wait_and_goes_on_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        await server.join()
        answers = [await KeyByHand().join(server.agent, "asy_join_guess") for _ in range(FAILURES_MAX + 20)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:FAILURES_MAX] == [401] * FAILURES_MAX
        assert set(statuses[FAILURES_MAX:]) >= {429}
        (waiting,) = {answer.headers["Retry-After"] for answer in answers if answer.status_code == 429}
        assert int(waiting) >= 1
        # What has its credential already is not touched.
        assert (await server.agent.post(RENEWALS, json=NONE)).status_code == 200


async def test_asking_for_challenges_and_guessing_writes_nothing_to_the_database(
    server: LabServer, tmp_path: Path
) -> None:
    before = await server.operator.get("/v1/journal/head")
    path = tmp_path / "data/assay.sqlite-wal"
    size = path.stat().st_size
    for _ in range(30):
        await server.key.challenge(server.agent)
        await server.agent.post(RENEWALS, json=NONE)
    assert path.stat().st_size == size
    assert (await server.operator.get("/v1/journal/head")).json() == before.json()


# By the servers' clock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database_url: str, clock: ManualClock) -> Iterator[Store]:
    made = Store(database_url, clock)
    yield made
    made.close()


def host_joined(keys: AgentKeys, store: Store, clock: ManualClock) -> KeyByHand:
    token = clock.token("asy_join_")
    with store.administering() as connection:
        expires_at = clock.now() + timedelta(minutes=15)
        kept = Token(digest=digest_of(token), kind=TokenKind.JOIN, subject="host-1", expires_at=expires_at)
        keeping.keep_token(connection, kept)
    key = KeyByHand()
    key.audience = keys.join(JoinRequest.model_validate(key.asking(token))).audience
    return key


def proof(keys: AgentKeys, key: KeyByHand) -> CredentialRequest:
    challenge = keys.challenge(ChallengeRequest(host="host-1")).challenge
    return CredentialRequest.model_validate(key.proof(challenge))


def test_a_challenge_is_good_for_a_minute_of_the_servers_clock(store: Store, clock: ManualClock) -> None:
    keys = AgentKeys(store, clock)
    key = host_joined(keys, store, clock)
    good, late = proof(keys, key), proof(keys, key)
    clock.advance(59)
    assert keys.credential(good).lives_s == CREDENTIAL_S
    clock.advance(2)
    with pytest.raises(Unauthorised, match=r"is 61 s old and was good for 60 s"):
        keys.credential(late)


def test_two_servers_on_one_database_take_each_others_challenges_and_each_challenge_once(
    store: Store, database_url: str, clock: ManualClock
) -> None:
    one = AgentKeys(store, clock)
    second = Store(database_url, clock)
    other = AgentKeys(second, clock)
    key = host_joined(one, store, clock)
    asked = proof(one, key)
    assert other.credential(asked).credential
    with pytest.raises(Unauthorised, match="was answered before"):
        one.credential(asked)
    other.revoke("host-1", by="op", reason="gone")
    with pytest.raises(Unauthorised, match="was revoked by op: gone"):
        one.credential(proof(one, key))
    second.close()


def test_credentials_and_used_challenges_do_not_pile_up(store: Store, clock: ManualClock) -> None:
    keys = AgentKeys(store, clock)
    key = host_joined(keys, store, clock)
    for _ in range(30):
        keys.credential(proof(keys, key))
    with store.reading() as connection:
        living = connection.execute(select(t.tokens).where(t.tokens.c.kind == TokenKind.AGENT.value)).all()
    assert len(living) == 8
    clock.advance(2 * 86_400)
    keys.credential(proof(keys, key))
    with store.reading() as connection:
        assert len(connection.execute(select(t.used_challenges)).all()) == 1
        assert len(connection.execute(select(t.tokens).where(t.tokens.c.kind == TokenKind.AGENT.value)).all()) == 1


def test_the_credential_of_a_host_from_before_brings_a_key_once_and_ends_a_day_later(
    store: Store, clock: ManualClock
) -> None:
    keys = AgentKeys(store, clock)
    with store.administering() as connection:
        connection.execute(insert(t.tokens).values(digest=digest_of("old"), kind="agent", subject="host-1"))
    key, thief = KeyByHand(), KeyByHand()
    key.audience = keys.join(JoinRequest.model_validate(key.asking("old"))).audience
    keys.join(JoinRequest.model_validate(key.asking("old")))
    assert keys.credential(proof(keys, key)).credential
    with pytest.raises(Unauthorised):
        keys.join(JoinRequest.model_validate(thief.asking("old")))
    with store.reading() as connection:
        found = keeping.find_token(connection, digest_of("old"))
    assert found is not None
    assert found.expires_at == clock.now() + timedelta(days=1)


def test_a_short_lived_credential_brings_no_key(store: Store, clock: ManualClock) -> None:
    keys = AgentKeys(store, clock)
    credential = keys.credential(proof(keys, host_joined(keys, store, clock))).credential
    with pytest.raises(Unauthorised, match="no join token"):
        keys.join(JoinRequest.model_validate(KeyByHand().asking(credential)))


def test_asking_who_a_credential_stands_for_is_one_reading(store: Store, clock: ManualClock) -> None:
    keys, security = AgentKeys(store, clock), Security(store, clock, People(store, clock))
    credential = keys.credential(proof(keys, host_joined(keys, store, clock))).credential
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert security.principal(credential).subject == "host-1"
    assert [words.split()[0] for words in asked if not words.startswith(("BEGIN", "SET"))] == ["SELECT"]
    clock.advance(CREDENTIAL_S + 1)
    with pytest.raises(Unauthorised, match="has expired"):
        security.principal(credential)
